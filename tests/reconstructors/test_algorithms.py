"""What is particular to each algorithm."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from benchsuite.contract import Context
from benchsuite.contract_suite import small_problem
from benchsuite.data import Grid
from benchsuite.physics.rotations import single_axis, tilt_angles
from benchsuite.reconstructors.genfire import (
    GENFIRE,
    GENFIREParams,
    cropped_inverse,
    enforcement_cutoffs,
    grid_projections,
    padded_shape,
    padded_transform,
    transform_at,
)
from benchsuite.reconstructors.resire import RESIRE, RESIREParams
from benchsuite.reconstructors.sirt import SIRT, SIRTParams
from benchsuite.reconstructors.wbp import exact_filter


def losses(algorithm):
    series, grid = small_problem()
    return [item.loss for item in algorithm.reconstruct(series, Context(grid, np.random.default_rng(0)))]


def test_plain_descent_falls_and_momentum_is_faster():
    plain = losses(RESIRE(RESIREParams(update="paper", iterations=30)))
    fast = losses(RESIRE(RESIREParams(iterations=30)))
    assert all(b <= a for a, b in itertools.pairwise(plain))
    assert fast[-1] < 0.5 * plain[-1]


def test_accelerated_convergence_is_faster_than_first_order():
    values = np.array(losses(RESIRE(RESIREParams(iterations=60))))
    order = -np.polyfit(np.log(np.arange(5, 31)), np.log(values[4:30]), 1)[0]
    assert order > 1.5


def test_sirt_residual_falls():
    values = losses(SIRT(SIRTParams(iterations=30)))
    assert values[-1] < 0.05 * values[0]
    assert all(b <= a * (1 + 1e-6) for a, b in itertools.pairwise(values))


def test_wbp_filter_becomes_the_ramp_for_many_tilts():
    weights = exact_filter(single_axis(tilt_angles(-90, 90, 400)), (32, 32), 1.0, 64.0)
    ramp = weights[200, 0, 1:16]
    assert np.allclose(ramp / ramp[-1], np.arange(1, 16) / 15, rtol=0.05)


def test_wbp_has_the_scale_of_the_object():
    from benchsuite import registry

    series, grid = small_problem()
    volume = list(registry.reconstructor("wbp")().reconstruct(series, Context(grid, np.random.default_rng(0))))[-1].volume
    assert volume.sum() * grid.voxel_A**3 == pytest.approx(4.0, rel=0.35)


def test_genfire_transforms_are_inverse_of_each_other():
    volume = np.random.default_rng(0).random((6, 8, 10)).astype(np.float32)
    shape = padded_shape(Grid(volume.shape, 1.0), 3)
    spectrum = padded_transform(volume, shape)
    assert np.allclose(spectrum, np.fft.rfftn(volume, shape, axes=(0, 1, 2)), atol=1e-4)
    assert np.allclose(cropped_inverse(spectrum, volume.shape, shape), volume, atol=1e-5)


def test_genfire_grids_exact_fourier_slices_of_an_untilted_view():
    rng = np.random.default_rng(0)
    volume = rng.random((8, 8, 8)).astype(np.float32)
    grid = Grid(volume.shape, 0.5)
    image = 0.5 * volume.astype(np.float64).sum(axis=0)[None]
    for gridding in ("dft", "fft"):
        points = grid_projections(image, np.eye(3)[None], 0.5, grid, GENFIREParams(gridding=gridding))
        spectrum = padded_transform(volume, padded_shape(grid, 3)).reshape(-1)[points.index]
        assert np.allclose(points.values, spectrum, atol=2e-4)
        assert len(points.index) > 200


def test_genfire_dft_at_fft_frequencies_is_the_fft():
    image = np.random.default_rng(0).random((7, 8))
    frequencies = np.stack(np.meshgrid(np.fft.fftfreq(7), np.fft.fftfreq(8), indexing="ij"), axis=-1).reshape(-1, 2)[:, ::-1]
    expected = np.fft.fft2(np.fft.ifftshift(image)).ravel()
    assert np.allclose(transform_at(image, frequencies), expected)


def test_genfire_cutoffs_run_down_and_back():
    cutoffs = enforcement_cutoffs(100, "extension_suppression")
    assert cutoffs[0] == pytest.approx(0.95)
    assert cutoffs.min() == pytest.approx(-0.15)
    assert cutoffs[-1] == pytest.approx(0.95)
    assert np.all(enforcement_cutoffs(5, "all") < 0)


def test_genfire_returns_its_best_iterate():
    series, grid = small_problem()
    items = list(GENFIRE(GENFIREParams(iterations=24)).reconstruct(series, Context(grid, np.random.default_rng(0))))
    assert items[-1].loss == pytest.approx(min(item.loss for item in items[1:]), rel=1e-6)
