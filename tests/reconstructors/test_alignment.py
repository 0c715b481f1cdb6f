"""Alignment: known shifts and angles are found again, exact operators are exact, and what is worse is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchsuite.contract_suite import gaussian_series
from benchsuite.data import Grid, TiltSeries
from benchsuite.metrics.alignment import alignment_error
from benchsuite.phantoms.spinel import Spinel
from benchsuite.physics.projection.projector import Projector
from benchsuite.physics.rotations import random_rotation, rotation, single_axis, tilt_angles
from benchsuite.reconstructors.alignment.align import AlignParams, align
from benchsuite.reconstructors.alignment.blurred_projector import BlurredProjector
from benchsuite.reconstructors.alignment.centre_of_mass import centre_of_mass
from benchsuite.reconstructors.alignment.common_line import common_line
from benchsuite.reconstructors.alignment.cross_correlation import cross_correlation
from benchsuite.reconstructors.alignment.distortion import distortion_modes
from benchsuite.reconstructors.alignment.elimination import Eliminated
from benchsuite.reconstructors.alignment.result import Alignment, aligned
from benchsuite.reconstructors.alignment.shifting import moved, smoothed
from benchsuite.reconstructors.alignment.tilt_axis import tilt_angles_rad, tilt_axis

PIXEL_A = 0.4
seeds = st.integers(0, 10**6)


def specimen(rng: np.random.Generator, radius_A: float, atoms: int, closest_A: float = 1.8) -> np.ndarray:
    """Positions of random atoms in a ball that keep their distance, centred on their mean."""
    kept = np.empty((0, 3))
    while len(kept) < atoms:
        place = rng.uniform(-radius_A, radius_A, 3)
        if np.linalg.norm(place) < radius_A and (np.linalg.norm(kept - place, axis=1) > closest_A).all():
            kept = np.vstack([kept, place])
    return kept - kept.mean(axis=0)


def misaligned(positions, angles_deg, rng, side, drift_px=3.0, error_deg=0.5):
    """Return a series with nominal rotations, the true rotations, and the drift (n, 2) in Å that its images have."""
    nominal = single_axis(angles_deg)
    errors = rng.uniform(-error_deg, error_deg, len(nominal))
    true = np.stack([rotation("y", error) @ matrix for error, matrix in zip(errors, nominal, strict=True)])
    drift = PIXEL_A * rng.uniform(-drift_px, drift_px, (len(nominal), 2))
    images = [  # drawn at their shifted places: no interpolation shared with the code under test
        gaussian_series(positions + np.array([*shift, 0]) @ matrix, matrix[None], side, PIXEL_A).data[0]
        for matrix, shift in zip(true, drift, strict=True)
    ]
    series = replace(gaussian_series(positions, nominal[:1], side, PIXEL_A), data=np.stack(images), rotations=nominal)
    return series, true, drift


def with_counts(series: TiltSeries, rng: np.random.Generator, brightest: float) -> TiltSeries:
    """The series with Poisson noise, `brightest` electrons in its brightest pixel."""
    rate = brightest / series.data.max()
    return replace(series, data=(rng.poisson(series.data * rate) / rate).astype(np.float32))


@settings(max_examples=10, deadline=None)
@given(seeds, st.sampled_from([31, 32]), st.sampled_from([30, 33]))
def test_moved_images_are_those_of_moved_atoms(seed, ny, nx):
    rng = np.random.default_rng(seed)
    y, x = (PIXEL_A * (np.arange(n) - n // 2) for n in (ny, nx))
    place, shift = rng.uniform(-1, 1, 2), rng.uniform(-1, 1, 2)

    def drawn(centre, sigma, level):
        squared = (y[:, None] - centre[1]) ** 2 + (x - centre[0]) ** 2
        return (np.exp(-squared / (2 * sigma**2)) / sigma**2 + level)[None].astype(np.float32)

    assert np.allclose(moved(drawn(place, 0.6, 2.0), shift[None], PIXEL_A), drawn(place + shift, 0.6, 2.0), atol=1e-3)
    thin = smoothed(drawn(place, 0.6, 0.0), shift[None], PIXEL_A, 0.8, 3)[0]
    full = drawn(place + shift, 1.0, 0.0)[0]
    assert np.allclose(
        thin[thin.shape[0] // 2 - 3 : thin.shape[0] // 2 + 4, thin.shape[1] // 2],
        full[ny // 2 - 9 : ny // 2 + 10 : 3, nx // 2],
        atol=1e-3,
    )


@settings(max_examples=8, deadline=None)
@given(seeds)
def test_centre_of_mass_undoes_drift_of_a_particle(seed):
    rng = np.random.default_rng(seed)
    series, true, drift = misaligned(specimen(rng, 6, 20), np.linspace(-60, 60, 7), rng, 56)
    found = centre_of_mass(series.data[:, 0], PIXEL_A)
    assert alignment_error(found, true, drift, true).shift_A < 0.02 * PIXEL_A


@settings(max_examples=8, deadline=None)
@given(seeds, st.floats(0, 180))
def test_common_line_undoes_drift_along_any_axis_in_the_plane(seed, azimuth):
    rng = np.random.default_rng(seed)
    axis = rotation("z", azimuth) @ [0.0, 1.0, 0.0]
    positions, drift = specimen(rng, 6, 20), rng.uniform(-1.2, 1.2, (7, 2))
    rotations = single_axis(np.linspace(-60, 60, 7), axis.tolist())
    series = gaussian_series(positions, rotations, 56, PIXEL_A)
    found = common_line(moved(series.data[:, 0], drift, PIXEL_A), PIXEL_A, rotations)
    along = (found - drift) @ axis[:2]
    assert np.allclose(found @ [axis[1], -axis[0]], 0, atol=1e-9)
    assert np.std(along) < 0.05 * PIXEL_A


@settings(max_examples=6, deadline=None)
@given(seeds, st.floats(0, 180))
def test_stretched_correlation_undoes_drift_of_a_film(seed, azimuth):
    rng = np.random.default_rng(seed)
    axis = rotation("z", azimuth) @ [0.0, 1.0, 0.0]
    positions, drift = specimen(rng, 7, 12, 2.5) * [1, 1, 0], rng.uniform(-1.2, 1.2, (7, 2))
    rotations = single_axis(np.linspace(-45, 45, 7), axis.tolist())
    images = moved(gaussian_series(positions, rotations, 64, PIXEL_A).data[:, 0], drift, PIXEL_A)
    found = cross_correlation(images, PIXEL_A, rotations, stretch=True)
    assert alignment_error(found, rotations, drift, rotations).shift_A < 0.3 * PIXEL_A


@settings(max_examples=6, deadline=None)
@given(seeds)
def test_correlation_undoes_drift_of_equal_images(seed):
    rng = np.random.default_rng(seed)
    rotations, drift = np.stack([np.eye(3)] * 5), rng.uniform(-1.2, 1.2, (5, 2))
    images = moved(gaussian_series(specimen(rng, 5, 15), rotations, 48, PIXEL_A).data[:, 0], drift, PIXEL_A)
    found = cross_correlation(images, PIXEL_A, rotations)
    assert np.abs(found - drift - (found - drift).mean(axis=0)).max() < 0.05 * PIXEL_A


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_axis_and_angles_come_from_the_rotations(seed):
    rng = np.random.default_rng(seed)
    axis, base = rng.normal(size=3), random_rotation(rng)
    rotations = single_axis([-60, -20, 10, 70], axis.tolist()) @ base
    found = tilt_axis(rotations)
    assert abs(found @ axis) == pytest.approx(np.linalg.norm(axis))
    angles = np.rad2deg(tilt_angles_rad(rotations, found)) * np.sign(found @ axis)
    assert np.allclose(np.diff(angles), [40, 30, 60])
    assert tilt_axis(np.stack([random_rotation(rng) for _ in range(4)])) is None


def small_model(rng: np.random.Generator, turn: np.ndarray | None = None) -> tuple[BlurredProjector, np.ndarray]:
    rotations = np.stack([random_rotation(np.random.default_rng(k)) for k in range(3)])
    rotations = rotations if turn is None else turn @ rotations
    grid = Grid((15, 15, 15), 0.6)
    points = grid.positions(np.stack(np.meshgrid(*[np.arange(15)] * 3, indexing="ij"), -1).reshape(-1, 3))
    volume = sum(np.exp(-((points - atom) ** 2).sum(axis=1)) for atom in specimen(rng, 2, 4, 1.0)).reshape(grid.shape)
    return BlurredProjector(Projector(rotations, grid, (30, 32), PIXEL_A), 0.6), volume.astype(np.float32)


def test_blurred_and_eliminated_projections_have_exact_adjoints():
    rng = np.random.default_rng(0)
    model, volume = small_model(rng)
    eliminated = Eliminated(model, model.derivatives(volume, np.eye(3)))
    images, other = rng.random((3, 30, 32), np.float32), rng.random(volume.shape, np.float32)
    for linear in (model, eliminated):
        left, right = float((linear.forward(other) * images).sum()), float((linear.adjoint(images) * other).sum())
        assert left == pytest.approx(right, rel=1e-4)
    again = eliminated.without(images)
    assert np.allclose(eliminated.without(again), again, atol=1e-4)
    assert np.abs(eliminated.parameters(again)).max() < 1e-4


@pytest.mark.parametrize("axis", range(3))
def test_derivatives_by_rotations_are_those_of_turned_projections(axis):
    small, rng = 3.0, np.random.default_rng(1)
    model, volume = small_model(rng)
    ahead, behind = (small_model(rng, rotation(np.eye(3)[axis].tolist(), sign * small))[0] for sign in (1, -1))
    numeric = (ahead.forward(volume) - behind.forward(volume)) / np.deg2rad(2 * small)
    exact = model.derivatives(volume, np.eye(3))[:, 2 + axis]
    assert np.linalg.norm(numeric - exact) < 0.05 * np.linalg.norm(exact)


def test_derivatives_by_shifts_are_those_of_moved_images():
    model, volume = small_model(np.random.default_rng(2))
    images, derivatives = model.forward(volume), model.derivatives(volume, np.empty((0, 3)))
    for axis in range(2):
        step = np.zeros((3, 2))
        step[:, axis] = 0.01
        numeric = (moved(images, step, PIXEL_A) - moved(images, -step, PIXEL_A)) / 0.02
        assert np.linalg.norm(numeric - derivatives[:, axis]) < 0.02 * np.linalg.norm(numeric)


def test_distortions_of_a_single_axis_are_harmonics_of_twice_the_angle():
    theta = np.deg2rad(np.linspace(-75, 75, 36))
    modes = distortion_modes(single_axis(np.rad2deg(theta)), np.array([[0.0, 1.0, 0.0]]))
    assert modes.shape[1] == 3
    for wave in (np.ones(36), np.sin(2 * theta), np.cos(2 * theta)):
        assert np.allclose(modes @ (modes.T @ wave), wave)


def test_aligned_moves_all_foci_alike_and_leaves_the_input():
    rng = np.random.default_rng(0)
    series, true, drift = misaligned(specimen(rng, 4, 8), [-40, 0, 40], rng, 48)
    focal = replace(series, data=np.repeat(series.data, 2, axis=1), defocus_A=np.zeros(2))
    before = focal.data.copy()
    straight = aligned(focal, Alignment(drift, true, np.zeros(0)))
    assert np.array_equal(focal.data, before)
    assert np.array_equal(straight.rotations, true)
    assert np.array_equal(straight.data[:, 0], straight.data[:, 1])
    assert np.abs(centre_of_mass(straight.data[:, 0], PIXEL_A)).max() < 0.01


QUICK = AlignParams(shift_blur_A=(3.0, 1.2), angles="none", angle_blur_A=(), iterations=15)


@pytest.mark.parametrize("angles_deg", [tilt_angles(-90, 90, 15), tilt_angles(-75, 75, 15)], ids=["full", "wedge"])
def test_joint_refinement_finds_drift_without_a_coarse_step(angles_deg):
    rng = np.random.default_rng(3)
    series, true, drift = misaligned(specimen(rng, 7, 60), angles_deg, rng, 64)
    rounds = []
    result = align(
        series, Grid((64,) * 3, PIXEL_A), QUICK.model_copy(update={"coarse": ()}), notify=lambda *one: rounds.append(one)
    )
    assert result.refused is None
    assert [number for number, _ in rounds] == [1, 2, 3, 4, 5, 6]
    assert np.array_equal([loss for _, loss in rounds], result.losses)
    assert alignment_error(result.shifts_A, result.rotations, drift, true).shift_A < 0.1 * PIXEL_A


def test_results_do_not_depend_on_threads():
    rng = np.random.default_rng(4)
    series, _, _ = misaligned(specimen(rng, 4, 12), tilt_angles(-75, 75, 7), rng, 40)
    params = AlignParams(iterations=3, angle_iterations=3, rounds=1, angle_rounds=1, angles="all")
    one, two = (align(series, Grid((40,) * 3, PIXEL_A), params, threads=threads) for threads in (1, 2))
    assert np.array_equal(one.shifts_A, two.shifts_A)
    assert np.array_equal(one.rotations, two.rotations)
    assert np.array_equal(one.losses, two.losses)


def test_alignment_that_moves_too_far_is_refused():
    rng = np.random.default_rng(5)
    series, _, _ = misaligned(specimen(rng, 4, 12), tilt_angles(-75, 75, 7), rng, 40)
    grid = Grid((40,) * 3, PIXEL_A)
    shift = align(series, grid, QUICK.model_copy(update={"max_shift": 1e-3, "coarse": ()}))
    assert "max_shift" in shift.refused
    assert np.array_equal(shift.shifts_A, np.zeros((7, 2)))
    angle = align(series, grid, AlignParams(iterations=5, angle_iterations=5, rounds=1, max_angle_deg=1e-3))
    assert "max_angle_deg" in angle.refused
    assert np.allclose(angle.rotations, series.rotations)


def test_a_series_in_place_is_not_made_worse():
    rng = np.random.default_rng(6)
    series, true, drift = misaligned(specimen(rng, 6, 30), tilt_angles(-75, 75, 12), rng, 48, drift_px=0, error_deg=0)
    result = align(series, Grid((48,) * 3, PIXEL_A), QUICK)
    assert alignment_error(result.shifts_A, result.rotations, drift, true).shift_A < 0.05 * PIXEL_A


def test_series_without_a_common_axis_or_contents_say_so():
    rng = np.random.default_rng(7)
    series = gaussian_series(specimen(rng, 3, 4), np.stack([random_rotation(rng) for _ in range(4)]), 24, PIXEL_A)
    grid = Grid((24,) * 3, PIXEL_A)
    with pytest.raises(ValueError, match="no common tilt axis"):
        align(series, grid)
    empty = align(replace(series, data=np.zeros_like(series.data)), grid, AlignParams(angles="none"))
    assert "shows nothing" in empty.refused


@pytest.mark.slow
@pytest.mark.parametrize("brightest", [np.inf, 100.0], ids=["clean", "counts"])
def test_drift_and_angles_of_a_cluster(brightest):
    """36 images of 96² pixels: a hundredth of a pixel and a tenth of a degree."""
    rng = np.random.default_rng(8)
    series, true, drift = misaligned(specimen(rng, 11.5, 200), tilt_angles(-75, 75, 36), rng, 96)
    seen = series if np.isinf(brightest) else with_counts(series, rng, brightest)
    result = align(seen, Grid((96,) * 3, PIXEL_A))
    error = alignment_error(result.shifts_A, result.rotations, drift, true)
    assert result.refused is None
    assert error.shift_A < 0.2 * PIXEL_A
    assert error.angle_deg < (0.1 if np.isinf(brightest) else 0.2)


@pytest.mark.slow
def test_drift_and_angles_of_a_crystal():
    """36 images of 128² pixels of a spinel cube of 30 Å, ±3 pixels and ±0.5°; prints what is left of them."""
    rng = np.random.default_rng(5)
    atoms = Spinel(Spinel.Params(edge_A=30.0)).build(np.random.default_rng(1))
    series, true, drift = misaligned(atoms.positions, tilt_angles(-75, 75, 36), rng, 128)
    result = align(series, Grid((128,) * 3, PIXEL_A))
    error = alignment_error(result.shifts_A, result.rotations, drift, true)
    print(f"{error.shift_A / PIXEL_A:.3f} pixels, {error.angle_deg:.3f}°")  # noqa: T201
    assert result.refused is None
    assert error.shift_A < 0.2 * PIXEL_A
    assert error.angle_deg < 0.1
