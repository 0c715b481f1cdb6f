"""Parallel projections of a voxel volume along the beam, and their exact adjoint.

Voxel r of the specimen is seen at (x, y) of the laboratory position R r. Its mass is shared between the four nearest
pixels with bilinear weights w, so that with the voxel edge a and the pixel edge p

    forward   b[t, j, i] = (a³/p²) Σ_r w_tr(j, i) V[r]          (line integral of the volume, in units of V × Å)
    adjoint   g[r]       = (a³/p²) Σ_tji w_tr(j, i) b[t, j, i]

Both use the same weights, hence <A V, b> = <V, Aᵀ b> to rounding, for any rotations, shapes and pixel sizes. Mass that
falls outside an image is lost. With `subvoxels` k > 1 each voxel is first split into k³ equal parts, which smooths the
ripple that a splat has where voxels are coarser than, or unfavourably aligned with, the pixels.
"""

from __future__ import annotations

from types import ModuleType
from typing import Protocol

import numpy as np

from benchsuite.data import Grid
from benchsuite.physics.backend import Array, get_array_module, thread_count

PAD = 2  # empty pixels round a projected image: the kernels write there instead of testing every voxel


class LinearMap(Protocol):
    """Images (n_tilt, ny, nx) of a volume (nz, ny, nx), and the adjoint: a `Projector`, or one with more in it."""

    @property
    def xp(self) -> ModuleType: ...

    def forward(self, volume: Array, /) -> Array: ...

    def adjoint(self, images: Array, /) -> Array: ...


class Projector:
    """The linear map from a volume (nz, ny, nx) to images (n_tilt, ny, nx), and its adjoint.

    Arrays may be float32 or float64 and the result has their precision; they must live in the module `xp` (numpy or
    cupy) of the projector. Results do not depend on the number of threads. Inputs are never changed.
    """

    def __init__(
        self,
        rotations: np.ndarray,
        grid: Grid,
        image_shape: tuple[int, int],
        pixel_A: float,
        xp: ModuleType = np,
        *,
        subvoxels: int = 1,
        threads: int | None = None,
    ) -> None:
        """rotations: (n_tilt, 3, 3), r_lab = R r_specimen; image_shape: (ny, nx); pixel_A: distance of image pixels."""
        self.rotations = np.asarray(rotations, dtype=np.float64).reshape(-1, 3, 3)
        self.grid = grid
        self.image_shape = (int(image_shape[0]), int(image_shape[1]))
        self.pixel_A = float(pixel_A)
        self.xp = xp
        self.subvoxels = int(subvoxels)
        self.weight = grid.voxel_A**3 / self.pixel_A**2 / self.subvoxels**3
        self.affine = voxel_to_pixel(self.rotations, grid, self.image_shape, self.pixel_A, self.subvoxels)
        self._threads = threads

    @property
    def series_shape(self) -> tuple[int, int, int]:
        """(n_tilt, ny, nx) of the images."""
        return (len(self.rotations), *self.image_shape)

    def forward(self, volume: Array) -> Array:
        """Return the images (n_tilt, ny, nx) of a volume (nz, ny, nx)."""
        volume = self._checked(volume, self.grid.shape, "volume")
        shape = (self.image_shape[0] + 2 * PAD, self.image_shape[1] + 2 * PAD)
        if self.xp is np:
            from benchsuite.physics.projection import cpu

            padded, scale = cpu.forward(volume, self.affine, shape, self.threads), 1.0
        else:
            from benchsuite.physics.projection import cuda

            padded, scale = cuda.forward(self.xp, volume, self.affine, shape)
        return (padded[:, PAD:-PAD, PAD:-PAD] * float(self.weight / scale)).astype(volume.dtype, copy=False)

    def adjoint(self, images: Array) -> Array:
        """Return the volume (nz, ny, nx) that the adjoint makes of images (n_tilt, ny, nx)."""
        images = self._checked(images, self.series_shape, "images")
        padded = self.xp.pad(images, ((0, 0), (PAD, PAD), (PAD, PAD)))
        if self.xp is np:
            from benchsuite.physics.projection import cpu

            return cpu.adjoint(padded, self.affine, self.grid.shape, self.weight, self.threads)
        from benchsuite.physics.projection import cuda

        return cuda.adjoint(self.xp, self.xp.ascontiguousarray(padded), self.affine, self.grid.shape, self.weight)

    @property
    def threads(self) -> int:
        """CPU threads that the kernels use."""
        return self._threads or thread_count()

    def _checked(self, array: Array, shape: tuple[int, ...], what: str) -> Array:
        if array.shape != shape:
            raise ValueError(f"{what} of shape {array.shape}, expected {shape}")
        if get_array_module(array) is not self.xp:
            raise ValueError(f"{what} in {get_array_module(array).__name__}, the projector is in {self.xp.__name__}")
        dtype = np.float64 if array.dtype == np.float64 else np.float32
        return self.xp.ascontiguousarray(array, dtype=dtype)


def voxel_to_pixel(
    rotations: np.ndarray, grid: Grid, image_shape: tuple[int, int], pixel_A: float, subvoxels: int = 1
) -> np.ndarray:
    """Return (n_tilt, k³, 2, 4) matrices that carry a voxel index (ix, iy, iz, 1) to the pixel (u, v) of the padded image."""
    linear = rotations[:, None, :2, :] * (grid.voxel_A / pixel_A)
    parts = (np.arange(subvoxels) + 0.5) / subvoxels - 0.5
    offsets = np.stack(np.meshgrid(parts, parts, parts, indexing="ij"), axis=-1).reshape(1, -1, 3)
    voxel_centre = np.array(grid.shape[::-1]) // 2
    pixel_centre = np.array(image_shape[::-1]) // 2 + PAD
    affine = np.empty((len(rotations), subvoxels**3, 2, 4))
    affine[..., :3] = linear
    affine[..., 3] = pixel_centre + np.einsum(
        "tkij,tkj->tki", np.broadcast_to(linear, affine[..., :3].shape), offsets - voxel_centre
    )
    return affine
