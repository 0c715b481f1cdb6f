"""Gaussians on planes on a CUDA device: one thread per atom, the same square of pixels as on the CPU.

What is drawn is added up in 64-bit fixed point, scaled to the largest sum that can occur: integer addition does not depend on its
order, so that results are equal bit for bit from run to run, which float atomics are not. The source is C++ but for a few words,
and is tested as such where there is no device.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType

import numpy as np

from benchsuite.physics.backend import Array, get_array_module
from benchsuite.physics.gaussians.engine_numba import CUTOFF_EXPONENT, MAX_SQUARE_PX
from benchsuite.physics.projection.cuda import BLOCK, FIXED_BITS

SOURCE = (
    f"constexpr double CUT = {CUTOFF_EXPONENT};\nconstexpr int LARGEST = {MAX_SQUARE_PX};\n"
    + r"""
__device__ int pixels_of(double centre, double width, int length, int* first) {
    *first = 0;
    if (!(centre > -LARGEST && centre < length + LARGEST)) return 0;
    const int nearest = (int)floor(centre + 0.5);
    const double reach_of_cut = sqrt(CUT * width) + 1;
    const int reach = reach_of_cut < LARGEST / 2 - 1 ? (int)reach_of_cut : LARGEST / 2 - 1;
    const int last = nearest + reach < length - 1 ? nearest + reach : length - 1;
    if (nearest > reach) *first = nearest - reach;
    return last - *first + 1;
}

extern "C" __global__ void splat(const long long* atoms, const int* place, const double* u, const double* v, const double* peak,
                                 const double* width, unsigned long long* planes, double scale, int count, int rows, int columns) {
    const int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= count) return;
    const long long i = atoms[t];
    int left, top;
    const int across = pixels_of(u[i], width[i], columns, &left), down = pixels_of(v[i], width[i], rows, &top);
    const float from_u = (float)(left - u[i]), from_v = (float)(top - v[i]), inverse = (float)(1 / width[i]);
    unsigned long long* line = planes + ((long long)place[t] * rows + top) * columns + left;
    for (int row = 0; row < down; ++row, line += columns) {
        const float dy = from_v + row;
        const double height = scale * peak[i] * expf(-dy * dy * inverse);
        for (int column = 0; column < across; ++column) {
            const float dx = from_u + column;
            atomicAdd(line + column, (unsigned long long)__double2ll_rn(height * expf(-dx * dx * inverse)));
        }
    }
}

extern "C" __global__ void gather(const long long* atoms, const int* place, const double* u, const double* v, const double* width,
                                  const float* planes, double* sums, int count, int rows, int columns) {
    const int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= count) return;
    const long long i = atoms[t];
    int left, top;
    const int across = pixels_of(u[i], width[i], columns, &left), down = pixels_of(v[i], width[i], rows, &top);
    const float from_u = (float)(left - u[i]), from_v = (float)(top - v[i]), inverse = (float)(1 / width[i]);
    const float* line = planes + ((long long)place[t] * rows + top) * columns + left;
    double whole = 0, by_x = 0, by_y = 0, by_square = 0;
    for (int row = 0; row < down; ++row, line += columns) {
        const float dy = from_v + row, g = expf(-dy * dy * inverse);
        float plain = 0, first = 0, second = 0;
        for (int column = 0; column < across; ++column) {
            const float dx = from_u + column, value = expf(-dx * dx * inverse) * line[column];
            plain += value;
            first += dx * value;
            second += dx * dx * value;
        }
        whole += g * plain;
        by_x += g * first;
        by_y += g * dy * plain;
        by_square += g * (second + dy * dy * plain);
    }
    double* mine = sums + 4 * i;
    mine[0] = whole;
    mine[1] = by_x;
    mine[2] = by_y;
    mine[3] = by_square;
}
"""
)


def splat(shape: tuple[int, int, int], atoms: Array, place: Array, u: Array, v: Array, peak: Array, width: Array) -> Array:
    """Return planes (k, ny, nx) float32 with the Gaussians of the listed atoms.

    atoms: (m,) int64, which of u, v, peak, width (n,) float64 are meant; place: (m,) int32, the plane of each. u, v: centres in
    pixels (column, row); peak: heights; width: b in pixels². What lies outside the plane is cut off.
    """
    xp = get_array_module(u)
    unit = float(abs(peak).sum()) / 2.0**FIXED_BITS
    fixed = xp.zeros(shape, np.int64)
    sizes = tuple(np.int32(n) for n in (len(atoms), *shape[1:]))
    if len(atoms):
        scale = np.float64(1 / unit if unit else 1)
        _kernel(xp, "splat")((-(-len(atoms) // BLOCK),), (BLOCK,), (atoms, place, u, v, peak, width, fixed, scale, *sizes))
    return (fixed * unit).astype(np.float32)


def gather(planes: Array, atoms: Array, place: Array, u: Array, v: Array, width: Array, sums: Array) -> None:
    """Set sums[i], of (n, 4) float64, = Σ g G, Σ g G (x − u), Σ g G (y − v), Σ g G ρ² of each listed atom.

    G: its plane, of planes (k, ny, nx) float32; g: its unit Gaussian. Other arguments as for `splat`.
    """
    xp = get_array_module(u)
    sizes = tuple(np.int32(n) for n in (len(atoms), *planes.shape[1:]))
    if len(atoms):
        given = (atoms, place, u, v, width, xp.ascontiguousarray(planes), sums, *sizes)
        _kernel(xp, "gather")((-(-len(atoms) // BLOCK),), (BLOCK,), given)


@functools.cache
def _kernel(xp: ModuleType, name: str) -> Callable[..., None]:
    return xp.RawModule(code=SOURCE, options=("--std=c++14",)).get_function(name)
