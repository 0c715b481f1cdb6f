"""From one unrotated volume to the slices of every tilted view, and back.

`SlicedView` evaluates the volume, a continuous function given by its samples and an interpolating kernel, along the rotated
grid and sums it over slices of any thickness. It is one sparse matrix over the plane across the tilt axis, shared by all
planes along it, and its transpose is its exact adjoint: the volume itself is never resampled, so nothing blurs from tilt to tilt.
A rotation about an axis that is not y is made of turns about z and y (Euler angles ZYZ), each such a matrix.

`sheared` turns a volume by Fourier shears (Larkin, Oldenburg & Klemm, Opt. Commun. 139 (1997) 99,
doi:10.1016/S0030-4018(97)00097-7): periodic and without loss, as the paper of MSET does it.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, Literal

import numpy as np

from benchsuite.data import Grid
from benchsuite.physics.backend import Array, fft_module, get_array_module

Interpolation = Literal["linear", "cubic"]
REACH = {"linear": 1, "cubic": 2}  # samples on either side


def kernel_weights(kind: str, distance: np.ndarray) -> np.ndarray:
    """Return the interpolating kernel at distances in voxels: the hat, or Keys' cubic with a = −1/2.

    R. Keys, IEEE Trans. ASSP 29 (1981) 1153, doi:10.1109/TASSP.1981.1163711.
    """
    d = np.abs(distance)
    if kind == "linear":
        return np.maximum(1 - d, 0)
    near, far = 1 - 2.5 * d**2 + 1.5 * d**3, 2 - 4 * d + 2.5 * d**2 - 0.5 * d**3
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def slice_edges_A(grid: Grid, slice_A: float) -> np.ndarray:
    """Return the (slices + 1,) depths in Å that divide the volume into equal slices, none thicker than asked."""
    nz = grid.shape[0]
    count = max(1, int(np.ceil(nz * grid.voxel_A / slice_A - 1e-6)))
    top = -(nz // 2 + 0.5) * grid.voxel_A
    return np.linspace(top, top + nz * grid.voxel_A, count + 1)


class SlicedView:
    """One view: volume (nz, ny, nx) → projected slices (slices, ny, nx), each the integral over z in units of value·Å."""

    def __init__(
        self, rotation: np.ndarray, grid: Grid, edges_A: np.ndarray, kind: Interpolation = "cubic", xp: ModuleType = np
    ) -> None:
        self.grid, self.slices = grid, len(edges_A) - 1
        alpha, beta, gamma = euler_zyz(rotation)
        self.first = None if _is_zero(gamma) else _matrix(turned(grid, gamma, kind, "z"), xp)
        self.last = None if _is_zero(alpha) else _matrix(turned(grid, alpha, kind, "z"), xp)
        self.across = _matrix(_slicing(grid, edges_A) @ turned(grid, beta, kind, "y"), xp)

    def forward(self, volume: Array) -> Array:
        """Return the projected slices (slices, ny, nx) of a volume (nz, ny, nx), in value·Å."""
        nz, ny, nx = self.grid.shape
        xp = get_array_module(volume)
        if self.first is not None:
            volume = (self.first[0] @ volume.reshape(nz, ny * nx).T).T.reshape(nz, ny, nx)
        planes = xp.ascontiguousarray(volume.transpose(0, 2, 1)).reshape(nz * nx, ny)
        sliced = (self.across[0] @ planes).reshape(self.slices, nx, ny).transpose(0, 2, 1)
        if self.last is not None:
            sliced = (self.last[0] @ sliced.reshape(self.slices, ny * nx).T).T.reshape(self.slices, ny, nx)
        return xp.ascontiguousarray(sliced)

    def adjoint(self, slices: Array) -> Array:
        """Return the volume (nz, ny, nx) of the adjoint of slices (slices, ny, nx)."""
        nz, ny, nx = self.grid.shape
        xp = get_array_module(slices)
        if self.last is not None:
            slices = (self.last[1] @ slices.reshape(self.slices, ny * nx).T).T.reshape(self.slices, ny, nx)
        planes = xp.ascontiguousarray(slices.transpose(0, 2, 1)).reshape(self.slices * nx, ny)
        volume = (self.across[1] @ planes).reshape(nz, nx, ny).transpose(0, 2, 1)
        if self.first is not None:
            volume = (self.first[1] @ volume.reshape(nz, ny * nx).T).T.reshape(nz, ny, nx)
        return xp.ascontiguousarray(volume)


def euler_zyz(rotation: np.ndarray) -> tuple[float, float, float]:
    """Return (α, β, γ) in degrees with R = Rz(α) Ry(β) Rz(γ); a tilt about y keeps its sign and has α = γ = 0."""
    r = np.asarray(rotation, dtype=np.float64)
    beta = np.arctan2(np.hypot(r[0, 2], r[1, 2]), r[2, 2])
    if np.hypot(r[0, 2], r[1, 2]) < 1e-9:
        flat = np.arctan2(r[1, 0], r[1, 1])
        return 0.0, float(np.rad2deg(beta)), float(np.rad2deg(flat))
    alpha, gamma = np.arctan2(r[1, 2], r[0, 2]), np.arctan2(r[2, 1], -r[2, 0])
    if abs(alpha) > np.pi / 2:  # the same rotation with the smaller turns about z
        alpha, beta, gamma = alpha - np.copysign(np.pi, alpha), -beta, gamma - np.copysign(np.pi, gamma)
    return float(np.rad2deg(alpha)), float(np.rad2deg(beta)), float(np.rad2deg(gamma))


def turned(grid: Grid, angle_deg: float, kind: str, axis: str) -> Any:
    """Return the sparse matrix that samples a plane on the grid turned about y (plane z, x) or z (plane y, x): V(Rᵀ r)."""
    from scipy.sparse import csr_matrix

    nz, ny, nx = grid.shape
    rows, columns = (nz, nx) if axis == "y" else (ny, nx)
    angle = np.deg2rad(angle_deg)
    c, s = np.cos(angle), np.sin(angle)
    v, u = np.meshgrid(np.arange(rows) - rows // 2, np.arange(columns) - columns // 2, indexing="ij")
    # Ry: x' = c x + s z, z' = −s x + c z, hence Rᵀ: x = c x' − s z', z = s x' + c z'; Rz the other way round
    turn = s if axis == "y" else -s
    from_u, from_v = c * u - turn * v + columns // 2, turn * u + c * v + rows // 2
    reach = REACH[kind]
    base_u, base_v = np.floor(from_u + 1e-9).astype(int), np.floor(from_v + 1e-9).astype(int)
    target = np.arange(rows * columns).reshape(rows, columns)
    parts = []
    for dv in range(1 - reach, reach + 1):
        for du in range(1 - reach, reach + 1):
            at_v, at_u = base_v + dv, base_u + du
            weight = kernel_weights(kind, from_v - at_v) * kernel_weights(kind, from_u - at_u)
            kept = (at_v >= 0) & (at_v < rows) & (at_u >= 0) & (at_u < columns) & (np.abs(weight) > 1e-9)
            parts.append((weight[kept], target[kept], (at_v * columns + at_u)[kept]))
    weights, targets, sources = (np.concatenate(part) for part in zip(*parts, strict=True))
    return csr_matrix((weights.astype(np.float32), (targets, sources)), shape=(rows * columns,) * 2)


def _slicing(grid: Grid, edges_A: np.ndarray) -> Any:
    """The matrix (slices·nx, nz·nx) that integrates voxels over each slice; a voxel across an edge is shared."""
    from scipy.sparse import csr_matrix, identity, kron

    nz, _, nx = grid.shape
    below = grid.voxel_A * (np.arange(nz) - nz // 2 - 0.5)
    lower, upper = np.maximum(edges_A[:-1, None], below), np.minimum(edges_A[1:, None], below + grid.voxel_A)
    overlap = np.clip(upper - lower, 0, None)
    overlap[overlap < 1e-9] = 0
    return kron(csr_matrix(overlap.astype(np.float32)), identity(nx, np.float32), format="csr")


def _is_zero(angle_deg: float) -> bool:
    return abs(angle_deg) < 1e-7


def _matrix(matrix: Any, xp: ModuleType) -> tuple[Any, Any]:
    """The matrix and its transpose, each in rows, on the device."""
    pair = matrix.tocsr(), matrix.T.tocsr()
    if xp is np:
        return pair
    from benchsuite.physics.backend import sparse_module

    return sparse_module(xp).csr_matrix(pair[0]), sparse_module(xp).csr_matrix(pair[1])


def sheared(volume: Array, angle_deg: float) -> Array:
    """Return V(Rᵀ r) for a turn about y, (nz, ny, nx) with nz = nx: quarter turns exactly, the rest by three Fourier shears."""
    quarters = int(np.round(angle_deg / 90.0))
    for _ in range(quarters % 4):
        volume = _quarter(volume)
    angle = np.deg2rad(angle_deg - 90.0 * quarters)
    xp = get_array_module(volume)
    if abs(angle) < 1e-9:
        return xp.ascontiguousarray(volume)
    # Rᵀ as shears: x −= tan(θ/2) z, z += sin θ x, x −= tan(θ/2) z
    for axis, slope in ((2, -np.tan(angle / 2)), (0, np.sin(angle)), (2, -np.tan(angle / 2))):
        volume = _shear(volume, axis, float(slope))
    return volume


def _quarter(volume: Array) -> Array:
    """Turn by 90° about y, index N//2 fixed: V'(x, z) = V(−z, x)."""
    xp = get_array_module(volume)
    nz, _, nx = volume.shape
    x = (nx // 2 - (xp.arange(nz) - nz // 2)) % nx
    z = (nz // 2 + (xp.arange(nx) - nx // 2)) % nz
    return volume[z[None, :], :, x[:, None]].transpose(0, 2, 1)


def _shear(volume: Array, axis: int, slope: float) -> Array:
    """Sample the volume at coordinate + slope · (the other of x and z) along an axis, by phase ramps (periodic)."""
    xp, fft = get_array_module(volume), fft_module(get_array_module(volume))
    length, other = volume.shape[axis], 2 - axis
    across = volume.shape[other]
    spectrum = fft.rfft(volume, axis=axis)
    q = np.fft.rfftfreq(length)
    ramp = np.exp(2j * np.pi * slope * np.outer(np.arange(across) - across // 2, q))
    if length % 2 == 0:
        ramp[:, -1] = 1.0  # the Nyquist frequency of an even length has no direction
    ramp = ramp if axis == 2 else ramp.T
    shape = [1, 1, 1]
    shape[axis], shape[other] = len(q), across
    spectrum *= xp.asarray(ramp.reshape(shape).astype(np.complex64))
    return fft.irfft(spectrum, n=length, axis=axis)
