"""The projector on a CUDA device: one thread per voxel, the same weights as on the CPU.

Sums in the forward direction are taken in 64-bit fixed point, scaled to the largest value that can occur: integer addition does
not depend on its order, so that results are equal bit for bit from run to run, which float atomics are not.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType

import numpy as np

from benchsuite.physics.backend import Array

BLOCK = 256
FIXED_BITS = 62

SOURCE = r"""
template<typename T> __device__ bool corner(const double* m, int parts, int tilt, int part, int ix, int iy, int iz,
                                            int width, int height, int* base, T* fu, T* fv) {
    const double* a = m + (tilt * parts + part) * 8;
    const double u = a[0] * ix + a[1] * iy + a[2] * iz + a[3];
    const double v = a[4] * ix + a[5] * iy + a[6] * iz + a[7];
    const double iu = floor(u), iv = floor(v);
    *fu = (T)(u - iu);
    *fv = (T)(v - iv);
    if (!(iu >= 0 && iv >= 0 && iu < width - 1 && iv < height - 1)) return false;
    *base = (int)iv * width + (int)iu;
    return true;
}

template<typename T> __global__ void splat(const T* volume, const double* m, long long* images, double scale, int parts,
                                           int nx, int ny, int nz, int width, int height) {
    const long long r = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    const int tilt = blockIdx.y;
    if (r >= (long long)nx * ny * nz || volume[r] == 0) return;
    const int ix = r % nx, iy = (r / nx) % ny, iz = r / ((long long)nx * ny);
    unsigned long long* image = (unsigned long long*)images + (long long)tilt * width * height;
    for (int part = 0; part < parts; ++part) {
        int base; T fu, fv;
        if (!corner<T>(m, parts, tilt, part, ix, iy, iz, width, height, &base, &fu, &fv)) continue;
        const double value = scale * (double)volume[r];
        atomicAdd(image + base, (unsigned long long)__double2ll_rn(value * (1 - fu) * (1 - fv)));
        atomicAdd(image + base + 1, (unsigned long long)__double2ll_rn(value * fu * (1 - fv)));
        atomicAdd(image + base + width, (unsigned long long)__double2ll_rn(value * (1 - fu) * fv));
        atomicAdd(image + base + width + 1, (unsigned long long)__double2ll_rn(value * fu * fv));
    }
}

template<typename T> __global__ void gather(const T* images, const double* m, T* volume, double weight, int tilts, int parts,
                                            int nx, int ny, int nz, int width, int height) {
    const long long r = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (r >= (long long)nx * ny * nz) return;
    const int ix = r % nx, iy = (r / nx) % ny, iz = r / ((long long)nx * ny);
    T sum = 0;
    for (int tilt = 0; tilt < tilts; ++tilt) {
        const T* image = images + (long long)tilt * width * height;
        for (int part = 0; part < parts; ++part) {
            int base; T fu, fv;
            if (!corner<T>(m, parts, tilt, part, ix, iy, iz, width, height, &base, &fu, &fv)) continue;
            sum += (1 - fv) * ((1 - fu) * image[base] + fu * image[base + 1])
                 + fv * ((1 - fu) * image[base + width] + fu * image[base + width + 1]);
        }
    }
    volume[r] = (T)(weight * (double)sum);
}
"""


def forward(xp: ModuleType, volume: Array, affine: np.ndarray, shape: tuple[int, int]) -> tuple[Array, float]:
    """Return padded images of that shape (n_tilt, rows, columns) int64 of a volume (nz, ny, nx), and what 1 has become there."""
    tilts, (height, width), (nz, ny, nx) = len(affine), shape, volume.shape
    parts = affine.shape[1]
    largest = float(abs(volume).sum(dtype=np.float64)) * parts
    scale = 2.0**FIXED_BITS / largest if largest > 0 else 1.0
    padded = xp.zeros((tilts, height, width), dtype=np.int64)
    blocks = (-(-volume.size // BLOCK), tilts)
    sizes = tuple(np.int32(n) for n in (parts, nx, ny, nz, width, height))
    kernel = _kernel(xp, "splat", volume.dtype.char)
    kernel(blocks, (BLOCK,), (volume, xp.asarray(affine), padded, np.float64(scale), *sizes))
    return padded, scale


def adjoint(xp: ModuleType, padded: Array, affine: np.ndarray, shape: tuple[int, int, int], weight: float) -> Array:
    """Return the volume (nz, ny, nx) of the adjoint of padded images (n_tilt, rows, columns)."""
    tilts, height, width = padded.shape
    nz, ny, nx = shape
    volume = xp.empty(shape, dtype=padded.dtype)
    sizes = tuple(np.int32(n) for n in (tilts, affine.shape[1], nx, ny, nz, width, height))
    kernel = _kernel(xp, "gather", padded.dtype.char)
    kernel((-(-volume.size // BLOCK),), (BLOCK,), (padded, xp.asarray(affine), volume, np.float64(weight), *sizes))
    return volume


@functools.cache
def _kernel(xp: ModuleType, name: str, kind: str) -> Callable[..., None]:
    expression = f"{name}<{'double' if kind == 'd' else 'float'}>"
    names = [f"{kernel}<{real}>" for kernel in ("splat", "gather") for real in ("float", "double")]
    return xp.RawModule(code=SOURCE, options=("--std=c++14",), name_expressions=names).get_function(expression)
