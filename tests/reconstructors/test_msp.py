"""Multislice ptychography on patterns of its own model: slices, probe and positions come back; exact resumption; refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchsuite.contract import Context
from benchsuite.data import Grid, Optics, TiltSeries
from benchsuite.electrons import interaction_per_VA
from benchsuite.geometry import single_axis
from reconstructors.msp import MSP, MSPParams
from reconstructors.multislice.forward_model import ForwardModel
from reconstructors.multislice.ptychography import depth_filter

SIDE, PIXEL, SCAN, STEP = 48, 0.4, 16, 0.8
TWO = MSPParams(slices=2, slice_A=60.0, refine_probe=False)
INNER = slice(12, -12)


def context(seed=1, **more):
    return Context(Grid((SIDE, SIDE, SIDE), PIXEL), np.random.default_rng(seed), **more)


@pytest.fixture(scope="module")
def crime():
    """Two slices of smooth atoms 60 Å apart, and the patterns that the model itself makes of them."""
    empty = np.zeros((1, 1, SCAN, SCAN, SIDE, SIDE), np.float32)
    optics = Optics(300.0, 21.0)
    series = TiltSeries(
        "4dstem", empty, np.eye(3)[None], STEP, optics, np.array([-100.0]), reciprocal_step_per_A=1 / (SIDE * PIXEL)
    )
    model = ForwardModel(series, context(), TWO.discretisation())
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
    assert min(correlation(*pair) for pair in zip(found.extras["phase"], phase, strict=True)) > 0.998
    np.testing.assert_allclose(found.extras["phase"][:, INNER, INNER], phase[:, INNER, INNER], atol=0.05)
    assert found.extras["r_factor_per_image"][0] < 1e-3
    assert found.volume[SIDE // 2 + 3].max() == pytest.approx(
        found.extras["phase"][1].max() / (interaction_per_VA(300) * 60), rel=1e-3
    )
    assert (found.volume[0] == found.volume[SIDE // 2 - 1]).all()
    assert not np.allclose(found.volume[0], found.volume[-1])


def test_a_wrong_defocus_is_undone_by_the_probe(crime):
    phase, series = crime
    wrong = replace(series, defocus_A=np.array([-80.0]))
    held = last(wrong, TWO)
    followed = last(wrong, TWO.model_copy(update={"refine_probe": True, "iterations": 150}))
    assert followed.loss < 1e-2 * held.loss
    assert correlation(followed.extras["phase"].sum(axis=0), phase.sum(axis=0)) > 0.999


def test_displaced_positions_are_found(crime):
    phase, series = crime
    params = TWO.model_copy(update={"refine_positions": True, "iterations": 100})
    fit = MSP(params)
    rng = np.random.default_rng(3)
    model = ForwardModel(series, context(), params.discretisation())
    moved = rng.normal(0, 0.15, model.positions_A.shape)
    model.positions_A = model.positions_A + moved
    patterns = np.fft.fftshift(model.through(0, 0, model.kernel.transmission(phase)), axes=(1, 2))
    drifting = replace(series, data=patterns.reshape(series.data.shape).astype(np.float32))
    found = list(fit.reconstruct(drifting, context()))[-1]
    raster = model.positions_A - moved
    residual = found.extras["positions_A"] - raster - moved
    residual = residual - residual.mean(axis=2, keepdims=True)
    assert residual.std() < 0.3 * moved.std()


def test_an_interrupted_fit_goes_on_with_equal_bits(crime):
    _, series = crime
    params = TWO.model_copy(update={"iterations": 6, "refine_probe": True, "refine_positions": True})
    whole = list(MSP(params).reconstruct(series, context()))
    state = {}
    for iterate in MSP(params).reconstruct(series, context()):
        state = {name: np.array(array) for name, array in iterate.state.items()}
        if iterate.iteration == 3:
            break
    again = list(MSP(params).reconstruct(series, context(resumed=state)))
    assert len(again) == 3
    np.testing.assert_array_equal(again[-1].volume, whole[-1].volume)
    np.testing.assert_array_equal(again[-1].extras["positions_A"], whole[-1].extras["positions_A"])


def test_the_filter_in_depth_keeps_what_a_probe_tells_apart():
    factor = depth_filter((5, 32, 32), 0.4, 30.0, 0.021, 1.0)
    assert factor.shape == (5, 32, 17)
    assert (factor[0] == 1).all()  # nothing that is the same in all slices is changed
    assert (depth_filter((5, 32, 32), 0.4, 30.0, 0.021, 0.0) == 1).all()
    coarse, fine = factor[2, 0, 1], factor[2, 0, 16]
    assert coarse < 0.2 < 0.8 < fine < 1


def test_what_is_no_single_view_is_refused(crime):
    _, series = crime
    tilted = replace(series, rotations=single_axis(np.array([5.0])))
    assert "MSP needs one untilted view, the series has 1 tilts" in MSP().accepts(tilted)
    two = replace(series, data=np.concatenate([series.data] * 2), rotations=np.stack([np.eye(3)] * 2))
    assert "the series has 2 tilts; mspt takes tilt series" in MSP().accepts(two)
    focal = replace(series, data=np.concatenate([series.data] * 2, axis=1), defocus_A=np.array([0.0, 5.0]))
    assert MSP().accepts(focal) == "MSP needs one focus, the series has 2"
    assert MSP().accepts(series) is None
