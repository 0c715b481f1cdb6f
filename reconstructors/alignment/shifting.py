"""Images moved by fractions of a pixel, blurred and thinned out: phase ramps and Gaussians on zero-padded Fourier transforms.

b'(r) = (G_σ ∗ b)(r − s),        B'(q) = B(q) exp(−2π²σ²q²) exp(−2πi q·s)
"""

from __future__ import annotations

import numpy as np

from benchsuite.physics.backend import Array, fft_module, get_array_module


def frame_level(images: Array) -> Array:
    """Return the median (n, 1, 1) of the outermost pixels of each image (n, ny, nx): what is seen beside the specimen."""
    xp = get_array_module(images)
    frame = xp.concatenate([images[:, 0], images[:, -1], images[:, 1:-1, 0], images[:, 1:-1, -1]], axis=1)
    return xp.median(frame, axis=1)[:, None, None].astype(images.dtype)


def moved(images: Array, shifts_A: np.ndarray, pixel_A: float) -> Array:
    """Return images (n, ny, nx) float32 moved by shifts_A (n, 2) = (x, y) in Å; what comes in from outside is the frame's level."""
    level = frame_level(images)
    return smoothed(images - level, shifts_A, pixel_A, 0.0, 1) + level


def smoothed(images: Array, shifts_A: np.ndarray, pixel_A: float, blur_A: float, factor: int) -> Array:
    """Return images (n, ny, nx) moved by shifts_A (n, 2), blurred by a Gaussian of σ = blur_A, and every `factor`-th pixel of that.

    The pixel N//2 stays the centre; outside the images is zero. With factor > 1 the sides are odd and may end outside the image.
    """
    xp, fft = get_array_module(images), fft_module(get_array_module(images))
    margin = blur_A * 4 + float(np.abs(shifts_A).max(initial=0.0))
    shape = padded_shape(images.shape[1:], margin / pixel_A)
    qy, qx = frequencies(xp, shape, pixel_A)
    ramp = xp.asarray(shifts_A[:, 0], np.float32)[:, None, None] * qx + xp.asarray(shifts_A[:, 1], np.float32)[:, None, None] * qy
    transfer = xp.exp(-2j * np.pi * ramp) * gaussian(xp, shape, pixel_A, blur_A)
    spectra = fft.rfft2(images.astype(np.float32), s=shape) * transfer.astype(np.complex64)
    whole = fft.irfft2(spectra, s=shape)
    rows, columns = (_kept(n, factor, m) for n, m in zip(images.shape[1:], shape, strict=True))
    return xp.ascontiguousarray(whole[:, rows][:, :, columns])


def padded_shape(shape: tuple[int, ...], margin: float) -> tuple[int, int]:
    """Return a fast shape of transforms for images of that shape that move or spread by at most `margin` pixels."""
    import scipy.fft

    rows, columns = (scipy.fft.next_fast_len(n + int(np.ceil(margin)) + 8, real=True) for n in shape)
    return rows, columns


def frequencies(xp: object, shape: tuple[int, int], pixel_A: float) -> tuple[Array, Array]:
    """Return (ny, 1) and (nx//2 + 1,) float32 frequencies in 1/Å of real transforms."""
    rows, columns = np.fft.fftfreq(shape[0], pixel_A)[:, None], np.fft.rfftfreq(shape[1], pixel_A)
    return xp.asarray(rows, dtype=np.float32), xp.asarray(columns, dtype=np.float32)  # type: ignore[attr-defined]


def gaussian(xp: object, shape: tuple[int, int], pixel_A: float, blur_A: float) -> Array:
    """Return the transfer function of a Gaussian of σ = blur_A, float32 (ny, nx//2 + 1)."""
    qy, qx = frequencies(xp, shape, pixel_A)
    return xp.exp(np.float32(-2 * np.pi**2 * blur_A**2) * (qy * qy + qx * qx))  # type: ignore[attr-defined]


def _kept(count: int, factor: int, padded: int) -> np.ndarray | slice:
    """Indices of every `factor`-th pixel, the central one among them; the last may lie one pixel into the padding."""
    if factor == 1:
        return slice(0, count)
    reach = count // 2 // factor
    return (count // 2 + factor * np.arange(-reach, reach + 1)) % padded
