"""Local orbitals in whole arrays and on CUDA devices: the same numbers as from the engine with FFTW."""

from __future__ import annotations

import ctypes
import shutil
import subprocess

import numpy as np
import pytest

from benchsuite.data import Optics
from benchsuite.physics.fft import fftw
from benchsuite.physics.gaussians import cuda
from benchsuite.physics.gaussians import engine_numba as cpu
from benchsuite.physics.gaussians.atoms import Orbitals, View
from benchsuite.physics.gaussians.fine_grid import FineGrid
from benchsuite.physics.gaussians.image_model import SPREAD, OrbitalModel, ramp
from benchsuite.physics.gaussians.probe_stack import ProbeStack
from benchsuite.physics.rotations import rotation

SHAPE, STEP = (34, 40), 0.34
DEPTHS = 3.0 * (np.arange(7) - 3)

PLAIN = (
    r"""
#include <cmath>
#define __global__
#define __device__
struct Index { unsigned x; };
static Index blockIdx, blockDim, threadIdx;
static long long __double2ll_rn(double value) { return std::llrint(value); }
static void atomicAdd(unsigned long long* where, unsigned long long value) { *where += value; }
extern "C" void become(unsigned block, unsigned size, unsigned thread) {
    blockIdx.x = block; blockDim.x = size; threadIdx.x = thread;
}
"""
    + cuda.SOURCE
)


def model(interaction="rigid", **more):
    if interaction == "direct":
        return OrbitalModel(FineGrid(SHAPE, STEP, 1), **more)
    grid = FineGrid(SHAPE, STEP, 2)
    optics = Optics(300.0, 25.0, {"C12": 15.0, "phi12_deg": 30.0})
    return OrbitalModel(grid, ProbeStack(grid, optics, (0.0, 12.0), DEPTHS, SPREAD * grid.pixel_A**2), **more)


def some_atoms(seed=0, count=40):
    """Some of them beyond the ends of the slices and of the field."""
    rng = np.random.default_rng(seed)
    return Orbitals(rng.uniform(-8, 8, (count, 3)), rng.uniform(0.5, 1.5, count), rng.uniform(0.05, 0.3, count))


def answers(of):
    """Images, loss and all gradients for two foci, before and after the probes have changed."""
    rng = np.random.default_rng(5)
    views = [View(rotation("y", 20.0 * i - 40), i % 2, rng.normal(0, 0.01, 3), rng.normal(0, 0.1, 2)) for i in range(5)]
    measured = np.stack([of.image(some_atoms(1), view) for view in views])
    found = [measured]
    for weights in (None, ramp(SHAPE)):
        of.weights = weights
        gradient = of.gradient(some_atoms(), views, measured, with_probes=True)
        found += [gradient.loss, gradient.total, gradient.atoms, gradient.views]
        for stack, one in gradient.probes.items():
            found += [one.gradient, one.power]
            of.probes.follow(stack, one.gradient, one.power, len(views))
    return found


def assert_same(ours, theirs, tolerance=1e-5):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert type(one) is np.ndarray
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * np.abs(other).max())


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """The source of the CUDA kernels compiled as C++, and called as cupy would call them, thread after thread."""
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    folder = tmp_path_factory.mktemp("kernels")
    (folder / "plain.cpp").write_text(PLAIN)
    subprocess.run([compiler, "-std=c++14", "-O1", "-shared", "-fPIC", "-o", "plain.so", "plain.cpp"], cwd=folder, check=True)
    library = ctypes.CDLL(str(folder / "plain.so"))
    scalars = {np.int32: ctypes.c_int, np.float64: ctypes.c_double}

    def named(_, name):
        def launch(blocks, threads, arguments):
            for one in arguments:
                assert not isinstance(one, np.ndarray) or one.flags.c_contiguous
            given = [one.ctypes.data_as(ctypes.c_void_p) if one.ndim else scalars[type(one)](one) for one in arguments]
            for block in range(blocks[0]):
                for thread in range(threads[0]):
                    library.become(block, threads[0], thread)
                    getattr(library, name)(*given)

        return launch

    return named


@pytest.mark.parametrize("interaction", ["direct", "rigid"])
@pytest.mark.parametrize("batch", [1, 3, 100])
def test_both_engines_agree(interaction, batch):
    assert fftw.available()
    ours, theirs = model(interaction, compiled=False), model(interaction, threads=2)
    assert type(ours.engine) is not type(theirs.engine)
    ours.engine.batch = batch
    assert_same(answers(ours), answers(theirs))


def test_the_cuda_kernels_compute_what_the_compiled_loops_compute(kernel, monkeypatch):
    monkeypatch.setattr(cuda, "_kernel", kernel)
    rng, shape = np.random.default_rng(0), (3, 48, 60)
    u, v = rng.uniform(-12, 72, 300), rng.uniform(-12, 60, 300)
    u[:3], v[3:6] = (-1e12, 1e12, np.nan), (-1e12, 1e12, np.nan)
    peak, width = rng.normal(size=300), np.concatenate([rng.uniform(0.3, 20, 299), [3e3]])
    atoms, place = rng.permutation(300)[:280], rng.integers(0, 3, 280).astype(np.int32)
    ours = cuda.splat(shape, atoms, place, u, v, peak, width)
    theirs, given = np.zeros(shape, np.float32), rng.normal(size=shape).astype(np.float32)
    sums, wanted = np.zeros((300, 4)), np.zeros((300, 4))
    cuda.gather(given, atoms, place, u, v, width, sums)
    for k in range(3):
        cpu.splat(theirs[k], atoms[place == k], u, v, peak, width)
        cpu.gather(given[k], atoms[place == k], u, v, width, wanted)
    assert ours.dtype == np.float32
    of_noise = np.sqrt(width)[:, None] * np.stack([np.ones(300), np.sqrt(width), np.sqrt(width), width], axis=1)
    assert_same([ours, sums / of_noise], [theirs, wanted / of_noise])


class Elsewhere:
    """numpy, with copies of what it is given, as another device has them."""

    asarray = staticmethod(np.array)

    def __getattr__(self, name):
        return getattr(np, name)


@pytest.mark.parametrize("interaction", ["direct", "rigid"])
def test_the_engine_agrees_with_the_cuda_kernels_too(kernel, monkeypatch, interaction):
    monkeypatch.setattr(cuda, "_kernel", kernel)
    ours = model(interaction, compiled=False)
    ours.engine.xp = Elsewhere()
    ours.engine.splat, ours.engine.gather = cuda.splat, cuda.gather
    assert_same(answers(ours), answers(model(interaction)))


def test_a_weight_that_is_not_finite_is_seen_in_the_planes(kernel, monkeypatch):
    """Fixed point has no word for it."""
    monkeypatch.setattr(cuda, "_kernel", kernel)
    atoms, centre, place = np.arange(2), np.array([3.0, 4.0]), np.zeros(2, np.int32)
    for wrong in (np.nan, np.inf):
        drawn = cuda.splat((1, 8, 8), atoms, place, centre, centre, np.array([1.0, wrong]), np.ones(2))
        assert not np.isfinite(drawn).any()
    assert not cuda.splat((1, 8, 8), atoms, place, centre, centre, np.zeros(2), np.ones(2)).any()


@pytest.mark.gpu
@pytest.mark.parametrize("interaction", ["direct", "rigid"])
def test_the_gpu_computes_what_the_cpu_computes(interaction):
    from benchsuite.physics.backend import gpu_available, module_for

    if not gpu_available():
        pytest.skip("no CUDA device")
    first, second = (answers(model(interaction, xp=module_for("cuda"))) for _ in range(2))
    assert_same(first, answers(model(interaction)), tolerance=1e-4)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
