"""LOT with interaction: multislice on data of its own model: recovery, births and deaths, refinement, going on, what it refuses."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from ase import Atoms
from pydantic import ValidationError
from scipy.spatial import cKDTree
from scipy.stats import binom

from benchsuite.contract_suite import CHIRAL_A, small_problem
from benchsuite.data import TiltSeries
from benchsuite.errors import BenchsuiteError
from benchsuite.metrics.matching.match import match
from benchsuite.physics.electrons import interaction_per_VA
from benchsuite.physics.gaussians.atoms import Orbitals
from benchsuite.physics.multislice.objective import Objective
from benchsuite.reconstructors.lot.model_selection import (
    SEARCHES_PER_FALSE_ATOM,
    candidate_grid,
    is_significant,
    propose_atoms,
    score_test_weights,
    significance_threshold,
)
from benchsuite.reconstructors.lot.reconstructor import LOT, LOTParams
from benchsuite.runner.loop import CellFailure, run_loop
from tests.reconstructors.made_patterns import (
    HEAVY,
    LIGHT,
    WIDTH_A2,
    algorithm,
    context,
    counted,
    fitted,
    model_of,
    series_of,
    some_atoms,
    views_of,
)

APART_A = 1.6
UNIT = interaction_per_VA(300.0)
ELECTRONS = 3e4


@pytest.fixture(scope="module")
def truth():
    return some_atoms()


@pytest.fixture(scope="module")
def series(truth):
    return series_of(truth)


def off(truth, by_A, seed=0):
    """Positions that are that far from the true ones, RMS."""
    return truth.positions + np.random.default_rng(seed).normal(0, by_A / math.sqrt(3), truth.positions.shape)


def rmsd_pm(truth, iterate, registration="shift"):
    found = match(truth.positions, iterate.atoms.positions, registration=registration)
    assert len(found.distance_A) == len(truth) == len(iterate.atoms), f"{len(found.distance_A)} pairs, {len(iterate.atoms)} atoms"
    return 100 * math.sqrt(float((found.distance_A**2).mean()))


def first(series: TiltSeries, tilts: int) -> TiltSeries:
    return dataclasses.replace(series, data=series.data[:tilts], rotations=series.rotations[:tilts])


# ---- recovery


def test_atoms_20_pm_off_come_back_to_a_fraction_of_a_picometre(truth, series):
    found = fitted(series, off(truth, 0.2))
    assert rmsd_pm(truth, found[-1]) < 0.1
    assert found[-1].loss < 1e-4 * found[0].loss
    np.testing.assert_allclose(found[-1].atoms.arrays["intensity"] * UNIT, HEAVY, rtol=0.01)
    np.testing.assert_allclose(found[-1].atoms.arrays["width_A2"], WIDTH_A2, atol=0.005)
    assert found[-1].fit.r_factor_per_image.max() < 1e-3


def test_noise_leaves_what_the_bound_allows(truth, series):
    last = fitted(counted(series, ELECTRONS), off(truth, 0.05), iterations=9)[-1]
    bound = math.sqrt(float((last.atoms.arrays["counting_uncertainty_pm"] ** 2).sum(axis=1).mean()))
    assert 0.5 * bound < rmsd_pm(truth, last) < 1.6 * bound


@pytest.mark.slow
def test_the_small_problem_is_solved_without_a_start():
    """Patterns of an independent multislice; a coarse MSET has the first word."""
    series, grid = small_problem("4dstem")
    made = dataclasses.replace(context(1), grid=grid)
    *_, last = LOT(LOTParams.model_validate({"interaction": "multislice", "iterations": 10})).reconstruct(series, made)
    found = match(CHIRAL_A, last.atoms.positions, registration="shift")
    assert len(found.distance_A) == len(CHIRAL_A) == len(last.atoms)
    assert found.distance_A.max() < 0.01


def test_two_foci_of_a_tilt_are_fitted_together(truth):
    two = series_of(truth, 8, (-80.0, -40.0))
    last = fitted(two, off(truth, 0.05), iterations=9)[-1]
    assert rmsd_pm(truth, last) < 0.5
    assert last.fit.r_factor_per_image.shape == (8,)
    assert last.fit.drift_A.shape == (16, 2)


def test_elements_have_their_own_potentials():
    """Ag, the shape of the data, beside O, which nothing is; an unknown symbol starts as something between them."""
    truth = some_atoms()
    last = fitted(counted(series_of(truth), ELECTRONS), Atoms("Ag11X", off(truth, 0.05)), elements=("O", "Ag"), iterations=9)[-1]
    assert rmsd_pm(truth, last) < 2
    np.testing.assert_allclose(last.atoms.arrays["intensity"] * UNIT, HEAVY, rtol=0.1)


def test_equal_seeds_give_equal_bits_and_others_the_same_atoms(truth, series):
    noisy = counted(first(series, 8), ELECTRONS)
    one, same, other = (fitted(noisy, off(truth, 0.05), seed, iterations=4)[-1].atoms for seed in (1, 1, 2))
    for name in ("positions", "intensity", "width_A2", "uncertainty_pm"):
        np.testing.assert_array_equal(one.arrays[name], same.arrays[name])
    assert not np.array_equal(one.positions, other.positions)


# ---- model selection


def test_an_atom_that_was_removed_is_born_again(truth, series):
    found = fitted(counted(series, ELECTRONS), off(truth, 0.05)[1:], iterations=10)
    after_selection = found[3].atoms.positions
    assert np.linalg.norm(after_selection - truth.positions[0], axis=1).min() < 0.3
    assert rmsd_pm(truth, found[-1]) < 3


def test_a_false_atom_in_free_space_dies(truth, series):
    corners = np.array([[4.0, 4.0, 4.0], [-4.2, 3.9, -4.0], [3.8, -4.2, -4.1]])
    free = corners[cKDTree(truth.positions).query(corners)[0].argmax()]
    assert rmsd_pm(truth, fitted(counted(series, ELECTRONS), np.concatenate([off(truth, 0.02), free[None]]), iterations=10)[-1]) < 3


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_fit_corrects_missing_and_false_atoms_together(seed):
    """A tenth of 20 atoms missing, as many false, the others 20 pm off."""
    truth = some_atoms(20, seed=seed)
    exact = series_of(truth, 20)
    rng = np.random.default_rng(seed)
    free = candidate_grid(truth.positions, APART_A, exact)
    false = rng.permutation(free[np.abs(free).max(axis=1) < 4])[:2]
    start = np.concatenate([off(truth, 0.2, seed)[2:], false + rng.normal(0, 0.05, false.shape)])
    assert rmsd_pm(truth, fitted(counted(exact, ELECTRONS), start, iterations=16)[-1]) < 3


def test_light_atoms_beside_heavy_ones_are_born():
    """A ninth of the weight, as of O beside a heavy metal: two of four are not in the start."""
    truth = some_atoms(weight=np.where(np.arange(12) % 3, HEAVY, LIGHT))
    given = np.delete(np.arange(12), [0, 3])
    noisy = counted(series_of(truth), ELECTRONS)
    last = fitted(noisy, off(truth, 0.02)[given], weakest=0.05)[-1]
    assert len(last.atoms) == len(truth)
    distance, which = cKDTree(last.atoms.positions).query(truth.positions)
    assert distance.max() < 0.3
    error = last.atoms.arrays["intensity"][which] - truth.weight / UNIT
    assert np.abs(error / last.atoms.arrays["intensity_uncertainty"][which]).max() < 4


def test_noise_alone_gives_birth_as_seldom_as_stated(truth):
    """At the truth, in one of `SEARCHES_PER_FALSE_ATOM` searches; a binomial bound over eight realisations of 40 images."""
    exact = series_of(truth, 40)
    kinds, views, births = np.zeros(len(truth), int), views_of(exact), 0
    points = candidate_grid(truth.positions, APART_A, exact)[::4]
    for seed in range(8):
        model = model_of(counted(exact, ELECTRONS, seed))
        asked = score_test_weights(model, truth, views, kinds, points, np.random.default_rng(seed))
        births += len(propose_atoms(*asked, points, APART_A, ELECTRONS, 0.0)) > 0
    assert births <= binom.ppf(0.999, 8, 1 / SEARCHES_PER_FALSE_ATOM)


@pytest.mark.slow
@pytest.mark.parametrize("electrons", [3e3, ELECTRONS])
def test_noise_alone_leaves_no_atom_behind(truth, series, electrons):
    """But for chance: two model selections, each with one false atom in `SEARCHES_PER_FALSE_ATOM`."""
    fits = [fitted(counted(series, electrons, seed), off(truth, 0.05, seed))[-1].atoms for seed in range(5)]
    assert all(len(match(truth.positions, atoms.positions, registration="shift").distance_A) == len(truth) for atoms in fits)
    assert sum(len(atoms) - len(truth) for atoms in fits) <= binom.ppf(0.99, 10, 1 / SEARCHES_PER_FALSE_ATOM)


def test_a_missing_atom_is_asked_for_where_it_is(truth, series):
    rest = truth.kept(np.arange(1, len(truth)))
    points = np.concatenate([truth.positions[:1], candidate_grid(rest.positions, APART_A, series)])
    noisy = counted(series, ELECTRONS)
    weight, information = score_test_weights(
        model_of(noisy), rest, views_of(noisy), np.zeros(len(rest), int), points, np.random.default_rng(0)
    )
    found = propose_atoms(weight, information, points, APART_A, ELECTRONS, 0.0)
    strongest = found.positions[found.weight.argmax()]
    assert np.linalg.norm(strongest - truth.positions[0]) < 0.3
    assert found.weight.max() == pytest.approx(HEAVY, rel=0.5)


def test_the_rule_of_life_is_the_stated_one():
    assert significance_threshold(1) == pytest.approx(1.645, abs=0.001)  # 5% on one side
    assert significance_threshold(10**4) > significance_threshold(100) > significance_threshold(1)
    bound = significance_threshold(4)
    weight, deviation = np.array([1.0, 1.0, 1.0, 0.1]), np.array([0.99, 1.01, 0.0, 0.0]) / bound
    assert is_significant(weight, deviation, 0.2).tolist() == [True, False, True, False]
    rng = np.random.default_rng(0)
    points = rng.uniform(-40, 40, (3000, 3))
    noise = rng.normal(size=3000)
    noise[7] = 8.0
    found = propose_atoms(
        noise, np.ones(3000), points, APART_A, math.inf, 0.0
    )  # without a dose the spread of all points is the measure
    np.testing.assert_array_equal(found.positions, points[7:8])
    assert len(propose_atoms(noise, np.ones(3000), points, APART_A, 1 / 9, 0.0)) == 0  # counting alone spreads three times as much


def test_candidate_points_are_in_the_particle_and_away_from_atoms(truth, series):
    points = candidate_grid(truth.positions, APART_A, series)
    distance = cKDTree(truth.positions).query(points)[0]
    assert APART_A < distance.min() < distance.max() < 3.5
    assert np.abs(points).max() < 4.9


# ---- refinement


def drifted(truth, what):
    rng = np.random.default_rng(2)
    drift, turned = rng.normal(0, 0.1, (12, 2)), np.zeros((12, 3))
    turned[:, 1] = np.deg2rad(rng.normal(0, 0.4, 12))
    return series_of(truth, 12, **{what: {"drift": drift, "turned": turned}[what]})


@pytest.mark.parametrize(("what", "wanted"), [("drift", "refine_drift"), ("turned", "refine_angles")])
def test_drift_and_angles_are_undone(truth, what, wanted):
    wrong = drifted(truth, what)
    last = fitted(wrong, off(truth, 0.02), iterations=12, **{wanted: True})[-1]
    assert last.loss < 0.02 * model_of(wrong).evaluate(truth, views_of(wrong)).loss
    assert rmsd_pm(truth, last, "rigid") < 0.4
    moved = {"drift": "drift_A", "turned": "angle_corrections_deg"}
    for name, correction in moved.items():
        assert getattr(last.fit, correction).any() == (name == what)


def test_parameters_not_refined_stay_fixed(truth):
    last = fitted(drifted(truth, "drift"), truth.positions, iterations=3)[-1]
    assert not last.fit.drift_A.any()
    assert not last.fit.angle_corrections_deg.any()


@pytest.mark.parametrize("oversampling", [1, 2])
def test_a_probe_of_a_wrong_defocus_is_refined(truth, series, oversampling):
    wrong = dataclasses.replace(first(series, 8), defocus_A=np.array([-75.0]))
    fixed, refined = (
        fitted(wrong, truth.positions, iterations=9, oversampling=oversampling, refine_probe=asked)[-1] for asked in (False, True)
    )
    assert refined.loss < 0.95 * fixed.loss
    assert not np.array_equal(refined.fit.apertures, fixed.fit.apertures)


@pytest.mark.slow
def test_a_probe_that_is_right_already_stays_so(truth, series):
    noisy = counted(series, ELECTRONS)
    fixed, refined = (fitted(noisy, off(truth, 0.1), refine_probe=asked)[-1] for asked in (False, True))
    assert refined.fit.r_factor_per_image.mean() < 1.01 * fixed.fit.r_factor_per_image.mean()


# ---- going on


def copied(state):
    return {name: np.array(value) for name, value in state.items()}


@pytest.mark.parametrize(("oversampling", "probe", "stops"), [(1, False, (4, 8)), (2, True, (2, 5, 7))])
def test_an_interrupted_fit_goes_on_with_equal_bits(truth, oversampling, probe, stops):
    """Before and after each model selection, across the change to finer pixels, with a memory, while probes and views follow."""
    noisy = counted(first(drifted(truth, "drift"), 8), 3e3)
    start = Atoms("X11", off(truth, 0.1)[1:])
    lot = algorithm(
        iterations=10, oversampling=oversampling, refine_drift=True, refine_angles=True, refine_probe=probe, elements=("O", "Ag")
    )
    whole, states = [], []
    for iterate in lot.reconstruct(noisy, context(3, start=start)):
        whole.append(iterate)
        states.append(copied(iterate.state))
    assert len({len(one.atoms) for one in whole}) > 1, "no model selection changed the atoms: the test would show nothing"
    assert any(len(states[stop - 1]["lbfgs_steps"]) for stop in stops)
    for stop in stops:
        rest = list(lot.reconstruct(noisy, context(3, start=start, resumed=states[stop - 1])))
        assert [one.iteration for one in rest] == list(range(stop + 1, 11))
        assert [one.loss for one in rest] == [one.loss for one in whole[stop:]]
        for name, values in whole[-1].atoms.arrays.items():
            np.testing.assert_array_equal(rest[-1].atoms.arrays[name], values)
        for name, values in whole[-1].fit.arrays().items():
            np.testing.assert_array_equal(getattr(rest[-1].fit, name), values)


def test_every_iterate_is_a_state_of_the_loss_that_it_tells(truth, series):
    found = fitted(first(series, 10), off(truth, 0.1), iterations=6)
    model = model_of(first(series, 10))
    for iterate in found[:-1]:  # the last one leaves out what is not significant
        state = iterate.state
        atoms = Orbitals(state["last_positions"], state["last_weight"], state["last_width"])
        np.testing.assert_array_equal(iterate.atoms.positions, state["last_positions"])
        assert model.evaluate(atoms, views_of(first(series, 10))).loss == pytest.approx(iterate.loss, rel=1e-6)


# ---- what it refuses, and how it ends


def diverging(monkeypatch, after, what):
    calls, honest = [0], Objective.__call__

    def wrong(self, *arguments, **more):
        loss, gradient, ends = honest(self, *arguments, **more)
        calls[0] += 1
        return (loss, gradient, ends) if calls[0] <= after else (what, gradient, ends)

    monkeypatch.setattr(Objective, "__call__", wrong)


def test_diverging_fit_keeps_its_last_good_state(truth, series, monkeypatch):
    few = first(series, 10)
    good = fitted(few, truth.positions, iterations=2)
    diverging(monkeypatch, 2 * 10 + 3, math.nan)
    with pytest.raises(CellFailure) as caught:
        run_loop(algorithm(iterations=5), few, context(start=Atoms("X12", truth.positions)), lambda **_: None)
    assert caught.value.status == "diverged"
    assert caught.value.reason == "the loss is nan at iteration 3; the state of iteration 2 is kept"
    last = caught.value.last
    assert np.isfinite(last.atoms.positions).all()
    np.testing.assert_array_equal(last.history[:, 1], [one.loss for one in good])


def test_an_infinite_loss_is_a_step_taken_back(truth, series, monkeypatch):
    few = first(series, 10)
    diverging(monkeypatch, 10, math.inf)
    found = fitted(few, off(truth, 0.1), iterations=2)
    assert found[0].loss == found[1].loss < math.inf
    np.testing.assert_array_equal(found[0].atoms.positions, found[1].atoms.positions)


def test_atoms_that_cannot_be_a_start_are_named(truth, series):
    few = first(series, 3)
    with pytest.raises(BenchsuiteError, match=r"1 pairs .* on top of each other, nearer than 0.4 Å: 0 and 12 are 0\.17 Å apart"):
        fitted(few, np.concatenate([truth.positions, truth.positions[:1] + 0.1]))
    with pytest.raises(BenchsuiteError, match=r"1 of 13 atoms to refine are outside the field of view of 9.6 Å × 9.6 Å"):
        fitted(few, np.concatenate([truth.positions, [[0, 9.0, 0]]]))
    with pytest.raises(BenchsuiteError, match="the reconstruction to refine holds no atoms"):
        fitted(few, Atoms())
    with pytest.raises(BenchsuiteError, match="Og has no tabulated potential; there are 103 elements, from H to Lr"):
        fitted(few, truth.positions, elements=("Og",))
    with pytest.raises(ValueError, match=r"a probe window of 3.2 Å is less than the 5.5 Å .*; enlarge window_A"):
        fitted(few, truth.positions, window_A=2.0)


def test_patterns_without_electrons_say_so(truth, series):
    dark = dataclasses.replace(first(series, 3), data=np.zeros_like(series.data[:3]))
    with pytest.raises(BenchsuiteError, match="no atom is left: no weight is significant"):
        fitted(dark, truth.positions)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"interaction": "multislice", "start": "grid"}, "interaction: multislice starts from peaks, or refines other atoms"),
        ({"interaction": "rigid", "elements": ["Au"]}, "elements is for interaction: multislice, not rigid"),
        ({"interaction": "direct", "loss": "poisson"}, "loss is for interaction: multislice, not direct"),
        ({"window_A": 12.0}, "window_A is for interaction: multislice, not adaptive"),
        ({"refine_probe": True}, "refine_probe is for interaction: multislice, not adaptive"),
        ({"interaction": "multislice", "elements": ["Cu", "Qq"]}, "Qq in elements is no chemical symbol"),
        ({"interaction": "multislice", "slice_A": 0}, "slice_A"),
        ({"interaction": "multislice", "weakest": 1.5}, "weakest"),
        ({"interaction": "slices"}, "'direct', 'rigid', 'adaptive' or 'multislice'"),
    ],
)
def test_parameters_that_do_not_go_together_are_named(given, message):
    with pytest.raises(ValidationError, match=message):
        LOTParams.model_validate(given)


def test_series_that_cannot_be_used_are_refused_with_the_reason(series):
    lot = algorithm()
    assert lot.accepts(series) is None
    assert lot.takes() == ("4dstem",)
    assert lot.accepts(small_problem("adf")[0]) == "LOT takes 4dstem series, not adf"
    assert LOT(LOTParams(interaction="rigid")).accepts(series) == "LOT takes adf series, not 4dstem"
    assert lot.accepts(first(series, 1)) == "LOT needs at least 2 tilts to place atoms in depth, the series has 1"
    apart = dataclasses.replace(series, scan_step_A=9.0)
    assert lot.accepts(apart) == "LOT needs probes that overlap: steps of 9 Å, but probes of 3.66 Å; take smaller steps"
    broken = series.data[:2].copy()
    broken[1, 0, 2, 2, 3, 3] = np.nan
    assert "tilt 1 has 1 values that are nan" in lot.accepts(dataclasses.replace(first(series, 2), data=broken))


def test_cost_grows_with_what_is_asked(series):
    costs = [
        algorithm(**more).cost(series.data.shape, context().grid).seconds for more in ({}, {"oversampling": 2}, {"iterations": 40})
    ]
    assert costs[0] < min(costs[1:])
