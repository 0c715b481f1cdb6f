"""Multislice ptychography on patterns of its own model: slices, probe and positions come back; exact resumption; refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchsuite.contract import Context
from benchsuite.data import Grid, Optics, TiltSeries
from benchsuite.physics.electrons import interaction_per_VA
from benchsuite.physics.multislice.series_model import SeriesModel
from benchsuite.physics.probe import incoherent_modes
from benchsuite.physics.rotations import single_axis
from benchsuite.reconstructors.ptychography.msp import MSP, MSPParams
from benchsuite.reconstructors.ptychography.ptychography import depth_filter

SIDE, PIXEL, SCAN, STEP = 48, 0.4, 16, 0.8
TWO = MSPParams(slices=2, slice_A=60.0, refine_probe=False)
INNER = slice(12, -12)


GRID = Grid((SIDE, SIDE, SIDE), PIXEL)


def context(seed=1, **more):
    return Context(GRID, np.random.default_rng(seed), **more)


@pytest.fixture(scope="module")
def crime():
    """Two slices of smooth atoms 60 Å apart, and the patterns that the model itself makes of them."""
    empty = np.zeros((1, 1, SCAN, SCAN, SIDE, SIDE), np.float32)
    optics = Optics(300.0, 21.0)
    series = TiltSeries(
        "4dstem", empty, np.eye(3)[None], STEP, optics, np.array([-100.0]), reciprocal_step_per_A=1 / (SIDE * PIXEL)
    )
    model = SeriesModel(series, GRID, TWO.discretisation())
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] * PIXEL
    phase = np.zeros((2, SIDE, SIDE), np.float32)
    for plane in phase:
        for across, down in rng.uniform(2, SIDE * PIXEL - 2, (30, 2)):
            plane += 0.25 * np.exp(-((x - across) ** 2 + (y - down) ** 2) / (2 * 0.45**2)).astype(np.float32)
    patterns = np.fft.fftshift(model.through(0, 0, model.kernel.transmission(phase)), axes=(1, 2))
    return phase, replace(series, data=patterns.reshape(empty.shape).astype(np.float32))


def last(series, params, **more):
    return list(MSP(params).reconstruct(series, context(**more)))[-1]


def correlation(found, truth):
    return np.corrcoef(found[INNER, INNER].ravel(), truth[INNER, INNER].ravel())[0, 1]


def test_both_slices_of_its_own_model_come_back(crime):
    phase, series = crime
    found = last(series, TWO)
    assert min(correlation(*pair) for pair in zip(found.slices.phase, phase, strict=True)) > 0.998
    np.testing.assert_allclose(found.slices.phase[:, INNER, INNER], phase[:, INNER, INNER], atol=0.05)
    assert found.fit.r_factor_per_image[0] < 1e-3
    assert found.volume[SIDE // 2 + 3].max() == pytest.approx(
        found.slices.phase[1].max() / (interaction_per_VA(300) * 60), rel=1e-3
    )
    assert (found.volume[0] == found.volume[SIDE // 2 - 1]).all()
    assert not np.allclose(found.volume[0], found.volume[-1])


def test_a_wrong_defocus_is_undone_by_the_probe(crime):
    phase, series = crime
    wrong = replace(series, defocus_A=np.array([-80.0]))
    held = last(wrong, TWO)
    followed = last(wrong, TWO.model_copy(update={"refine_probe": True, "iterations": 150}))
    assert followed.loss < 1e-2 * held.loss
    assert correlation(followed.slices.phase.sum(axis=0), phase.sum(axis=0)) > 0.999


def test_displaced_positions_are_found(crime):
    phase, series = crime
    params = TWO.model_copy(update={"refine_positions": True, "iterations": 100})
    fit = MSP(params)
    rng = np.random.default_rng(3)
    model = SeriesModel(series, GRID, params.discretisation())
    moved = rng.normal(0, 0.15, model.positions_A.shape)
    model.positions_A = model.positions_A + moved
    patterns = np.fft.fftshift(model.through(0, 0, model.kernel.transmission(phase)), axes=(1, 2))
    drifting = replace(series, data=patterns.reshape(series.data.shape).astype(np.float32))
    found = list(fit.reconstruct(drifting, context()))[-1]
    raster = model.positions_A - moved
    residual = found.fit.positions_A - raster - moved
    residual = residual - residual.mean(axis=2, keepdims=True)
    assert residual.std() < 0.3 * moved.std()


def test_positions_a_third_of_an_angstrom_off_come_back(crime):
    """Errors that a raster does not know, up to 0.3 Å along each axis; probe and slices are unknown, too."""
    phase, series = crime
    params = TWO.model_copy(update={"refine_positions": True, "refine_probe": True, "iterations": 120})
    model = SeriesModel(series, GRID, params.discretisation())
    raster = model.positions_A.copy()
    moved = np.random.default_rng(5).uniform(-0.3, 0.3, raster.shape)
    model.positions_A = raster + moved
    patterns = np.fft.fftshift(model.through(0, 0, model.kernel.transmission(phase)), axes=(1, 2))
    displaced = replace(series, data=patterns.reshape(series.data.shape).astype(np.float32))
    found, held = last(displaced, params), last(displaced, TWO)
    residual = found.fit.positions_A - raster - moved
    residual = residual - residual.mean(axis=2, keepdims=True)
    assert np.sqrt((residual**2).mean()) < 0.05
    assert found.loss < 0.05 * held.loss


def test_a_partially_coherent_source_takes_two_modes(crime):
    """Patterns of two known modes, made by the model and added: slices from one mode and from two."""
    phase, series = crime
    model = SeriesModel(series, GRID, TWO.discretisation())
    true = incoherent_modes(model.apertures[0], 2)
    true *= np.sqrt(np.array([0.75, 0.25]) / (abs(true) ** 2).sum(axis=(1, 2)))[:, None, None].astype(np.float32)
    patterns = 0
    for mode in true:
        model.apertures[0] = mode
        patterns = patterns + model.through(0, 0, model.kernel.transmission(phase))
    mixed = replace(series, data=np.fft.fftshift(patterns, axes=(1, 2)).reshape(series.data.shape).astype(np.float32))
    one, two = (last(mixed, MSPParams(slices=2, slice_A=60.0, modes=modes, iterations=100)) for modes in (1, 2))
    quality = [correlation(found.slices.phase.sum(axis=0), phase.sum(axis=0)) for found in (one, two)]
    assert two.loss < 0.2 * one.loss
    assert 1 - quality[1] < 0.5 * (1 - quality[0])
    modes = two.fit.apertures[0]
    assert modes.shape == (2, SIDE, SIDE)
    strong, weak = (abs(modes) ** 2).sum(axis=(1, 2))
    assert strong > weak > 0.08  # it began with 0.03, and grows slowly
    assert abs((modes[0] * modes[1].conj()).sum()) < 1e-6
    assert one.fit.apertures.shape == (1, SIDE, SIDE)


def test_modes_need_a_probe_that_follows():
    with pytest.raises(ValueError, match="modes: 2 follow the data; set refine_probe: true, or modes: 1"):
        MSPParams(modes=2, refine_probe=False)


@pytest.mark.parametrize("modes", [1, 2])
def test_an_interrupted_fit_goes_on_with_equal_bits(crime, modes):
    _, series = crime
    params = TWO.model_copy(update={"iterations": 6, "modes": modes, "refine_probe": True, "refine_positions": True})
    whole = list(MSP(params).reconstruct(series, context()))
    state = {}
    for iterate in MSP(params).reconstruct(series, context()):
        state = {name: np.array(array) for name, array in iterate.state.items()}
        if iterate.iteration == 3:
            break
    again = list(MSP(params).reconstruct(series, context(resumed=state)))
    assert len(again) == 3
    np.testing.assert_array_equal(again[-1].volume, whole[-1].volume)
    np.testing.assert_array_equal(again[-1].fit.positions_A, whole[-1].fit.positions_A)


def test_the_filter_in_depth_keeps_what_a_probe_tells_apart():
    factor = depth_filter((5, 32, 32), 0.4, 30.0, 0.021, 1.0)
    assert factor.shape == (5, 32, 17)
    assert (factor[0] == 1).all()  # nothing that is the same in all slices is changed
    assert (depth_filter((5, 32, 32), 0.4, 30.0, 0.021, 0.0) == 1).all()
    coarse, fine = factor[2, 0, 1], factor[2, 0, 16]
    assert coarse < 0.2 < 0.8 < fine < 1


def test_msp_refuses_more_than_one_view(crime):
    _, series = crime
    tilted = replace(series, rotations=single_axis(np.array([5.0])))
    assert "MSP needs one untilted view, the series has 1 tilts" in MSP().accepts(tilted)
    two = replace(series, data=np.concatenate([series.data] * 2), rotations=np.stack([np.eye(3)] * 2))
    assert "the series has 2 tilts; mspt takes tilt series" in MSP().accepts(two)
    focal = replace(series, data=np.concatenate([series.data] * 2, axis=1), defocus_A=np.array([0.0, 5.0]))
    assert MSP().accepts(focal) == "MSP needs one focus, the series has 2"
    assert MSP().accepts(series) is None
