"""A sum of three-dimensional Gaussians on a voxel grid: the density model of tracing and of rendered truth.

    V(r) = Σ_i A_i exp(-½ (r - c_i)ᵀ P_i (r - c_i))

with peak height A, centre c and precision matrix P (the inverse of the covariance), all in voxels and index order (z, y, x).
Each Gaussian is evaluated in a cube of voxels around its centre, so the cost grows with the number of atoms only.
"""

from __future__ import annotations

import numpy as np

VOXELS_AT_A_TIME = 1 << 22  # voxels evaluated at a time


def cube_offsets(half: int) -> np.ndarray:
    """Return (m, 3) integer offsets of a cube of (2·half + 1)³ voxels."""
    axis = np.arange(-half, half + 1)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)


def evaluate(offsets: np.ndarray, amplitude: np.ndarray, centre: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Return (n, m) values at `offsets` (m, 3) of Gaussians with amplitude (n,), centre (n, 3), precision (n, 3, 3)."""
    d = offsets[None, :, :] - centre[:, None, :]
    return amplitude[:, None] * np.exp(-0.5 * np.einsum("nmi,nmi->nm", d @ precision, d))


def add_gaussians(
    volume: np.ndarray, amplitude: np.ndarray, centre: np.ndarray, precision: np.ndarray, extent: float = 4.0
) -> None:
    """Add Gaussians to a C-contiguous volume (nz, ny, nx) in place; what lies outside the volume is cut off.

    amplitude (n,), centre (n, 3) fractional indices, precision (n, 3, 3) in voxel⁻². Each is evaluated to at least `extent`
    standard deviations along its widest axis (the widest of all decides for all).
    """
    if len(amplitude) == 0:
        return
    widest = 1.0 / np.sqrt(np.linalg.eigvalsh(precision)[:, 0].min())
    offsets = cube_offsets(max(1, int(np.ceil(extent * widest))))
    flat = volume.reshape(-1)
    shape = np.array(volume.shape)
    step = max(1, VOXELS_AT_A_TIME // len(offsets))
    for start in range(0, len(amplitude), step):
        part = slice(start, start + step)
        nearest = np.rint(centre[part]).astype(np.int64)
        values = evaluate(offsets, amplitude[part], centre[part] - nearest, precision[part])
        index = nearest[:, None, :] + offsets[None, :, :]
        inside = np.all((index >= 0) & (index < shape), axis=-1)
        index = index[inside]
        np.add.at(flat, (index[:, 0] * shape[1] + index[:, 1]) * shape[2] + index[:, 2], values[inside].astype(volume.dtype))
