"""The Cramér–Rao bound against the Fisher information of all pixels, by finite differences of the patterns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms

from benchsuite import contract_suite
from benchsuite.data import Grid, Optics, Reconstruction, TiltSeries
from benchsuite.metrics.bound import CramerRao, CramerRaoParams, rmsd_pm
from benchsuite.physics.gaussians.atoms import Orbitals, View
from benchsuite.physics.gaussians.pattern_model import PatternModel
from benchsuite.physics.gaussians.shapes import tabulated
from benchsuite.physics.rotations import single_axis

TRUTH = Atoms("CuAuO", [(1.6, 0.4, -0.9), (-1.3, 0.7, 1.1), (0.2, -1.8, 0.3)])
SIDE, STEP_A, DOSE = 24, 0.4, 1e5
PARAMS = CramerRaoParams(thermal_rms_A=0.1)
STEPS = np.array([0.01, 0.01, 0.01, 0.02, 0.004])  # of finite differences: Å, Å, Å, of the weight, Å²


@pytest.fixture(scope="module")
def series():
    """Three tilts, 12 × 12 probes; of the patterns only their sum counts."""
    rotations = single_axis(np.array([-50.0, 5.0, 40.0]))
    data = np.broadcast_to(np.float32(1 / SIDE**2), (3, 1, 12, 12, SIDE, SIDE))
    optics = Optics(300.0, 21.0)
    return TiltSeries(
        "4dstem", data, rotations, 2 * STEP_A, optics, np.array([-100.0]), DOSE, reciprocal_step_per_A=1 / (SIDE * STEP_A)
    )


def seen(series, truth=TRUTH):
    nothing = Reconstruction(None, Atoms(), np.empty((0, 2)), 1.0)
    return replace(
        contract_suite.scored_problem(), truth=truth, traced=Atoms(), reconstruction=nothing, series=series, recorded=series
    )


@pytest.fixture(scope="module")
def bound(series):
    return CramerRao(PARAMS).measure(seen(series))


def variances_by_differences(series):
    """The variance of each atom (n,) in Å², from Σ ∂I ∂Iᵀ / I over every pixel of every pattern."""
    elements = [tabulated(symbol, 300.0) for symbol in TRUTH.get_chemical_symbols()]
    model = PatternModel(series, Grid.over(series), [s for s, _ in elements], PARAMS.slice_A)
    views = [View(rotation, 0, np.zeros(3), np.zeros(2)) for rotation in series.rotations]
    rest = np.column_stack([TRUTH.positions, [weight for _, weight in elements], np.full(3, 2 * PARAMS.thermal_rms_A**2)])

    def patterns(values):
        atoms = Orbitals(values[:, :3], values[:, 3], values[:, 4])
        images = [
            model.forward.through(t, 0, model.transmission(model.sliced(atoms, v, np.arange(3)))) for t, v in enumerate(views)
        ]
        return np.stack(images).astype(np.float64)

    root, variances = 2 * np.sqrt(patterns(rest)), []
    for atom in range(3):
        slopes = []
        for parameter, step in enumerate(STEPS):
            moved = np.zeros_like(rest)
            moved[atom, parameter] = step * (rest[atom, 3] if parameter == 3 else 1.0)
            slope = (patterns(rest + moved) - patterns(rest - moved)) / (2 * moved[atom, parameter])
            slopes.append((2 * slope / root).ravel())
        information = series.electrons_per_position * np.array(slopes) @ np.array(slopes).T
        variances.append(np.trace(np.linalg.inv(information)[:3, :3]))
    return np.array(variances)


def test_bound_is_that_of_the_fisher_information(series, bound):
    variance = variances_by_differences(series)
    assert bound["bound_rmsd_pm"] == pytest.approx(rmsd_pm(variance), rel=0.06)
    for element, one in zip(TRUTH.get_chemical_symbols(), variance, strict=True):
        assert bound[f"bound_{element}_pm"] == pytest.approx(100 * np.sqrt(one), rel=0.1)
    assert bound["bound_O_pm"] > 2 * bound["bound_Cu_pm"] > 2 * bound["bound_Au_pm"]


def test_bound_falls_with_the_root_of_the_dose(series, bound):
    more = CramerRao(PARAMS).measure(seen(replace(series, dose_e_per_A2=16 * DOSE)))
    assert [*more] == [*bound]
    for name, value in bound.items():
        assert more[name] == pytest.approx(value / 4, rel=1e-12)


def test_thermal_motion_makes_it_greater(series, bound):
    still = CramerRao(CramerRaoParams(thermal_rms_A=0.01)).measure(seen(series))
    assert still["bound_Au_pm"] < 0.95 * bound["bound_Au_pm"]


def test_nothing_where_there_is_none(series):
    names = {"bound_rmsd_pm", "bound_Cu_pm", "bound_Au_pm", "bound_O_pm"}
    images = TiltSeries("adf", np.ones((3, 1, 12, 12), np.float32), series.rotations, 0.8, series.optics, np.zeros(1), DOSE)
    for other in (replace(series, dose_e_per_A2=float("inf")), images):
        found = CramerRao(PARAMS).measure(seen(other))
        assert set(found) == names
        assert all(np.isnan(value) for value in found.values())
    for truth in (None, Atoms()):
        assert np.isnan(CramerRao(PARAMS).measure(seen(series, truth))["bound_rmsd_pm"])


def test_bound_logs_what_the_model_cannot_hold(series, caplog):
    unknown, defocused = Atoms("X", [(0, 0, 0)]), replace(series, defocus_A=np.array([-1000.0]))
    for other, words in (
        (seen(series, unknown), "X has no tabulated potential"),
        (seen(defocused), "over which the probe spreads"),
    ):
        assert all(np.isnan(value) for value in CramerRao(PARAMS).measure(other).values())
        assert words in caplog.text


def test_bound_uses_the_series_before_preprocessing(series, bound):
    phases = TiltSeries("phase", np.zeros((3, 1, 12, 12), np.float32), series.rotations, 0.8, series.optics, np.zeros(1), DOSE)
    assert CramerRao(PARAMS).measure(replace(seen(phases), recorded=series)) == bound


def test_an_atom_that_no_probe_sees_has_no_bound(series):
    far = Atoms("Cu2", [(0.0, 0.0, 0.0), (0.0, 500.0, 0.0)])
    assert np.isnan(CramerRao(PARAMS).measure(seen(series, far))["bound_rmsd_pm"])


def test_bound_keeps_the_contract():
    contract_suite.check_metric(CramerRao())
