"""Every verdict, where it is known; pairing; margins; the error rates of the whole procedure by simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchsuite.columns import Columns
from benchsuite.errors import BenchsuiteError
from benchsuite.reports.comparison import Verdict, compare
from tests.reports.made_runs import COLUMNS


@pytest.fixture
def make(made_up):
    cell, side = made_up

    def both(base, candidate, **options):
        return compare(side(base, "base"), side(candidate, "candidate"), **options)

    return cell, both


def series(cell, values, **facts):
    return [cell(repeat=i, rmsd_pm=value, **facts) for i, value in enumerate(values)]


def of(comparison, metric="rmsd_pm", method="RESIRE"):
    return next(one for one in comparison.findings if (one.metric, one.method) == (metric, method))


FIVE = np.array([50.0, 51.0, 49.0, 52.0, 50.5])
NOISE = np.array([0.2, -0.1, 0.3, 0.0, -0.2])


@pytest.mark.parametrize(
    ("change", "verdict", "status"),
    [
        (1.04, Verdict.REGRESSED, 1),
        (0.96, Verdict.IMPROVED, 0),
        (1.001, Verdict.UNCHANGED, 0),
        (1.0, Verdict.UNCHANGED, 0),
    ],
)
def test_five_repeats(make, change, verdict, status):
    cell, both = make
    found = both(series(cell, FIVE), series(cell, FIVE * change + NOISE * (change != 1)))
    assert of(found).verdict is verdict
    assert found.exit_status == status


def test_noise_as_large_as_the_change_is_inconclusive(make):
    cell, both = make
    found = both(series(cell, FIVE), series(cell, FIVE + 1.5 + 12 * NOISE))
    assert of(found).verdict is Verdict.INCONCLUSIVE
    assert found.exit_status == 0


def test_directions_are_those_of_the_metric(make):
    cell, both = make
    base = [cell(repeat=i, classification_rate_pct=95.0) for i in range(5)]
    worse = [cell(repeat=i, classification_rate_pct=90.0 + 0.1 * i) for i in range(5)]
    assert of(both(base, worse), "classification_rate_pct").verdict is Verdict.REGRESSED
    assert of(both(worse, base), "classification_rate_pct").verdict is Verdict.IMPROVED


def test_one_repeat_says_only_what_is_far_beyond_the_margin(make):
    cell, both = make
    assert of(both([cell(rmsd_pm=4.0)], [cell(rmsd_pm=40.0)])).verdict is Verdict.REGRESSED
    assert of(both([cell(rmsd_pm=4.0)], [cell(rmsd_pm=4.1)])).verdict is Verdict.INCONCLUSIVE
    assert of(both([cell(rmsd_pm=4.0)], [cell(rmsd_pm=4.1)], by="margin")).verdict is Verdict.UNCHANGED
    assert of(both([cell(rmsd_pm=4.0)], [cell(rmsd_pm=4.6)], by="margin")).verdict is Verdict.REGRESSED


def test_repeats_without_noise_are_one_and_not_five(make):
    cell, both = make
    base = series(cell, [50.0] * 5, series="series/same/code")
    found = both(base, series(cell, [53.0] * 5, series="series/same/code"))
    assert of(found).effect.n == 1
    assert of(found).verdict is Verdict.INCONCLUSIVE


def test_failures(make):
    cell, both = make
    base = [cell(repeat=0, rmsd_pm=5.0), cell(repeat=1, rmsd_pm=5.0), cell("SIRT", status="error", reason="x")]
    failing = [cell(repeat=0, rmsd_pm=5.0), cell(repeat=1, status="timeout", reason="60 s"), cell("SIRT", rmsd_pm=4.0)]
    found = both(base, failing)
    assert found.exit_status == 1
    assert [(one.verdict, one.method, one.reason) for one in found.failing] == [
        (Verdict.NEW_FAILURE, "RESIRE", "repeat 1: timeout: 60 s")
    ]
    assert [one.reason for one in found.findings if one.verdict is Verdict.FIXED] == ["was error: x"]
    assert both(failing, failing).exit_status == 0
    assert Verdict.NO_RESULT in both(failing, failing).counts


def test_missing_cells_fail(make):
    cell, both = make
    base = [cell(rmsd_pm=5.0, r_factor=0.1), cell("SIRT", rmsd_pm=4.0)]
    for candidate in ([cell(rmsd_pm=5.0, r_factor=0.1)], [cell(rmsd_pm=5.0), cell("SIRT", rmsd_pm=4.0)]):
        found = both(base, candidate)
        assert found.counts[Verdict.MISSING] == 1
        assert found.exit_status == 1
    assert both(base, [*base, cell("WBP", rmsd_pm=3.0)]).exit_status == 0
    assert both(base[:1], base, methods=["RESIRE"]).counts == {Verdict.UNCHANGED: 2}


@pytest.mark.parametrize("other", [{"seed": 8}, {"dose": 2e6}, {"series": "series/another/code"}])
def test_other_data_are_not_comparable(make, other):
    cell, both = make
    found = both([cell(rmsd_pm=5.0)], [cell(rmsd_pm=50.0, **other)])
    assert found.exit_status == 4


def test_equal_bytes_under_another_key_are_comparable(make):
    cell, both = make
    one, other = cell(rmsd_pm=5.0), cell(rmsd_pm=5.0, series="series/same/newer code")
    assert both([one], [other]).exit_status == 4
    assert both([replace(one, content="abc")], [replace(other, content="abc")]).exit_status == 0
    assert both([one], [other], same="experiment").exit_status == 0
    assert both([one], [cell(rmsd_pm=5.0, experiment="another")], same="experiment").exit_status == 4


def test_nothing_at_all_is_nothing_comparable(make):
    _, both = make
    assert both([], []).exit_status == 4


def test_the_pooled_verdict_finds_what_no_cell_can(make):
    cell, both = make
    rng = np.random.default_rng(0)
    base, candidate = [], []
    for dose in np.arange(1, 13) * 1e5:
        values = 50 + rng.normal(0, 2, 5)
        base += series(cell, values, dose=float(dose))
        candidate += series(cell, values * 1.03 + rng.normal(0, 1.5, 5), dose=float(dose))
    found = both(base, candidate)
    assert [one.swept for one in found.failing] == [None]
    assert found.failing[0].effect.n == 5


def test_times_are_told_on_one_machine_only_and_never_judged(make, made_up):
    cell, both = make
    base, slow = [cell(rmsd_pm=5.0, reconstruct_s=1.0)], [cell(rmsd_pm=5.0, reconstruct_s=9.0)]
    found = both(base, slow)
    assert found.exit_status == 0
    assert [(one.column.name, one.median) for one in found.costs] == [("reconstruct_s", 9.0)]
    _, side = made_up
    elsewhere = compare(side(base), side(slow, machine={"processor": "two"}))
    assert elsewhere.costs == ()
    assert elsewhere.no_costs == "another machine: processor"


def test_margins():
    columns = Columns.from_json(COLUMNS)
    rmsd, tracing, rate = (columns.get(name).margin for name in ("rmsd_pm", "tracing_error_pct", "recall_Au_pct"))
    assert rmsd.about(4.0) == 0.5
    assert rmsd.about(100.0) == 2.0
    assert tracing.about(0.0, 10000) == 0.1
    assert rate.about(100.0, 20) == pytest.approx(5.0)
    assert rate.about(100.0, 20) >= 5.0
    assert rate.one_of == tracing.one_of == "n_true"
    assert not columns.get("n_true").compared


def test_options_that_do_not_exist_are_named(make):
    cell, both = make
    base = [cell(rmsd_pm=5.0, mine=1.0)]
    for options, words in (
        ({"metrics": ["rmsd"]}, "did you mean 'rmsd_pm'"),
        ({"metrics": ["mine"]}, "mine:lower or mine:higher"),
        ({"metrics": ["reconstruct_s"]}, "without a verdict"),
        ({"methods": ["RESIR"]}, "did you mean 'RESIRE'"),
        ({"by": "luck"}, "allowed: margin, statistics"),
        ({"confidence": 2.0}, "between 0.5 and 1"),
    ):
        with pytest.raises(BenchsuiteError, match=words):
            both(base, base, **options)
    found = both(base, [cell(rmsd_pm=5.0, mine=40.0)], metrics=["mine:lower"])
    assert [(one.metric, one.verdict) for one in found.findings] == [("mine", Verdict.REGRESSED)]
    assert both(base, [cell(rmsd_pm=5.0, mine=40.0)], metrics=["mine:higher"]).exit_status == 0


METRICS = ("rmsd_pm", "bond_length_error_pm", "r_factor", "resolution_fsc_A", "site_displacement_pm", "rmsd_Au_pm")


def sweep(rng, made_up, own, change=0.0, repeats=5, methods=4, doses=10):
    """Two sides of methods × doses cells and six metrics; noise `own` of each side; the first method's RMSD is changed."""
    cell, side = made_up
    sides = ([], [])
    for m in range(methods):
        for dose in range(1, doses + 1):
            shared = 100 * (1 + 0.05 * rng.standard_normal((repeats, len(METRICS))))
            for k, cells in enumerate(sides):
                values = shared * (1 + own * rng.standard_normal(shared.shape))
                values[:, 0] *= 1 + change * (k == 1 and m == 0)
                cells += [cell(f"M{m}", float(dose), r, **dict(zip(METRICS, row, strict=True))) for r, row in enumerate(values)]
    return side(sides[0]), side(sides[1])


@pytest.mark.parametrize("own", [0.01, 0.05])
def test_a_against_a_over_40_cells_and_6_metrics(made_up, own):
    """Own noise below the margin, and of more than twice the margin: the whole comparison hardly ever fails."""
    rng = np.random.default_rng(5)
    alarms = [compare(*sweep(rng, made_up, own)).exit_status for _ in range(12)]
    assert np.mean(alarms) <= (0.0 if own < 0.02 else 0.1)


def test_four_percent_in_one_method_are_found(made_up):
    rng = np.random.default_rng(6)
    found = [compare(*sweep(rng, made_up, 0.01, 0.04)) for _ in range(4)]
    assert all(one.exit_status == 1 for one in found)
    assert all({finding.method for finding in one.failing} == {"M0"} for one in found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("own", "repeats", "most"), [(0.01, 5, 0.01), (0.05, 5, 0.04), (0.1, 5, 0.04), (0.05, 1, 0.04), (0.05, 8, 0.04)]
)
def test_false_alarms_as_the_documentation_states_them(made_up, own, repeats, most):
    rng = np.random.default_rng(11)
    assert np.mean([compare(*sweep(rng, made_up, own, repeats=repeats)).exit_status for _ in range(300)]) <= most
