"""Gaussians on several planes at once, and what they see there, on the CPU or a CUDA device."""

from __future__ import annotations

import numpy as np

from benchsuite.physics.backend import Array, get_array_module
from benchsuite.physics.compiled import run_pieces
from benchsuite.physics.gaussians import cuda
from benchsuite.physics.gaussians import engine_numba as cpu


def splat(
    shape: tuple[int, int, int], atoms: Array, place: Array, u: Array, v: Array, peak: Array, width: Array, threads: int = 1
) -> Array:
    """Return planes (k, ny, nx) float32 with the Gaussians of the listed atoms (arguments as for `cuda.splat`)."""
    if get_array_module(u) is not np:
        return cuda.splat(shape, atoms, place, u, v, peak, width)
    planes = np.zeros(shape, np.float32)
    run_pieces(lambda k: cpu.splat(planes[k], atoms[place == k], u, v, peak, width), range(shape[0]), threads)
    return planes


def gather(planes: Array, atoms: Array, place: Array, u: Array, v: Array, width: Array, sums: Array, threads: int = 1) -> None:
    """Set sums[i] to the moments of each listed atom's plane under its Gaussian (arguments as for `cuda.gather`)."""
    if get_array_module(u) is not np:
        cuda.gather(planes, atoms, place, u, v, width, sums)
        return
    run_pieces(lambda k: cpu.gather(planes[k], atoms[place == k], u, v, width, sums), range(len(planes)), threads)
