"""The projector on CPU cores: numba kernels that release the interpreter lock, run by a pool of threads.

The work is cut into pieces that depend on the sizes only, and no two pieces write to the same array: results are
equal bit for bit whatever the number of threads. (numba's own parallel loops are not used: they take seconds to compile
and some of their threading layers abort when two threads of a program enter them at once.)
"""

from __future__ import annotations

import itertools
import math

import numba
import numpy as np

from benchsuite.physics.compiled import compiled, run_pieces

FORWARD_PIECES = 32  # at least so many pieces, also where there are fewer tilts
ADJOINT_VOXELS = 1 << 16  # per piece, at least


def forward(volume: np.ndarray, affine: np.ndarray, shape: tuple[int, int], threads: int) -> np.ndarray:
    """Splat the volume (nz, ny, nx) into padded images of that shape (n_tilt, rows, columns), unscaled.

    affine: (n_tilt, k³, 2, 4) as from `projector.voxel_to_pixel`.
    """
    tilts, nz = len(affine), len(volume)
    slabs = _slabs(nz, min(nz, -(-FORWARD_PIECES // max(tilts, 1))))
    rows, columns = shape
    parts = np.zeros((tilts, len(slabs), rows * columns), volume.dtype)

    def piece(job: tuple[int, int]) -> None:
        tilt, slab = job
        for view in affine[tilt]:
            _splat(volume, parts[tilt, slab], rows, columns, view, *slabs[slab])

    run_pieces(piece, [(tilt, slab) for tilt in range(tilts) for slab in range(len(slabs))], threads)
    total = parts[:, 0] if len(slabs) == 1 else parts.sum(axis=1)
    return total.reshape(tilts, rows, columns)


def adjoint(padded: np.ndarray, affine: np.ndarray, shape: tuple[int, int, int], weight: float, threads: int) -> np.ndarray:
    """Gather the volume (nz, ny, nx) from padded images (n_tilt, rows, columns) with the weights of `forward`."""
    tilts, rows, columns = padded.shape
    flat = (padded * padded.dtype.type(weight)).reshape(tilts, rows * columns)
    nz, ny, nx = shape
    volume = np.empty(shape, padded.dtype)

    def piece(slab: tuple[int, int]) -> None:
        _gather(volume, flat, rows, columns, affine, *slab)

    run_pieces(piece, _slabs(nz, max(1, min(nz, nz * ny * nx // ADJOINT_VOXELS))), threads)
    return volume


def _slabs(length: int, pieces: int) -> list[tuple[int, int]]:
    edges = [length * k // pieces for k in range(pieces + 1)]
    return list(itertools.pairwise(edges))


@numba.njit(inline="always")
def _inside(slope: float, start: float, length: int, count: int) -> tuple[int, int]:
    """Return lo, hi: the indices ix of 0 … count−1 for which start + slope·ix lies in the padded axis, half a pixel inside."""
    first, last = 0.5, length - 1.5
    if slope == 0.0:
        return (0, count) if first <= start <= last else (0, 0)
    a, b = (first - start) / slope, (last - start) / slope
    if a > b:
        a, b = b, a
    return math.ceil(min(max(a, 0.0), float(count))), math.floor(max(min(b, count - 1.0), -1.0)) + 1


@compiled
def _splat(volume: np.ndarray, image: np.ndarray, rows: int, columns: int, view: np.ndarray, z0: int, z1: int) -> None:
    """Add the voxels of planes z0 … z1−1 to one padded, flattened image."""
    real = volume.dtype.type
    _, ny, nx = volume.shape
    du, dv = real(view[0, 0]), real(view[1, 0])
    for iz in range(z0, z1):
        for iy in range(ny):
            start_u = view[0, 1] * iy + view[0, 2] * iz + view[0, 3]
            start_v = view[1, 1] * iy + view[1, 2] * iz + view[1, 3]
            lo_u, hi_u = _inside(view[0, 0], start_u, columns, nx)
            lo_v, hi_v = _inside(view[1, 0], start_v, rows, nx)
            u0, v0 = real(start_u), real(start_v)
            row = volume[iz, iy]
            for ix in range(max(lo_u, lo_v), min(hi_u, hi_v)):
                u, v = u0 + du * real(ix), v0 + dv * real(ix)
                i, j = np.int32(u), np.int32(v)
                right, below = u - real(i), v - real(j)
                value = row[ix]
                lower = value * below
                upper = value - lower
                upper_right, lower_right = upper * right, lower * right
                k = j * columns + i
                image[k] += upper - upper_right
                image[k + 1] += upper_right
                image[k + columns] += lower - lower_right
                image[k + columns + 1] += lower_right


@compiled
def _gather(volume: np.ndarray, images: np.ndarray, rows: int, columns: int, affine: np.ndarray, z0: int, z1: int) -> None:
    """Overwrite planes z0 … z1−1 of the volume with the sum over all images of their bilinear interpolation."""
    real = volume.dtype.type
    _, ny, nx = volume.shape
    for iz in range(z0, z1):
        for iy in range(ny):
            row = volume[iz, iy]
            row[:] = real(0)
            for tilt in range(affine.shape[0]):
                image = images[tilt]
                for part in range(affine.shape[1]):
                    view = affine[tilt, part]
                    start_u = view[0, 1] * iy + view[0, 2] * iz + view[0, 3]
                    start_v = view[1, 1] * iy + view[1, 2] * iz + view[1, 3]
                    lo_u, hi_u = _inside(view[0, 0], start_u, columns, nx)
                    lo_v, hi_v = _inside(view[1, 0], start_v, rows, nx)
                    u0, v0 = real(start_u), real(start_v)
                    du, dv = real(view[0, 0]), real(view[1, 0])
                    for ix in range(max(lo_u, lo_v), min(hi_u, hi_v)):
                        u, v = u0 + du * real(ix), v0 + dv * real(ix)
                        i, j = np.int32(u), np.int32(v)
                        right, below = u - real(i), v - real(j)
                        k = j * columns + i
                        upper, lower = image[k], image[k + columns]
                        upper += right * (image[k + 1] - upper)
                        lower += right * (image[k + columns + 1] - lower)
                        row[ix] += upper + below * (lower - upper)
