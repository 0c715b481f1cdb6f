"""LOT and nLOT on data of their own model: every atom from a grid; unknown focus, drift and angles found; exact resumption."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms

from benchsuite.contract import Context
from benchsuite.data import Grid, Optics, TiltSeries
from benchsuite.errors import BenchsuiteError
from benchsuite.metrics.matching.match import match
from benchsuite.phantoms.amorphous import packing
from benchsuite.physics.gaussians.atoms import Orbitals, View
from benchsuite.physics.rotations import single_axis
from benchsuite.reconstructors.lot.image_fit import model_for
from benchsuite.reconstructors.lot.reconstructor import LOT, LOTParams
from benchsuite.reconstructors.lot.start import apart, grid_points, merged, peak_points, strong
from benchsuite.runner.loop import CellFailure, run_loop

SIDE, STEP = 44, 0.34
WIDTH = 0.06


@pytest.fixture(scope="module")
def truth():
    return packing(np.random.default_rng(3), 30, 5.2, 2.32, 2.5)


def series_of(positions, tilts=24, foci=(0.0,), turned=None, drift=None, weight=0.06, **optics):
    """Images by the model itself: an inverse crime, and a test of everything but the physics."""
    rotations = single_axis(np.linspace(-80, 80, tilts))
    empty = np.ones((tilts, len(foci), SIDE, SIDE), np.float32)
    series = TiltSeries("adf", empty, rotations, STEP, Optics(300.0, optics.get("semiangle", 25.0)), np.array(foci))
    model = model_for(LOTParams(interaction="rigid"), series, 2)
    atoms = Orbitals(positions, np.broadcast_to(weight, len(positions)), np.full(len(positions), WIDTH))
    turned = np.zeros((tilts, 3)) if turned is None else turned
    drift = np.zeros((tilts, 2)) if drift is None else drift
    images = [
        [model.image(atoms, View(matrix, focus, turned[i], drift[i])) for focus in range(len(foci))]
        for i, matrix in enumerate(rotations)
    ]
    return replace(series, data=np.maximum(np.array(images, np.float32), 0))


def context(**more):
    return Context(Grid((SIDE, SIDE, SIDE), STEP), np.random.default_rng(1), **more)


def last(series, refine=None, **params):
    return list(LOT(LOTParams(**params)).reconstruct(series, context(start=refine)))[-1]


def rmsd_pm(truth, atoms, registration="shift"):
    found = match(truth, atoms.positions, registration=registration)
    assert len(found.distance_A) == len(truth) == len(atoms), f"{len(found.distance_A)} of {len(truth)} in {len(atoms)}"
    return 100 * np.sqrt((found.distance_A**2).mean())


@pytest.mark.parametrize(("interaction", "allowed_pm"), [("direct", 4.0), ("rigid", 0.5), ("adaptive", 1.0)])
def test_every_atom_is_found_from_a_grid(truth, interaction, allowed_pm):
    iterate = last(series_of(truth), interaction=interaction)
    assert rmsd_pm(truth, iterate.atoms) < allowed_pm
    if interaction == "rigid":
        assert iterate.atoms.arrays["width_A2"].mean() == pytest.approx(WIDTH, rel=0.1)
        assert iterate.atoms.arrays["intensity"].mean() == pytest.approx(0.06, rel=0.02)
        assert iterate.fit.r_factor_per_image.max() < 0.02


def test_peaks_of_a_quick_tomogram_are_a_start_too(truth):
    assert rmsd_pm(truth, last(series_of(truth), start="peaks", interaction="rigid").atoms) < 0.5


def test_atoms_of_another_reconstruction_are_refined(truth):
    rng = np.random.default_rng(0)
    start = Atoms("X" * 29, truth[1:] + rng.normal(0, 0.15, (29, 3)))  # one is missing
    assert rmsd_pm(truth, last(series_of(truth), start, interaction="rigid").atoms) < 0.5


@pytest.mark.parametrize(("iterations", "allowed_pm"), [(2, 8.0), (15, 1.0)])
def test_weak_atoms_among_strong_ones_are_refined_and_not_lost(iterations, allowed_pm):
    """Half of them have 15% of the weight of the others, as light elements have."""
    truth = packing(np.random.default_rng(4), 60, 6.6, 2.32, 2.5)
    series = series_of(truth, 15, weight=np.where(np.arange(60) % 2, 0.06, 0.009))
    start = Atoms("X60", truth + np.random.default_rng(0).normal(0, 0.05, (60, 3)))
    assert rmsd_pm(truth, last(series, start, interaction="rigid", weakest=0.05, iterations=iterations).atoms) < allowed_pm


@pytest.mark.parametrize("background", [0.05, 0.2])
def test_a_constant_background_makes_no_atoms(truth, background):
    series = series_of(truth)
    brighter = replace(series, data=series.data + np.float32(background) * series.data.max())
    iterate = last(brighter, interaction="rigid")
    assert rmsd_pm(truth, iterate.atoms) < 0.7
    assert iterate.fit.background == pytest.approx(background * series.data.max(), rel=0.05)
    refined = last(brighter, Atoms("X30", truth + np.random.default_rng(0).normal(0, 0.1, truth.shape)), interaction="rigid")
    assert rmsd_pm(truth, refined.atoms) < 0.7


def test_sections_that_do_not_know_their_focus_find_it():
    truth = packing(np.random.default_rng(4), 60, 6.6, 2.32, 2.5)
    foci = (-30.0, 0.0, 30.0)
    series = series_of(truth, 16, foci, semiangle=40.0)
    iterate = last(series, initial_defocus="zero", iterations=40, slice_A=3.0)
    assert rmsd_pm(truth, iterate.atoms) < 4
    below, within, above = iterate.fit.focus_A  # two foci are beyond the particle, which ends at 6.6 Å
    assert below < -4 < within < 4 < above
    spread = [(probe.reshape(len(probe), -1) ** 2).sum(axis=1) for probe in iterate.fit.probes]
    assert spread[1].mean() > 2 * spread[0].mean()
    assert spread[1].mean() > 2 * spread[2].mean()
    assert np.polyfit(iterate.fit.probe_depths_A[1:-1], spread[0][1:-1], 1)[0] < 0
    assert np.polyfit(iterate.fit.probe_depths_A[1:-1], spread[2][1:-1], 1)[0] > 0


def test_drift_and_angles_are_undone(truth):
    rng = np.random.default_rng(2)
    turned, drift = np.zeros((24, 3)), rng.normal(0, 0.1, (24, 2))
    turned[:, 1] = np.deg2rad(rng.normal(0, 0.3, 24))
    series = series_of(truth, turned=turned, drift=drift)
    without = last(series, interaction="rigid", start="peaks")
    refined = last(series, interaction="rigid", start="peaks", refine_drift=True, refine_angles=True, iterations=60)
    assert rmsd_pm(truth, refined.atoms, "rigid") < 0.4 * rmsd_pm(truth, without.atoms, "rigid")
    assert np.abs(refined.fit.drift_A - drift).std() < 0.5 * drift.std()


def test_an_interrupted_fit_goes_on_with_equal_bits(truth):
    series = series_of(truth, 12)
    algorithm = LOT(LOTParams(iterations=12, refine_drift=True))
    states, whole = {}, []
    for iterate in algorithm.reconstruct(series, context()):
        whole.append(iterate)
        states[iterate.iteration] = {name: np.array(array) for name, array in iterate.state.items()}
    for stop in (3, 20, 40):
        state = states[stop]
        again = list(algorithm.reconstruct(series, context(resumed=state)))
        assert len(again) == len(whole) - stop
        np.testing.assert_array_equal(again[-1].atoms.positions, whole[-1].atoms.positions)
        np.testing.assert_array_equal(again[-1].fit.probes, whole[-1].fit.probes)
    assert len(whole) == algorithm.total_iterations()
    assert len(list(algorithm.reconstruct(series, context(start=Atoms("X30", truth))))) == algorithm.refined_iterations()


def test_merging_keeps_true_neighbours_apart_and_joins_the_rest():
    rng = np.random.default_rng(0)
    sites = packing(rng, 500, 13.0, 2.3, 2.5)
    split = np.concatenate([sites + rng.normal(0, 0.1, sites.shape) for _ in range(3)])
    joined = merged(Orbitals(split, np.ones(1500), np.full(1500, 0.1)), 1.6)
    assert len(joined) == 500
    assert joined.weight.sum() == pytest.approx(1500)
    assert len(match(sites, joined.positions).distance_A) == 500
    alone = Orbitals(sites, np.ones(500), np.full(500, 0.1))
    assert merged(alone, 2.25) is alone


def test_weak_orbitals_go_and_empty_places_are_known():
    weight = np.concatenate([np.full(50, 1.0), np.full(10, 0.2)])
    orbitals = Orbitals(np.arange(180.0).reshape(60, 3), weight, np.ones(60))
    assert len(strong(orbitals, 0.3)) == 50
    assert len(apart(np.array([[0.0, 1.0, 2.4], [500.0, 0, 0]]), orbitals.positions, 1.0)) == 1


def test_the_grid_covers_the_particle_and_not_the_field(truth):
    points = grid_points(series_of(truth), 1.0)
    assert np.linalg.norm(truth[:, None] - points[None], axis=2).min(axis=1).max() < 0.9
    assert np.linalg.norm(points, axis=1).max() < 10.5
    with pytest.raises(BenchsuiteError, match=r"a grid of 0\.002 Å has about .* points, which need .* GB are free"):
        grid_points(series_of(truth, 2), 0.002)


def test_peaks_are_local_maxima_apart():
    volume = np.zeros((20, 20, 20), np.float32)
    volume[5, 6, 7], volume[5, 6, 9], volume[15, 12, 10] = 1.0, 0.8, 0.5
    points = peak_points(volume, Grid((20, 20, 20), 0.5), 1.5)
    np.testing.assert_allclose(sorted(points.tolist()), [[-1.5, -2.0, -2.5], [0.0, 1.0, 2.5]])


def test_series_that_cannot_be_used_are_refused(truth):
    one = series_of(truth, 2)
    assert "at least 2 tilts" in LOT().accepts(replace(one, data=one.data[:1], rotations=one.rotations[:1]))
    focal = series_of(truth, 2, (-10.0, 10.0))
    focal.data[1, 0] = 0
    assert LOT().accepts(focal) == "LOT needs every section of every tilt: 1 images are empty, the first at tilt 1, defocus -10 Å"
    with pytest.raises(ValueError, match="3 defocus values for 2 focus images"):
        replace(focal, defocus_A=np.zeros(3))
    with pytest.raises(BenchsuiteError, match=r"1 of 31 atoms to refine are outside the field of view of 14.96 Å × 14.96 Å"):
        last(one, Atoms("X31", np.concatenate([truth, [[0, 9.0, 0]]])))
    with pytest.raises(BenchsuiteError, match="the reconstruction to refine holds no atoms"):
        last(one, Atoms())
    broken = one.data.copy()
    broken[1, 0, 3, 3] = np.nan
    assert "tilt 1" in LOT().accepts(replace(one, data=broken))
    with pytest.raises(BenchsuiteError, match="the images are empty"):
        last(replace(one, data=0 * one.data))
    with pytest.raises(
        BenchsuiteError, match=r"oversampling 1 of steps of 0\.34 Å does not resolve the probe, .*; allowed: 2 and more"
    ):
        last(one, oversampling=1, interaction="rigid")
    elsewhere = np.zeros_like(one.data)
    elsewhere[0, 0, 10, 10] = elsewhere[1, 0, 30, 30] = 1.0
    with pytest.raises(BenchsuiteError, match="no point of the grid is within the particle"):
        last(replace(one, data=elsewhere, rotations=np.stack([np.eye(3)] * 2)))


def test_on_a_device_without_kernels_a_cell_is_skipped(truth):
    class Compiled(LOT):
        devices = ("cpu",)

    with pytest.raises(CellFailure, match="Compiled runs on cpu, not on cuda") as caught:
        run_loop(Compiled(), series_of(truth, 2), context(device="cuda"), lambda **_: None)
    assert caught.value.status == "skipped"
