"""Projections blurred by a Gaussian, their exact adjoint, and how they change with the place and the rotation of the specimen.

    b = G A V,      G B(q) = B(q) exp(−2π²σ²q²),      A the projector

Voxels may be coarser than pixels: the Gaussian removes the ripple that their lattice leaves in the images, which would otherwise
hide angles of a tenth of a degree. V is sharper than the images that it explains, which makes V ≥ 0 a strong constraint.

Derivatives with respect to a shift s and to rotations ω u about laboratory axes u, by the moment Z = ∫ V_lab z dz:

    ∂b/∂s = −∇G P,      ∂b/∂ω = −∇·G (u_y Z − u_z y P,  u_z x P − u_x Z),      P = A V
"""

from __future__ import annotations

import numpy as np

from benchsuite.data import Grid
from benchsuite.physics.backend import Array, fft_module
from benchsuite.physics.projection.projector import Projector
from benchsuite.reconstructors.alignment.shifting import frequencies, gaussian, padded_shape


class BlurredProjector:
    """G A of the docstring above, as a linear map for `solvers.fista`."""

    def __init__(self, projector: Projector, blur_A: float) -> None:
        self.projector, self.xp = projector, projector.xp
        self.pixel_A = projector.pixel_A
        self._shape = padded_shape(projector.image_shape, 4 * blur_A / self.pixel_A)
        self._transfer = gaussian(self.xp, self._shape, self.pixel_A, blur_A)

    @property
    def grid(self) -> Grid:
        return self.projector.grid

    def forward(self, volume: Array) -> Array:
        """Return the images (n, ny, nx) of a volume (nz, ny, nx)."""
        return self._filtered(self.projector.forward(volume), self._transfer)

    def adjoint(self, images: Array) -> Array:
        """Return the volume (nz, ny, nx) of images (n, ny, nx)."""
        return self.projector.adjoint(self._filtered(images, self._transfer))

    def derivatives(self, volume: Array, axes: np.ndarray) -> Array:
        """Return (n, 2 + k, ny, nx): by the shifts x and y in Å, and by rotations in rad about laboratory axes (k, 3)."""
        projected = self.projector.forward(volume)
        columns = [-self._slope(projected, 0), -self._slope(projected, 1)]
        if len(axes):
            ny, nx = projected.shape[1:]
            x, y = (self.xp.asarray(self.pixel_A * (np.arange(n) - n // 2), dtype=np.float32) for n in (nx, ny))
            moment = self._moment(volume)
            for ux, uy, uz in axes.astype(np.float32):
                flow_x = uy * moment - uz * y[:, None] * projected
                flow_y = uz * x * projected - ux * moment
                columns.append(-self._slope(flow_x, 0) - self._slope(flow_y, 1))
        return self.xp.stack(columns, axis=1)

    def _moment(self, volume: Array) -> Array:
        """Z (n, ny, nx): with z_lab = Σ_k R_zk r_k, the sum of the projections of r_k V."""
        total = self.xp.zeros(self.projector.series_shape, dtype=np.float32)
        for k in range(3):
            shape = [1, 1, 1]
            shape[2 - k] = -1
            count = volume.shape[2 - k]
            r = self.xp.asarray(self.grid.voxel_A * (np.arange(count) - count // 2), dtype=np.float32).reshape(shape)
            factor = self.xp.asarray(self.projector.rotations[:, 2, k], dtype=np.float32)[:, None, None]
            total += factor * self.projector.forward(volume * r)
        return total

    def _slope(self, images: Array, direction: int) -> Array:
        """The derivative of blurred images along x (0) or y (1)."""
        q = frequencies(self.xp, self._shape, self.pixel_A)[1 - direction]
        return self._filtered(images, (2j * np.pi) * q * self._transfer)

    def _filtered(self, images: Array, transfer: Array) -> Array:
        fft = fft_module(self.xp)
        ny, nx = images.shape[1:]
        spectra = fft.rfft2(images, s=self._shape) * transfer
        return self.xp.ascontiguousarray(fft.irfft2(spectra, s=self._shape)[:, :ny, :nx]).astype(images.dtype)
