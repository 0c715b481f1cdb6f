"""The fit to patterns in array operations, and on a GPU, against compiled loops on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

from benchsuite.physics.backend import module_for
from benchsuite.physics.fft import fftw
from benchsuite.physics.gaussians.pattern_model import PatternModel
from tests.reconstructors.made_patterns import (
    GRID,
    SHAPES,
    SLICE_A,
    counted,
    model_of,
    orbitals,
    series_of,
    some_atoms,
    views_of,
)


@pytest.fixture(scope="module")
def problem():
    atoms = some_atoms()
    series = counted(series_of(atoms, tilts=3), 1e3)
    return orbitals(atoms.positions + 0.05, atoms.weight), series


def found(model, atoms, series):
    views = views_of(series)
    sweep, known = model.evaluate(atoms, views), model.information(atoms, views, np.random.default_rng(0))
    return sweep.loss, sweep.by_atom, sweep.by_view, known.blocks, known.by_view


def assert_same(one, other, tolerance):
    for first, second in zip(one, other, strict=True):
        assert np.abs(np.asarray(first) - second).max() <= tolerance * np.abs(second).max()


def test_array_operations_compute_what_compiled_loops_compute(problem, monkeypatch):
    atoms, series = problem
    compiled = found(model_of(series), atoms, series)
    monkeypatch.setattr(fftw, "available", lambda: False)
    assert_same(found(model_of(series), atoms, series), compiled, 1e-3)


@pytest.mark.gpu
def test_the_gpu_computes_what_the_cpu_computes(problem):
    from benchsuite.physics.backend import gpu_available

    if not gpu_available():
        pytest.skip("no CUDA device")
    atoms, series = problem
    model = PatternModel(series, GRID, SHAPES, SLICE_A, xp=module_for("cuda"))
    assert_same(found(model, atoms, series), found(model_of(series), atoms, series), 1e-3)
