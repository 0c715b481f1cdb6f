"""Rotations of the specimen. Conventions: docs/conventions.md.

A rotation is an active 3×3 matrix R that carries specimen coordinates to the laboratory, r_lab = R r_specimen, in a
right-handed frame with the beam along +z. A volume seen in the laboratory is V_lab(r) = V(Rᵀ r).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}


def rotation(axis: str | Sequence[float], angle_deg: float) -> np.ndarray:
    """Return the (3, 3) active right-handed rotation by an angle in degrees about "x", "y", "z" or a vector (Rodrigues)."""
    u = np.asarray(AXES[axis] if isinstance(axis, str) else axis, dtype=np.float64)
    length = np.linalg.norm(u)
    if length == 0:
        raise ValueError("a rotation axis of length zero")
    ux, uy, uz = u / length
    angle = np.deg2rad(np.float64(angle_deg))
    k = np.array([[0.0, -uz, uy], [uz, 0.0, -ux], [-uy, ux, 0.0]])
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * (k @ k)


def tilt_angles(first_deg: float, last_deg: float, count: int) -> np.ndarray:
    """Return `count` equally spaced angles from first to last, both included, except where they are 180° apart.

    Views 180° apart are mirror images of each other, so a full range leaves its last end out and is spaced by 180°/count.
    """
    full = np.isclose(abs(last_deg - first_deg), 180.0)
    return np.linspace(first_deg, last_deg, count, endpoint=not full)


def single_axis(angles_deg: Sequence[float] | np.ndarray, axis: str | Sequence[float] = "y") -> np.ndarray:
    """Return the (n, 3, 3) rotations of a single-axis tilt series."""
    return np.stack([rotation(axis, angle) for angle in angles_deg])


def euler(angles_deg: Sequence[Sequence[float]] | np.ndarray, order: str = "zyx") -> np.ndarray:
    """Return (n, 3, 3) rotations from Euler angles: for order "zyx", R = Rz(a) Ry(b) Rx(c) with angles (a, b, c)."""
    matrices = []
    for triple in angles_deg:
        a, b, c = (rotation(axis, angle) for axis, angle in zip(order, triple, strict=True))
        matrices.append(a @ b @ c)
    return np.stack(matrices)


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    """Return a (3, 3) rotation drawn uniformly over all orientations (normalised Gaussian quaternion)."""
    w, x, y, z = (q := rng.standard_normal(4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def is_rotation(matrix: np.ndarray, tolerance: float = 1e-6) -> bool:
    """Whether a (3, 3) matrix is orthogonal with determinant +1 within the tolerance."""
    return bool(np.allclose(matrix @ matrix.T, np.eye(3), atol=tolerance) and np.linalg.det(matrix) > 0)


def rotation_from_vector(vector: np.ndarray) -> np.ndarray:
    """Return the (3, 3) rotation about `vector` (3,) by its length in rad."""
    angle = float(np.linalg.norm(vector))
    return rotation(vector.tolist(), float(np.rad2deg(angle))) if angle > 0 else np.eye(3)


def vector_from_rotation(matrix: np.ndarray) -> np.ndarray:
    """Return the (3,) axis times the angle in rad, less than π, of a rotation (3, 3): the inverse of `rotation_from_vector`."""
    skew = np.array([matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]])
    length = float(np.linalg.norm(skew))
    angle = np.arctan2(length, np.trace(matrix) - 1)
    return skew * (angle / length) if length > 0 else np.zeros(3)


def common_translation(rotations: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Return the (3,) translation t of a specimen that explains image shifts (n, 2) best: minimises Σ |s_i − (R_i t)_xy|²."""
    return np.linalg.lstsq(rotations[:, :2].reshape(-1, 3), shifts.reshape(-1), rcond=None)[0]


def common_rotation(rotations: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the (3, 3) rotation Q of a specimen that carries one set of rotations to another best: minimises Σ ‖R_i Q − R'_i‖²."""
    return nearest_rotation(np.einsum("nji,njk->ik", rotations, others))


def nearest_rotation(matrix: np.ndarray) -> np.ndarray:
    """Return the rotation Q nearest to a matrix (3, 3), which maximises tr(Qᵀ M).

    For M = Σ b_i a_iᵀ it carries vectors a_i nearest to b_i. Kabsch, Acta Cryst. A32 (1976) 922, doi:10.1107/S0567739476001873.
    """
    u, _, vt = np.linalg.svd(matrix)
    return u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
