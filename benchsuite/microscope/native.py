"""The project's own multislice kernel as a second engine for 4D-STEM, on the potential that abTEM makes.

Band limits are those of abTEM: potential, transmission and propagator keep two thirds of the Nyquist frequency. Unlike there, the
specimen is not repeated beyond the box: a probe at the edge of the scan sees vacuum outside. Where the scenario gives
`simulation.window_A`, each probe is computed in a window of that size instead of the whole box;
`benchsuite.physics.multislice.model` says what that neglects.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchsuite.data import Optics
from benchsuite.microscope.cost import window_pixels
from benchsuite.microscope.scattering import ADF, PATTERNS, Detect, Sliced
from benchsuite.microscope.settings import Acquisition, Microscope, Simulation
from benchsuite.microscope.tilts import camera_field_A
from benchsuite.physics.backend import fft_module, thread_count
from benchsuite.physics.electrons import interaction_per_VA, wavelength_A
from benchsuite.physics.multislice.model import Multislice, band_limit
from benchsuite.physics.probe import aperture_function

ANTIALIASING = 2 / 3


def scattered_natively(
    sliced: Sliced, defocus_A: float, microscope: Microscope, simulation: Simulation, acquisition: Acquisition, box_A: float
) -> Detect:
    """Return a function of positions (n, 2) in Å from the corner of the box, to what each detector records there."""
    projected = np.asarray(sliced.potential.array)
    pixels = projected.shape[-1]
    wavelength, pixel = wavelength_A(microscope.energy_keV), box_A / pixels
    field_A = camera_field_A(acquisition)
    full = round(field_A / pixel)  # check_physics has seen to it that it is whole
    qy, qx = acquisition.camera.pixels
    annulus = acquisition.detector
    angle = 1e3 * wavelength / field_A  # mrad per pixel of the pattern
    beyond = 2 * (int(annulus.outer_mrad / angle) + 1) + 1 if annulus is not None else 0
    recorded = (min(max(qy, beyond), full), min(max(qx, beyond), full))
    kernel = Multislice(
        wavelength,
        pixel,
        sliced.slice_A,
        len(projected),
        full,
        recorded,
        window_pixels(simulation.window_A, field_A, full),
        ANTIALIASING,
        margin_A=box_A / 8,  # for drift
        threads=thread_count(),
    )
    q = np.fft.fftfreq(pixels, pixel)
    mask = band_limit(q[:, None] ** 2 + q**2, pixel, ANTIALIASING).astype(np.float32)
    phase = interaction_per_VA(microscope.energy_keV) * projected.swapaxes(1, 2)  # abTEM's axes are (x, y)
    fft, threads = fft_module(np), thread_count()
    unlimited = np.exp(1j * phase.astype(np.complex64))
    transmission = kernel.padded(fft.ifft2(fft.fft2(unlimited, workers=threads) * mask, workers=threads))
    optics = Optics(microscope.energy_keV, microscope.semiangle_mrad, dict(microscope.aberrations_A))
    aperture = aperture_function(optics, defocus_A, full, pixel, wavelength)
    along_y, along_x = (1e3 * wavelength * kernel.frequencies(full)[kernel.kept(count)] for count in recorded)
    radius = np.hypot(along_y[:, None], along_x)
    ring = (radius >= annulus.inner_mrad) & (radius < annulus.outer_mrad) if annulus is not None else None

    def detect(positions: np.ndarray) -> Mapping[str, np.ndarray]:
        corners, offsets = kernel.corners(positions - pixel * (pixels // 2), (pixels, pixels))
        intensities = kernel.intensities(transmission, corners, kernel.waves(aperture, offsets))
        found = {PATTERNS: central(intensities, (qy, qx))}
        if ring is not None:
            found[ADF] = intensities[:, ring].sum(axis=1, dtype=np.float64)
        return found

    return detect


def central(patterns: np.ndarray, pixels: tuple[int, int]) -> np.ndarray:
    """Return the lowest frequencies of (n, rows, columns) patterns in the order of the FFT, with the zero beam in the middle."""
    rows, columns = (np.fft.fftshift(np.fft.fftfreq(n, 1 / n).astype(int)) for n in pixels)
    return patterns[:, rows[:, None] % patterns.shape[1], columns % patterns.shape[2]]
