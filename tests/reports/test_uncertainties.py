"""Stated uncertainties against deviations: calibration by hand, pairs as they were scored, axes of a rotated answer."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase import Atoms
from scipy.spatial.transform import Rotation

from benchsuite.metrics.matching.matched import match_atoms
from benchsuite.reports import write_report
from benchsuite.reports.figures.uncertainties import errors
from benchsuite.results import Run
from benchsuite.runner.stages.match import save_matched
from benchsuite.storage import json_safe
from benchsuite.store import Store
from tests.metric_values import score
from tests.reports.made_runs import drawn, make_run, stored

ATOMS = 400
SIGMA_PM = np.array([2.0, 3.0, 6.0])
TURN = Rotation.from_euler("z", 1.5, degrees=True).as_matrix()


def stating(folder, *, told=1.0, rigid=False, methods=("LOT",), doses=(1e5,), states=True):
    """A run whose cells state their errors times `told`; of ten atoms missing and five false; `rigid`: the answer is turned."""
    run = make_run(folder, methods=methods, doses=doses, data=False)
    for number in range(len(run.records)):
        rng = np.random.default_rng(number)
        side = round(ATOMS ** (1 / 3)) + 1
        places = 2.6 * np.stack(np.meshgrid(*3 * [np.arange(side)], indexing="ij"), axis=-1).reshape(-1, 3)[:ATOMS]
        truth = Atoms(["Cu", "Au"] * (ATOMS // 2), positions=places - places.mean(axis=0))
        stated = SIGMA_PM * rng.uniform(0.5, 2.0, (ATOMS, 1))
        positions = truth.positions @ (TURN if rigid else np.eye(3)) + stated / 100 * rng.normal(size=(ATOMS, 3)) + [0.3, 0, 0]
        order = rng.permutation(ATOMS)[10:]
        traced = truth[order]
        traced.positions = positions[order]
        traced += Atoms(5 * ["Au"], positions=rng.uniform(40, 60, (5, 3)))
        if states:
            traced.set_array("uncertainty_pm", told * np.vstack([stated[order], np.full((5, 3), 3.0)]))
        registration = "rigid" if rigid else "shift"
        matched = match_atoms(truth, traced, registration=registration)

        def fill(folder, matched=matched):
            save_matched(folder, matched)

        inputs = {"number": number, "told": told, "rigid": rigid, "states": states}
        file = run.folder / "cells" / f"{number:04d}.json"
        record = json.loads(file.read_text())
        record["row"] |= json_safe(score(truth, traced, registration=registration))
        record["keys"] = {"match": stored(Store(folder.parent / "store"), "match", fill, inputs)}
        file.write_text(json.dumps(record))
    return Run(run.folder)


@pytest.mark.parametrize("rigid", [False, True])
def test_uncertainty_pairs_are_those_of_the_scores(tmp_path, rigid):
    cell = stating(tmp_path / "run", rigid=rigid).cell("0000")
    found = errors(cell)
    assert len(found.symbols) == cell.row["n_matched"] == ATOMS - 10
    assert np.sqrt((found.deviation_pm**2).sum(axis=1).mean()) == pytest.approx(cell.row["rmsd_pm"], rel=1e-4)
    ratio = found.deviation_pm / found.stated_pm
    np.testing.assert_allclose(ratio.std(axis=0), 1.0, atol=0.1)  # axis by axis: three errors of a standard deviation over 390
    assert found.within_pct == pytest.approx(68.3, abs=4.1)  # three standard errors over 1170 coordinates


@pytest.mark.parametrize(("told", "within"), [(0.5, 38.3), (2.0, 95.4)])
def test_uncertainties_that_are_too_small_or_too_large_are_told(tmp_path, told, within):
    run = stating(tmp_path / "run", told=told)
    assert errors(run.cell("0000")).within_pct == pytest.approx(within, abs=4.3)
    left, right = drawn("uncertainties", run)["uncertainties"].axes
    assert f"{errors(run.cell('0000')).within_pct:.1f}% within one" in left.get_title()
    assert right.get_title().endswith(f"{ATOMS - 10} atoms")


def test_uncertainty_page_has_at_most_twelve_panels(tmp_path):
    figure = drawn("uncertainties", stating(tmp_path / "run", methods=("LOT", "MSET"), doses=(1e4, 1e5, 1e6, 1e7)))["uncertainties"]
    assert len(figure.axes) == 12
    assert "6 of 8 cells" in figure.get_suptitle()
    assert drawn("uncertainties", stating(tmp_path / "other", states=False)) == {}


def test_a_report_shows_them(tmp_path):
    run = stating(tmp_path / "run")
    run.scenario["figures"] = ["uncertainties"]
    text = write_report(run).read_text()
    assert 'src="uncertainties.png"' in text
    assert "could not be drawn" not in text
