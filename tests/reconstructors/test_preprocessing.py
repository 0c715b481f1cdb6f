"""The steps that prepare a series, each on input whose answer is known."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchsuite import contract_suite
from benchsuite.contract import Context
from benchsuite.data import Grid, Optics, TiltSeries, scanned
from benchsuite.metrics.phase import correlation
from benchsuite.physics.electrons import interaction_per_VA
from benchsuite.physics.projection.projector import Projector
from benchsuite.physics.rotations import single_axis, tilt_angles
from benchsuite.reconstructors.alignment.align import AlignParams
from benchsuite.reconstructors.mspt import MSPT
from benchsuite.reconstructors.preprocessing.align import Align
from benchsuite.reconstructors.preprocessing.background import Background
from benchsuite.reconstructors.preprocessing.denoise import Denoise, DenoiseParams, noise_of, restored, stabilised
from benchsuite.reconstructors.preprocessing.mask import Mask, MaskParams, binned
from benchsuite.reconstructors.preprocessing.projected_phase import ProjectedPhase
from benchsuite.reconstructors.preprocessing.scale import Scale
from benchsuite.reconstructors.preprocessing.sparsity import Sparsity
from benchsuite.reconstructors.ptychography.msp import MSPParams

PIXEL_A = 0.5


def series_of(images: np.ndarray, modality: str = "phase", dose: float = np.inf, step_A: float = PIXEL_A) -> TiltSeries:
    rotations = single_axis(tilt_angles(-90, 90, len(images)))
    data = images[:, None].astype(np.float32)
    return TiltSeries(modality, data, rotations, step_A, Optics(300.0, 20.0), np.zeros(1), dose)  # type: ignore[arg-type]


def preprocessed(step, series: TiltSeries, side: int | None = None):
    side = side or series.scan_shape[0]
    return step.preprocess(series, Context(Grid((side, side, side), series.scan_step_A), np.random.default_rng(0)))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.2, 5.0), min_size=3, max_size=9))
def test_scale_undoes_any_gain(gains):
    image = contract_suite.small_problem("phase")[0].data[0, 0]
    found = preprocessed(Scale(), series_of(np.array(gains)[:, None, None] * image))
    assert np.allclose(found.series.data, found.series.data[len(gains) // 2], rtol=1e-5)
    assert found.extras["scale"][len(gains) // 2] == 1.0


def test_scale_refuses_an_empty_image():
    images = np.ones((3, 8, 8))
    images[1] = -1
    assert "tilt 1" in str(Scale().accepts(series_of(images)))


def test_background_takes_off_the_level_of_the_frame():
    image = np.zeros((24, 24))
    image[8:16, 8:16] = 3.0
    levels = np.array([0.5, -0.25, 2.0])
    found = preprocessed(Background(), series_of(image + levels[:, None, None]))
    assert np.allclose(found.series.data[:, 0], image, atol=1e-6)
    assert np.allclose(found.extras["background"][:, 0], levels)


def test_noise_is_measured_beside_structure():
    rng = np.random.default_rng(3)
    smooth = contract_suite.small_problem("phase")[0].data[0, 0].repeat(8, axis=0).repeat(8, axis=1)
    assert noise_of(smooth + 0.2 * rng.standard_normal(smooth.shape)) == pytest.approx(0.2, rel=0.05)


@pytest.mark.parametrize("rate", [1.0, 4.0, 50.0])
def test_anscombe_and_its_inverse_are_unbiased(rate):
    counts = np.random.default_rng(5).poisson(rate, 200_000).astype(np.float64)
    stable = stabilised(counts / 10, 10.0)
    if rate >= 4:
        assert stable.std() == pytest.approx(1.0, rel=0.05)
    assert 10 * float(restored(np.array([stable.mean()]), 10.0)[0]) == pytest.approx(rate, rel=0.02)


@pytest.mark.parametrize("modality", ["phase", "adf"])
def test_denoising_brings_a_lattice_nearer_to_the_truth(modality):
    rng, axis = np.random.default_rng(2), np.arange(96)
    clean = 0.5 + 0.25 * (np.cos(2 * np.pi * axis / 8)[:, None] + np.cos(2 * np.pi * axis / 8))
    dose = 200.0
    if modality == "adf":
        electrons = dose * PIXEL_A**2
        series = series_of(rng.poisson(clean * electrons)[None] / electrons, modality, dose)
    else:
        series = series_of((clean + 0.1 * rng.standard_normal(clean.shape))[None])
    before = float(np.sqrt(((series.data[0, 0] - clean) ** 2).mean()))
    after = float(np.sqrt(((preprocessed(Denoise(), series).series.data[0, 0] - clean) ** 2).mean()))
    assert after < 0.5 * before


def test_counts_in_a_vacuum_are_denoised_too():
    """Most of an ADF image of a particle is empty: its noise is known from counting, not from the median of the image."""
    rng, electrons = np.random.default_rng(2), 2000 * PIXEL_A**2
    clean = np.zeros((96, 96))
    clean[24:72, 24:72] = 0.05
    series = series_of(rng.poisson(clean * electrons)[None] / electrons, "adf", 2000.0)
    found = preprocessed(Denoise(), series)
    assert found.extras["noise"][0, 0] == 1.0
    before, after = (float(np.sqrt(((one.data[0, 0] - clean) ** 2).mean())) for one in (series, found.series))
    assert after < 0.5 * before


def test_scaled_counts_are_not_denoised_as_counts():
    series = series_of(np.random.default_rng(2).poisson(5.0, (2, 32, 32)) / (200.0 / 2 * PIXEL_A**2), "adf", 200.0)
    assert Denoise().accepts(series) is None
    assert "let it come before" in str(Denoise().accepts(preprocessed(Background(), series).series))


def test_denoising_leaves_what_has_no_noise():
    image = np.zeros((32, 32))
    image[:16] = 1.0
    found = preprocessed(Denoise(), series_of(image[None]))
    assert np.allclose(found.series.data[0, 0], image, atol=1e-6)
    assert "no noise was found" in found.remark


def test_bm3d_is_asked_for_by_name():
    missing = importlib.util.find_spec("bm3d") is None
    refusal = Denoise(DenoiseParams(method="bm3d")).accepts(series_of(np.ones((1, 8, 8))))
    assert ("needs the package bm3d" in str(refusal)) == missing


def test_sparsity_keeps_waves_and_removes_noise():
    rng, axis = np.random.default_rng(4), np.arange(128)
    waves = 1 + np.cos(2 * np.pi * axis * 16 / 128)[:, None] * np.cos(2 * np.pi * axis * 24 / 128)
    noise = 0.1 * rng.standard_normal(waves.shape)
    found = preprocessed(Sparsity(), series_of((waves + noise)[None])).series.data[0, 0]
    assert np.abs(found - waves).std() < 0.5 * noise.std()
    again = preprocessed(Sparsity(), series_of(waves[None])).series.data[0, 0]
    assert np.allclose(again, waves, atol=1e-4)


def test_binning_keeps_the_centre():
    image = np.zeros((1, 25, 30), dtype=np.float32)
    image[0, 25 // 2, 30 // 2] = 1.0
    for bins in (1, 2, 3, 5):
        coarse = binned(image, bins, (12, 14))[0]
        weight = coarse / coarse.sum()
        centre = [float((weight.sum(axis=1 - axis) * np.arange(n)).sum()) for axis, n in enumerate(coarse.shape)]
        assert np.allclose(centre, [6, 7], atol=0.5 / bins if bins % 2 == 0 else 1e-6)


def test_mask_removes_what_is_outside_and_leaves_the_particle():
    grid = Grid((48, 48, 48), PIXEL_A)
    z, y, x = (PIXEL_A * (np.arange(48) - 24) for _ in range(3))
    ball = ((z[:, None, None] + 1) ** 2 + (y[:, None] - 2) ** 2 + (x - 3) ** 2 < 5**2).astype(np.float32)
    rotations = single_axis(tilt_angles(-75, 75, 12))
    projections = Projector(rotations, grid, (48, 48), PIXEL_A).forward(ball)
    littered = projections.copy()
    littered[:, :3, :3] = 2.0
    series = replace(series_of(littered), rotations=rotations)
    found = preprocessed(Mask(MaskParams(pixel_A=1.0)), series)
    assert (found.series.data[:, 0, :3, :3] == 0).all()
    assert np.array_equal(found.series.data[:, 0, 4:, 4:], projections[:, 4:, 4:])
    assert 0.3 < found.extras["masked"].mean() < 0.9


def test_phases_are_projections_of_the_potential():
    series, grid = contract_suite.small_problem("4dstem")
    for tilt in (3, 9):
        one = series.view(tilt)
        assert one.dose_e_per_A2 == series.dose_e_per_A2 / len(series.data)
        step = ProjectedPhase(MSPParams(slices=2, slice_A=6.0, iterations=30))
        found = step.preprocess(one, Context(grid, np.random.default_rng(0)))
        assert found.series.scan_step_A == grid.voxel_A
        true = contract_suite.gaussian_series(contract_suite.CHIRAL_A, one.rotations, grid.shape[1], grid.voxel_A).data[0, 0]
        assert correlation(found.series.data[0, 0], true) > 0.95
        slope = float(np.polyfit(true.ravel(), found.series.data[0, 0].ravel(), 1)[0])  # a constant phase does not show in patterns
        assert slope / (interaction_per_VA(300.0) * 400.0) == pytest.approx(1.0, abs=0.1)


def test_phases_go_on_beyond_the_scan_at_the_level_of_its_edges():
    """A constant phase is free; where the grid is larger than the scan, only the scanned part would have it."""
    series, grid = contract_suite.small_problem("4dstem")
    larger = Grid((grid.shape[0], grid.shape[1] + 16, grid.shape[2] + 8), grid.voxel_A)
    step = ProjectedPhase(MSPParams(slices=1, slice_A=12.0, iterations=10))
    found = step.preprocess(series.view(9), Context(larger, np.random.default_rng(0))).series.data[0, 0]
    assert found.shape == larger.shape[1:]
    ring = np.concatenate([found[:8].ravel(), found[-8:].ravel(), found[:, :4].ravel(), found[:, -4:].ravel()])
    assert np.ptp(ring) == 0
    inside = found[scanned(series, larger)]
    assert ring[0] == pytest.approx(
        np.median(np.concatenate([inside[:4].ravel(), inside[-4:].ravel()])), abs=0.1 * float(inside.max())
    )


def test_a_tilt_series_is_not_taken_for_one_tilt():
    series, _ = contract_suite.small_problem("4dstem")
    assert "tilts" in str(ProjectedPhase().accepts(series))


def test_unusable_patterns_are_refused_with_the_numbers():
    series, _ = contract_suite.small_problem("4dstem")
    sparse = replace(series.view(5), scan_step_A=5.0)
    assert "steps of 5 Å, but probes of 3.40 Å" in str(ProjectedPhase().accepts(sparse))
    one = contract_suite.small_problem("phase")[0].view(5)
    assert "for one view there is msp" in str(MSPT().accepts(one))
    assert "preprocess: [msp]" in str(MSPT().accepts(series))
    assert "at least 3 tilts, the series has 1" in str(Align().accepts(one))


def test_an_alignment_that_wanders_off_is_refused_and_nothing_is_lost():
    series, grid = contract_suite.small_problem("phase")
    found = Align(AlignParams(coarse=(), iterations=2, angle_iterations=2, max_angle_deg=1e-6)).preprocess(
        series, Context(grid, np.random.default_rng(0))
    )
    assert "alignment refused: an angle would be changed by" in found.remark
    assert np.array_equal(found.series.rotations, series.rotations)
    assert np.abs(found.series.data - series.data).max() < 1e-5 * series.data.max()
