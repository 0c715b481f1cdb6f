"""Local orbitals: drawing against evaluating, a sweep over the papers' specimens, its growth with atoms, and their packing."""

from __future__ import annotations

import resource
import time

import numba
import numpy as np
import pytest

from benchsuite import registry
from benchsuite.data import Optics
from benchsuite.physics.backend import thread_count
from benchsuite.physics.gaussians.atoms import Gradient, Orbitals, View
from benchsuite.physics.gaussians.engine_numba import CUTOFF_EXPONENT, gather, splat
from benchsuite.physics.gaussians.fine_grid import FineGrid
from benchsuite.physics.gaussians.image_model import SPREAD, OrbitalModel
from benchsuite.physics.gaussians.probe_stack import ProbeStack
from benchsuite.physics.rotations import single_axis

OPTICS = Optics(300.0, 25.0)
STEP_A = 0.34
FINE_A = STEP_A / 2
DENSITY = 0.058  # atoms per Å³
SLICE_A = 4.0
IMAGES = 71


@numba.njit(fastmath=True, nogil=True)
def evaluated(u, v, width, block):  # type: ignore[no-untyped-def]
    """The least that drawing takes: every Gaussian on its own pixels, one exponential per row and column, in a small block."""
    for i in range(len(u)):
        reach = int(np.sqrt(CUTOFF_EXPONENT * width[i])) + 1
        across = np.exp(-((np.arange(-reach, reach + 1) - u[i] % 1) ** 2) / width[i]).astype(np.float32)
        down = np.exp(-((np.arange(-reach, reach + 1) - v[i] % 1) ** 2) / width[i]).astype(np.float32)
        for row in range(len(down)):
            for column in range(len(across)):
                block[row, column] = down[row] * across[column]


def least_seconds(function, *arguments, rounds=5):
    best = np.inf
    for _ in range(rounds):
        started = time.perf_counter()
        function(*arguments)
        best = min(best, time.perf_counter() - started)
    return best


@pytest.mark.parametrize("what", ["splat", "gather"])
@pytest.mark.parametrize("width_A2", [0.02, 0.3])
def test_drawing_against_evaluating(benchmark, what, width_A2):
    """25,000 atoms of one image, one core; an atom's width and the widening of the grid."""
    rng, count = np.random.default_rng(0), 25_000
    u, v = rng.uniform(30, 570, (2, count))
    width = np.full(count, width_A2 / FINE_A**2 + SPREAD)
    plane, atoms = np.zeros((600, 600), np.float32), np.arange(count)
    if what == "splat":
        benchmark(splat, plane, atoms, u, v, np.ones(count), width)
    else:
        benchmark(gather, plane, atoms, u, v, width, np.zeros((count, 4)))
    bound = least_seconds(evaluated, u, v, width, np.zeros((64, 64), np.float32))
    benchmark.extra_info["times_evaluating"] = round(benchmark.stats["min"] / bound, 2)
    benchmark.extra_info["nanoseconds_per_atom"] = round(1e9 * benchmark.stats["min"] / count)


def specimen(atoms: int) -> tuple[OrbitalModel, Orbitals, float]:
    """Return model and atoms of a silicon sphere as the papers have it, and its diameter in Å."""
    radius = float(np.cbrt(3 * atoms / (4 * np.pi * DENSITY)))
    rng = np.random.default_rng(0)
    towards = rng.normal(size=(atoms, 3))
    positions = towards / np.linalg.norm(towards, axis=1, keepdims=True) * radius * np.cbrt(rng.random((atoms, 1)))
    side = int(np.ceil(2.18 * radius / STEP_A))
    grid = FineGrid((side, side), STEP_A, 2)
    count = int(np.ceil(side * STEP_A / SLICE_A))
    depths = SLICE_A * (np.arange(count) - (count - 1) / 2)
    probes = ProbeStack(grid, OPTICS, (0.0,), depths, SPREAD * grid.pixel_A**2)
    return OrbitalModel(grid, probes, thread_count()), Orbitals(positions, np.full(atoms, 0.05), np.full(atoms, 0.1)), 2 * radius


def sweep(model: OrbitalModel, atoms: Orbitals, images: int, with_probes: bool) -> Gradient:
    views = [View(rotation, 0, np.zeros(3), np.zeros(2)) for rotation in single_axis(np.linspace(-70, 70, images))]
    return model.gradient(atoms, views, np.zeros((images, *model.grid.coarse), np.float32), with_probes)


def fft_seconds(grid: FineGrid) -> float:
    plane, spectrum = np.zeros(grid.shape, np.float32), np.zeros(grid.half_shape, np.complex64)
    return least_seconds(grid.forward, plane, spectrum)


@pytest.mark.parametrize("with_probes", [False, True], ids=["atoms", "atoms and probes"])
def test_a_sweep_over_m1(benchmark, with_probes):
    """25,000 atoms, 71 images of 300², slices of 4 Å, all threads; transforms per slice: 2, with probes 3."""
    model, atoms, diameter = specimen(25_000)
    benchmark.pedantic(sweep, args=(model, atoms, IMAGES, with_probes), rounds=2, iterations=1, warmup_rounds=0)
    occupied = diameter / SLICE_A + 1
    bound = IMAGES * (occupied * (3 if with_probes else 2) + 2) * fft_seconds(model.grid) / model.threads
    benchmark.extra_info["fraction_of_fft_bound"] = round(bound / benchmark.stats["min"], 2)


@pytest.mark.parametrize("atoms", [10**3, 10**4, 10**5])
def test_growth_with_the_number_of_atoms(benchmark, atoms):
    """Atom gradients of 4 images."""
    model, orbitals, diameter = specimen(atoms)
    sweep(model, orbitals, 4, False)
    benchmark.pedantic(sweep, args=(model, orbitals, 4, False), rounds=3, iterations=1)
    benchmark.extra_info["microseconds_per_atom_and_image"] = round(1e6 * benchmark.stats["min"] / (4 * atoms), 2)
    benchmark.extra_info["diameter_nm"] = round(diameter / 10, 1)


@pytest.mark.slow
def test_a_sweep_over_a_million_atoms(benchmark):
    """M8: 10⁶ atoms in 71 images of 1026², all gradients with those of the probes, all threads (minutes)."""
    model, atoms, _ = specimen(10**6)
    benchmark.pedantic(sweep, args=(model, atoms, IMAGES, True), rounds=1, iterations=1)
    benchmark.extra_info["microseconds_per_atom_and_image"] = round(1e6 * benchmark.stats["min"] / (IMAGES * 10**6), 2)
    benchmark.extra_info["peak_memory_GB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2)


@pytest.mark.slow
def test_packing_of_a_million_atoms(benchmark):
    cls = registry.phantom("amorphous")
    phantom = cls(cls.Params(atoms=10**6))
    benchmark.pedantic(phantom.build, args=(np.random.default_rng(0),), rounds=1, iterations=1)
    benchmark.extra_info["peak_memory_GB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2)
