"""Errors of angles that a stretched or sheared specimen would explain as well, and how they are held.

A linear distortion r → (1 + M) r of the specimen changes image i to first order by the displacements (R_i M r)_xy. In a specimen
that is about as wide in all directions these look most like the rotation

    ω_x = −D_yz,    ω_y = D_xz,    ω_z = (D_yx − D_xy)/2,      D = R_i M R_iᵀ

so the nine M span combinations of angles that data determine poorly: for a single axis, 1, sin 2θ and cos 2θ. A missing wedge
and few iterations stretch a reconstruction along the beam, and angles that follow it stretch it further. Independent errors of n
angles have little of them (√(2/n) of their RMS beside the common rotation), so corrections are kept free of them.
"""

from __future__ import annotations

import numpy as np


def distortion_modes(rotations: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Return (n·k, m) orthonormal combinations of rotations by (n, k) angles about laboratory axes (k, 3) of n views (n, 3, 3)."""
    modes = []
    for column in np.eye(9):
        d = rotations @ column.reshape(3, 3) @ rotations.transpose(0, 2, 1)
        turn = np.stack([-d[:, 1, 2], d[:, 0, 2], 0.5 * (d[:, 1, 0] - d[:, 0, 1])], axis=1)
        modes.append((turn @ axes.T).ravel())
    u, s, _ = np.linalg.svd(np.stack(modes, axis=1), full_matrices=False)
    return u[:, s > 1e-6 * s[0]]


def without_modes(angles: np.ndarray, modes: np.ndarray) -> np.ndarray:
    """Return angles (n, k) less their part in orthonormal modes (n·k, m)."""
    flat = angles.ravel()
    return (flat - modes @ (modes.T @ flat)).reshape(angles.shape)
