"""The pixels on which local orbitals are drawn: finer than those of the images, of sides good for transforms."""

from __future__ import annotations

import numpy as np

from benchsuite.physics.fft import fftw


class FineGrid:
    """Pixels `oversampling` times finer than those of images of (ny, nx) probe positions, with sides good for FFTs.

    Position [iy, ix] of the scan is fine pixel centre + oversampling · (iy − ny//2, ix − nx//2).
    """

    def __init__(self, shape: tuple[int, int], step_A: float, oversampling: int, padding: int = 0) -> None:
        from scipy.fft import next_fast_len

        self.oversampling, self.pixel_A = oversampling, step_A / oversampling
        rows, columns = (2 * next_fast_len(-(-(oversampling * n + padding) // 2)) for n in shape)
        self.shape, self.coarse = (int(rows), int(columns)), shape
        self.centre = (self.shape[0] // 2, self.shape[1] // 2)

    @property
    def half_shape(self) -> tuple[int, int]:
        """The shape of the half spectrum."""
        return self.shape[0], self.shape[1] // 2 + 1

    def frequencies_squared(self) -> np.ndarray:
        """q² in 1/Å² of the half spectrum."""
        qy, qx = np.fft.fftfreq(self.shape[0], self.pixel_A), np.fft.rfftfreq(self.shape[1], self.pixel_A)
        return qy[:, None] ** 2 + qx**2

    def picked(self, plane: np.ndarray) -> np.ndarray:
        """Return the view (ny, nx) of a fine plane at the positions of the scan."""
        first = [c - self.oversampling * (n // 2) for c, n in zip(self.centre, self.coarse, strict=True)]
        return plane[
            first[0] : first[0] + self.oversampling * self.coarse[0] : self.oversampling,
            first[1] : first[1] + self.oversampling * self.coarse[1] : self.oversampling,
        ]

    def forward(self, plane: np.ndarray, spectrum: np.ndarray) -> None:
        """Transform a plane (rows, columns) float32 into a half spectrum complex64."""
        fftw.execute_real(fftw.plan_real(*self.shape, fftw.FORWARD), plane, spectrum, fftw.FORWARD)

    def backward(self, spectrum: np.ndarray, plane: np.ndarray) -> None:
        """Transform a half spectrum into a plane, unscaled; destroys the spectrum."""
        fftw.execute_real(fftw.plan_real(*self.shape, fftw.BACKWARD), spectrum, plane, fftw.BACKWARD)
