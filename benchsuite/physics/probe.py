"""The focused probe: its wave from the optics, and its intensity at any depth.

In free space a probe of defocus Δf has, at a distance z beyond the plane that Δf refers to, the intensity of a probe of defocus
Δf − z: the Fresnel propagator changes nothing but C10 (Mao, Cui & Yu 2024, eqs. 8-10).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from benchsuite.data import Optics
from benchsuite.physics.electrons import wavelength_A

FocalPlane = Literal["entrance", "centre"]  # of the specimen box: where zero defocus focuses
HIGHER_MODE_INTENSITY = 0.03  # of an incoherent mode, relative to the first, to start from
AIRY_RADIUS = 0.61  # of a focused probe, in units of λ/α
PROBE_TAILS = 1.5  # half the room a focused probe needs, in units of λ/α


def aperture_function(
    optics: Optics, defocus_A: float, field_px: int, pixel_A: float, wavelength_A: float, soft: bool = True
) -> np.ndarray:
    """Return the probe in Fourier space, (field, field) complex64 in the order of the FFT, Σ|a|² = 1.

    exp(−iχ) within the semi-angle, χ = 2π/λ Σ α^(n+1)/(n+1) C_nm cos(m(φ − φ_nm)) with C10 = −defocus (Kirkland 2020, eq. 2.10;
    polar names as in abTEM). `soft` weighs the pixels at the edge of the aperture by the part that is inside.
    """
    q = np.fft.fftfreq(field_px, pixel_A) * wavelength_A
    angle, azimuth = np.hypot(q[:, None], q), np.arctan2(q[:, None], np.broadcast_to(q, (field_px, field_px)))
    chi = -defocus_A * angle**2 / 2
    for name, value in optics.aberrations_A.items():
        if name.startswith("C"):
            n, m = int(name[1]), int(name[2])
            direction = np.deg2rad(optics.aberrations_A.get(f"phi{n}{m}_deg", 0.0))
            chi = chi + value * angle ** (n + 1) / (n + 1) * np.cos(m * (azimuth - direction))
    edge = optics.semiangle_mrad * 1e-3
    pixel = wavelength_A / (field_px * pixel_A)
    inside = np.clip((edge - angle) / pixel + 0.5, 0, 1) if soft else (angle <= edge).astype(float)
    wave = inside * np.exp(-2j * np.pi / wavelength_A * chi)
    return (wave / np.sqrt((inside**2).sum())).astype(np.complex64)


def centred_defocus_A(defocus_A: float, focal_plane: FocalPlane, depth_A: float) -> float:
    """Return the defocus about the centre of a specimen box of that depth, of one that refers to its focal plane."""
    return defocus_A if focal_plane == "centre" else defocus_A - depth_A / 2


def incoherent_modes(aperture: np.ndarray, count: int) -> np.ndarray:
    """Return orthogonal probes (count, field, field) complex64 in Fourier space, Σ|a|² of all together that of `aperture`.

    The aperture function (field, field), in the order of the FFT, and its products with monomials in q: derivatives of the probe,
    the modes of a source that is a little larger than a point, or that vibrates (Hermite and Gauss). Each further one has
    `HIGHER_MODE_INTENSITY` of the first one's intensity. P. Thibault, A. Menzel, Nature 494 (2013) 68, doi:10.1038/nature11806.
    """
    q = np.fft.fftfreq(len(aperture))
    degrees = [(total - across, across) for total in range(count) for across in range(total + 1)][:count]
    columns = np.stack([(aperture * q[:, None] ** down * q**across).ravel() for down, across in degrees], axis=1)
    modes = np.linalg.qr(columns / np.linalg.norm(columns, axis=0))[0].T.reshape(count, *aperture.shape)
    modes[0] = aperture / np.linalg.norm(aperture)
    intensity = np.where(np.arange(count) > 0, HIGHER_MODE_INTENSITY, 1.0)
    strength = np.sqrt(intensity / intensity.sum()) * np.linalg.norm(aperture)
    return (strength[:, None, None] * modes).astype(np.complex64)


def orthogonal(modes: np.ndarray) -> np.ndarray:
    """Return modes (…, count, field, field) of equal Σ|Ψ_m|² that are orthogonal, the strongest first."""
    flat = modes.reshape(*modes.shape[:-2], -1)
    _, strength, basis = np.linalg.svd(flat, full_matrices=False)
    return (strength[..., None] * basis).reshape(modes.shape).astype(modes.dtype)


def probe_intensity(optics: Optics, local_defocus_A: float, shape: tuple[int, int], pixel_A: float) -> np.ndarray:
    """Return the probe's intensity (rows, columns) of unit sum, centred at the first pixel.

    On a field of (rows, columns) pixels, which must resolve the intensity: pixel ≤ λ/(4α).
    """
    rows, columns = shape
    side = max(rows, columns)
    wave = aperture_function(optics, local_defocus_A, side, pixel_A, wavelength_A(optics.energy_keV))
    intensity = np.abs(np.fft.ifft2(wave)) ** 2
    if (rows, columns) != (side, side):
        first = [side // 2 - n // 2 for n in shape]
        centred = np.fft.fftshift(intensity)[first[0] : first[0] + rows, first[1] : first[1] + columns]
        intensity = np.fft.ifftshift(centred)
    return intensity / intensity.sum()


def probe_transfer(optics: Optics, local_defocus_A: float, shape: tuple[int, int], pixel_A: float) -> np.ndarray:
    """Return the Fourier transform (rows, half columns) complex64 of `probe_intensity`."""
    return np.fft.rfft2(probe_intensity(optics, local_defocus_A, shape, pixel_A)).astype(np.complex64)
