"""Reports over many runs: pooling, winners, fronts, axes, what is drawn anew, and the parts of a cell's page."""

from __future__ import annotations

import base64
import itertools
import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from benchsuite.cli import app
from benchsuite.data import Volume
from benchsuite.errors import BenchsuiteError
from benchsuite.metrics.matching.matched import as_found, match_atoms
from benchsuite.reports import write_overview, write_report
from benchsuite.reports.figures.multiples import scores_of, sheets, small_multiples
from benchsuite.reports.figures.pareto import dose_of, front, pareto
from benchsuite.reports.figures.sweep_axis import log_if_decades, sweep_axis
from benchsuite.reports.groups import groups, methods
from benchsuite.reports.pages.atoms import CORRECT, FALSE, MISCLASSIFIED, MISSED, NON_ATOM, packed, scene
from benchsuite.reports.pages.charts import Axis, _texts
from benchsuite.reports.pages.still import SIDE, still
from benchsuite.reports.pool import members_of, pools, run_names
from benchsuite.reports.style import BOUND_LINE, WIDTH_IN, method_styles, new_figure, styled
from benchsuite.reports.traced_atoms import slice_of
from benchsuite.reports.winners import percent, winner_table, winners
from benchsuite.results import Run
from benchsuite.storage import save_arrays, save_atoms
from benchsuite.store import Key, Store
from tests.reports.made_runs import DEFOCUS, DOSE, cell, make_run, specimen, traced_of

INF = float("inf")


def pool_of(*runs):
    (found,) = pools(members_of(runs))
    return found


# ---- pooling ------------------------------------------------------------------------------------------------------------


def test_runs_of_one_scenario_are_pooled_and_equal_results_count_once(tmp_path):
    runs = [
        make_run(tmp_path / "a", methods=("RESIRE",), store=tmp_path / "store"),
        make_run(tmp_path / "b", methods=("RESIRE", "WBP"), store=tmp_path / "store"),
    ]
    pool = pool_of(*runs)
    assert methods(pool) == ["RESIRE", "WBP"]
    assert len(pool.table) == 4


def test_different_results_of_one_cell_are_told_apart_by_run(tmp_path):
    runs = [make_run(tmp_path / name, methods=("RESIRE",), data=False) for name in ("a", "b")]
    record = json.loads((tmp_path / "b" / "cells" / "0000.json").read_text())
    record["keys"] = {"scores": "scores/" + "0" * 32 + "/" + "1" * 16}
    (tmp_path / "b" / "cells" / "0000.json").write_text(json.dumps(record))
    assert set(methods(pool_of(runs[0], Run(tmp_path / "b")))) == {"RESIRE (a)", "RESIRE (b)"}


def test_other_settings_are_another_scenario(tmp_path):
    runs = [make_run(tmp_path / name, data=False) for name in ("a", "b")]
    about = json.loads((tmp_path / "b" / "run.json").read_text())
    about["scenario"]["microscope"] = {"energy_keV": 80}
    (tmp_path / "b" / "run.json").write_text(json.dumps(about))
    found = pools(members_of([runs[0], Run(tmp_path / "b")]))
    assert [pool.name for pool in found] == ["made-up (a)", "made-up (b)"]


def test_a_run_that_fixes_what_another_sweeps_is_a_point_of_its_sweep(tmp_path):
    swept = make_run(tmp_path / "a", methods=("RESIRE",), data=False)
    make_run(tmp_path / "b", methods=("WBP",), doses=(2e5,), data=False)
    about = json.loads((tmp_path / "b" / "run.json").read_text()) | {"sweep_keys": []}
    (tmp_path / "b" / "run.json").write_text(json.dumps(about))
    record = json.loads((tmp_path / "b" / "cells" / "0000.json").read_text())
    del record["row"][DOSE]
    (tmp_path / "b" / "cells" / "0000.json").write_text(json.dumps(record))
    pool = pool_of(swept, Run(tmp_path / "b"))
    assert list(pool.table.loc[pool.table["reconstructor"] == "WBP", DOSE]) == [2e5]


def test_names_of_runs_are_plain_and_different(tmp_path):
    runs = [make_run(tmp_path / part / "a b", data=False) for part in ("x", "y")]
    assert run_names(runs) == ["a-b", "a-b-2"]


# ---- who wins -----------------------------------------------------------------------------------------------------------


def rmsds(run, values):
    """Replace the RMSD of cells by their number; None: a failure."""
    for number, value in values.items():
        file = run.folder / "cells" / f"{number:04d}.json"
        record = json.loads(file.read_text())
        record["row"] |= {"rmsd_pm": value} if value is not None else {"status": "timeout", "reason": "60 s"}
        file.write_text(json.dumps(record))
    return Run(run.folder)


def test_winner_with_one_repeat_says_on_what_it_rests(tmp_path):
    run = rmsds(make_run(tmp_path / "a", data=False), {0: 4.0, 1: 5.0, 2: 40.0, 3: 5.05})
    found = winners(pool_of(run))
    first, second = found.contests
    assert (first.best, first.ties) == ("RESIRE", ())
    assert first.confidence > 0.95
    assert second.best == "RESIRE"
    assert second.ties == ("GENFIRE",)
    assert second.verdict == "tie: RESIRE, GENFIRE"
    assert "rests on that assumption alone" in found.note
    table = winner_table(found, "w")
    assert table.rows[0][:2] == ["no noise", "RESIRE"]
    assert table.rows[0][3] == "97.5"  # 39 of 40 atoms


def test_a_method_that_failed_a_repeat_does_not_win(tmp_path):
    run = make_run(tmp_path / "a", doses=(INF,), repeats=2, data=False)
    found = winners(pool_of(rmsds(run, {0: 1.0, 1: None, 2: 5.0, 3: 5.1})))
    (contest,) = found.contests
    assert contest.best == "GENFIRE"
    assert contest.entries["RESIRE"].standing == "failed"
    assert contest.entries["RESIRE"].text == "1 (1/2)"
    assert contest.verdict == "GENFIRE (no rival with as many results)"


def test_methods_with_failures_are_compared_on_shared_repeats(tmp_path):
    run = make_run(tmp_path / "a", doses=(INF,), repeats=3, data=False)
    (contest,) = winners(pool_of(rmsds(run, {0: None, 1: 4.0, 2: 4.1, 3: 90.0, 4: None, 5: 40.0}))).contests
    assert contest.verdict == "RESIRE (over 1 of 3 repeats)"
    assert contest.entries["GENFIRE"].standing == "beaten"


def test_condition_without_results_has_no_winner(tmp_path):
    run = make_run(tmp_path / "a", doses=(INF,), failures=(0, 1), data=False)
    (contest,) = winners(pool_of(run)).contests
    assert contest.best is None
    assert contest.entries["RESIRE"].text == "no result (0/1)"


@pytest.mark.parametrize(("confidence", "text"), [(0.2, "< 50"), (0.874, "87"), (0.9966, "99.66"), (1.0, "> 99.99")])
def test_confidence_is_never_certain(confidence, text):
    assert percent(confidence) == text


# ---- fronts and axes -----------------------------------------------------------------------------------------------------


def test_the_front_agrees_with_its_definition():
    rng = np.random.default_rng(3)
    for _ in range(50):
        points = [tuple(map(float, p)) for p in rng.integers(0, 6, (12, 2))]
        beaten = {
            i
            for i, (price, error) in enumerate(points)
            if any(a <= price and b <= error and (a < price or b < error) for a, b in points)
        }
        assert set(front(points)) == set(range(12)) - beaten
    assert front([(1.0, math.nan), (2.0, 3.0), (INF, 1.0)]) == [1, 2]
    assert front([(1.0, 0.5), (2.0, 0.9), (3.0, 0.7)], smaller=False) == [0, 1]


def test_no_noise_stands_beyond_the_last_dose_at_the_same_distance():
    axis = sweep_axis(DOSE, [INF, 1e4, 1e6, 1e5])
    assert [axis.place(dose) for dose in (1e4, 1e5, 1e6, INF)] == pytest.approx([4, 5, 6, 7])
    assert axis.ticks[-1] == (7.0, "no noise")
    assert (
        [axis.place(x) for x in (0.0, 10.0, 5.0)] == [0.0, 10.0, 5.0] if (axis := sweep_axis(DEFOCUS, [0.0, 10.0, 5.0])) else False
    )
    assert sweep_axis("phantom", ["CuAu", "BaO"]).ticks == [(0.0, "CuAu"), (1.0, "BaO")]


@pytest.mark.parametrize("columns", [2, 4, 5])
@pytest.mark.parametrize("ends", [(20, 720), (30, 310), (20, 250), (0.02, 3), (3, 9e6), (1e5, 2e6)])
def test_ticks_of_decades_stand_apart_in_panels_of_any_width(columns, ends):
    labels = styled(_ticks_of_panels)(columns, ends)
    assert all(right < left for (_, right), (left, _) in itertools.pairwise(sorted(labels)))
    assert len(labels) >= (2 * columns if columns < 5 else columns)


def _ticks_of_panels(columns, ends):
    """The ends of the labels at the ticks of panels side by side."""
    figure = new_figure(WIDTH_IN, 1.8)
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for axis in axes:
        axis.margins(0.12)
        axis.set_ylabel("OSPA distance (pm)")
        axis.plot(ends, [1, 2], "o")
        log_if_decades(axis, "x", np.array(ends))
    figure.draw_without_rendering()
    shown = []
    for axis in axes:
        low, high = axis.get_xlim()
        shown += [text.get_window_extent() for text in axis.get_xticklabels() if low <= text.get_position()[0] <= high]
    return [(box.x0, box.x1) for box in shown]


def test_a_chart_has_ticks_within_its_ends():
    for axis in (Axis("", 0.0, 7.3), Axis("", -3.0, 0.5), Axis("", 0.002, 800.0, True), Axis("", 2.0, 9.0, True)):
        ticks = axis.ticks()
        assert 2 <= len(ticks) <= 8
        assert all(-1e-6 <= axis.place(np.array(tick)) <= 1 + 1e-6 for tick in ticks)


def test_every_score_against_every_swept_value(tmp_path):
    run = make_run(tmp_path / "a", doses=(INF, 1e6, 1e5), defoci=(-100.0, 0.0, 100.0, 200.0, 300.0), data=False, failures=(3,))
    pool = pool_of(run)
    found = sheets(pool)
    for key in (DOSE, DEFOCUS):
        shown = [metric for sheet in found if sheet.key == key for metric in sheet.metrics]
        assert shown == scores_of(pool)
    assert {"rmsd_pm", "r_factor", "reconstruct_s"} <= set(scores_of(pool))
    of_dose = next(sheet for sheet in found if sheet.key == DOSE)
    assert (len(of_dose.held), of_dose.left_out) == (4, 1)
    figure = small_multiples(of_dose, method_styles(methods(pool)))
    texts = [text.get_text() for text in figure.texts]
    assert "4 of 5 settings of the other swept keys" in texts[-1]
    assert any("no result" in text.get_text() for text in figure.legends[0].get_texts())
    crosses = [line for axes in figure.axes for line in axes.lines if line.get_marker() == "x" and len(line.get_xdata())]
    assert crosses, "the failure is marked where it happened"


def test_in_small_multiples_categories_are_not_joined(tmp_path):
    run = make_run(tmp_path / "a", doses=(1e5,), phantoms=("CuAu", "BaO"), repeats=2, data=False)
    pool = pool_of(run)
    (sheet,) = [sheet for sheet in sheets(pool) if "rmsd_pm" in sheet.metrics]
    panel = small_multiples(sheet, method_styles(methods(pool))).axes[0]
    points = [(line.get_marker(), float(line.get_xdata()[0])) for line in panel.lines if len(line.get_xdata()) == 1]
    assert len(points) == 4
    assert len({x for _, x in points}) == 4
    assert not [line for line in panel.lines if line.get_linestyle() != "None" and len(line.get_xdata()) > 1]


def test_the_pareto_figures_mark_what_failed(tmp_path):
    run = make_run(tmp_path / "a", methods=("RESIRE", "WBP", "SIRT"), repeats=2, failures=(0, 1, 4), data=False)
    pool = pool_of(run)
    styles = method_styles(methods(pool))
    for price in ("time", "dose"):
        figure = pareto(pool, price, styles)
        assert any("no result: RESIRE" in text.get_text() for axes in figure.axes for text in axes.texts)
        assert any("1/2" in text.get_text() for axes in figure.axes for text in axes.texts)


def test_the_dose_of_a_method_with_an_experiment_of_its_own(tmp_path):
    pool = pool_of(make_run(tmp_path / "a", doses=(1e5,), data=False))
    group = groups(pool)[0]
    scenario = {"acquisition": {"dose_e_per_A2": 7.0}, "reconstructors": [{"use": "resire", "experiment": {DOSE: 9.0}}]}
    bare = type(group)(group.method, {}, group.rows, 1)
    assert dose_of(scenario, bare) == 9.0
    assert dose_of({"acquisition": {"dose_e_per_A2": 7.0}}, bare) == 7.0
    assert dose_of(scenario, group) == 1e5


# ---- the folder ----------------------------------------------------------------------------------------------------------


def test_everything_that_a_page_names_is_there(small_report):
    for page in [small_report / "index.html", *small_report.glob("pages/**/*.html")]:
        text = page.read_text()
        assert "could not be drawn" not in text
        for name in re.findall(r'(?:src|href)="([^"]+)"', text):
            if not name.startswith(("data:", "#")):
                assert (page.parent / name.split("#")[0]).is_file(), (page, name)
    assert len(list(small_report.glob("pages/*/*.html"))) == 10
    cells = pd.read_csv(small_report / "tables" / "cells.csv")
    assert len(cells) == 10
    assert set(cells["status"]) == {"ok", "error"}


def test_hostile_names_and_logs_are_text(small_report):
    for page in [small_report / "index.html", *small_report.glob("pages/**/*.html")]:
        text = page.read_text()
        assert "<b>odd" not in text
        assert "<script>" not in text
        assert "<i>on purpose" not in text
    assert "</" not in (small_report / "cells.js").read_text()


def test_only_what_is_new_is_drawn_anew(tmp_path):
    run = make_run(tmp_path / "run", methods=("RESIRE",))
    page = write_overview([run], tmp_path / "out")

    def times():
        return {file: file.stat().st_mtime_ns for file in (tmp_path / "out").rglob("*") if file.is_file() and file != page}

    before = times()
    about = json.loads((tmp_path / "run" / "run.json").read_text())
    about["provenance"]["started"] = "another day"
    (tmp_path / "run" / "run.json").write_text(json.dumps(about))
    write_overview([Run(tmp_path / "run")], tmp_path / "out")
    assert times() == before
    record = json.loads((tmp_path / "run" / "cells" / "0001.json").read_text())
    record["row"]["reason"] = "a remark"
    (tmp_path / "run" / "cells" / "0001.json").write_text(json.dumps(record))
    write_overview([Run(tmp_path / "run")], tmp_path / "out")
    after = times()
    changed = {str(file.relative_to(tmp_path / "out")) for file in after if after[file] != before.get(file)}
    assert "pages/run/0001.html" in changed
    assert "pages/run/0000.html" not in changed
    (tmp_path / "run" / "cells" / "0001.json").unlink()
    write_overview([Run(tmp_path / "run")], tmp_path / "out")
    assert not (tmp_path / "out" / "pages" / "run" / "0001.html").exists()


def test_folders_that_cannot_be_are_refused(tmp_path):
    run = make_run(tmp_path / "run", data=False)
    with pytest.raises(BenchsuiteError, match="is a run folder"):
        write_overview([run], tmp_path / "run")
    with pytest.raises(BenchsuiteError, match="named more than once"):
        write_overview([run, run], tmp_path / "out")


def test_the_command_writes_one_report_or_each_its_own(tmp_path):
    folders = [str(make_run(tmp_path / name, methods=("RESIRE",), data=False).folder) for name in ("a", "b")]
    told = CliRunner().invoke(app, ["report", *folders, "--out", str(tmp_path / "out")])
    assert told.exit_code == 0
    assert told.output.split() == ["report", str(tmp_path / "out" / "index.html")]
    assert not (tmp_path / "a" / "report").exists()
    assert CliRunner().invoke(app, ["report", folders[0]]).exit_code == 0
    assert (tmp_path / "a" / "report" / "index.html").is_file()


def test_a_damaged_entry_costs_its_part_of_the_page_alone(tmp_path):
    run = make_run(tmp_path / "run", methods=("RESIRE",), doses=(INF,))
    volume = next((tmp_path / "store" / "reconstruction").rglob("volume/c/0/0/0"))
    volume.write_bytes(volume.read_bytes()[:-1] + b"\0")
    write_overview([run], tmp_path / "out")
    text = (tmp_path / "out" / "pages" / "run" / "0000.html").read_text()
    assert "RMSD" in text
    assert "data-atoms" in text
    assert "No longer in the store, or damaged there: reconstruction" in text


def test_the_report_of_a_single_run_has_pages_too(tmp_path):
    page = write_report(make_run(tmp_path / "run", methods=("RESIRE",), failures=(1,)))
    assert page == tmp_path / "run" / "report" / "index.html"
    assert "data-atoms" in (page.parent / "pages" / "run" / "0000.html").read_text()
    assert "ValueError" in (page.parent / "pages" / "run" / "0001.html").read_text()
    assert (page.parent / "assets" / "atoms_view.js").is_file()


# ---- the page of a cell --------------------------------------------------------------------------------------------------


def test_the_view_gets_every_atom_where_it_is():
    rng = np.random.default_rng(0)
    truth = specimen(rng)
    matched = match_atoms(truth, traced_of(truth, 5.0, rng))
    row = {f"shift_{axis}_A": float(matched.shift_A[k]) for k, axis in enumerate("xyz")}
    atoms = scene(as_found(matched), matched.truth, row)
    assert np.bincount(atoms.outcome, minlength=5).tolist() == [38, 1, 1, 1, 1]
    lost = atoms.positions_A[atoms.outcome == MISSED]
    np.testing.assert_allclose(lost, truth.positions[:1] + list(row.values()))
    told = packed(atoms)
    positions = np.frombuffer(base64.b64decode(told["positions"]), "<i2").reshape(-1, 3) * told["step_A"]
    np.testing.assert_allclose(positions, atoms.positions_A, atol=told["step_A"])
    moved = np.frombuffer(base64.b64decode(told["displacement"]), "<u2")
    np.testing.assert_allclose(
        moved[atoms.outcome <= MISCLASSIFIED] * 0.01, atoms.displacement_pm[atoms.outcome <= MISCLASSIFIED], atol=0.006
    )
    assert (moved[atoms.outcome > MISCLASSIFIED] == 65535).all()
    assert [entry["name"] for entry in told["elements"]] == ["Au", "Cu", "non-atom"]
    assert {CORRECT, FALSE, NON_ATOM} <= set(np.frombuffer(base64.b64decode(told["outcome"]), np.uint8).tolist())


def test_atoms_without_a_truth_are_shown_and_not_judged(tmp_path):
    atoms = traced_of(specimen(np.random.default_rng(0)), 5.0, np.random.default_rng(1))
    atoms.set_array("outcome", np.where(np.array(atoms.get_chemical_symbols()) == "X", "non_atom", "traced"))
    atoms.set_array("displacement_A", np.full(len(atoms), np.nan))
    found = scene(atoms, None, {})
    assert np.bincount(found.outcome, minlength=6).tolist() == [0, 0, 0, 0, 1, 40]
    assert (still(found) != 255).any()
    run = make_run(tmp_path / "run", methods=("RESIRE",), doses=(INF,))
    match, scores = (Key.parse(run.records["0000"]["keys"][stage]) for stage in ("match", "scores"))
    run.store.discard(match)
    with run.store.writing(match, {}) as folder:
        save_atoms(folder / "traced_scored.extxyz", atoms)
        (folder / "match.json").write_text('{"confusion": {}}')
    run.store.discard(scores)
    with run.store.writing(scores, {}) as folder:
        save_arrays(folder / "curves.zarr", {"pdf_distance_A": np.arange(1.0, 7.0), "pdf_traced": np.ones(6)}, {})
    write_overview([run], tmp_path / "out")
    text = (tmp_path / "out" / "pages" / "run" / "0000.html").read_text()
    assert "traced, ground truth unknown: 40" in text
    assert "misclassified" not in text.partition('id="slices"')[2]
    assert 'class="bad"' not in text


def test_the_nearer_atom_hides_the_other_one():
    truth = specimen(np.random.default_rng(0), 3)
    traced = traced_of(truth, 1.0, np.random.default_rng(1))
    matched = match_atoms(truth, traced)
    atoms = scene(as_found(matched), matched.truth, {})
    forward = np.array([0.45, 0.35, 0.82])
    line = np.outer([0.0, 3.0], forward)
    two = type(atoms)(line, np.array(["Au", "Au"]), np.array([CORRECT, FALSE], np.uint8), np.array([1.0, np.nan]))
    middle = still(two)[SIDE // 2, SIDE // 2]
    assert middle[0] > 150  # the false one, in vermillion, is nearer
    turned = type(atoms)(line[::-1], two.symbols, two.outcome, two.displacement_pm)
    assert still(turned)[SIDE // 2, SIDE // 2][0] < 150


@pytest.mark.parametrize("axes", [(2, 0, 1), (1, 0, 2), (0, 1, 2)])
def test_slices_show_what_is_right_and_up(axes):
    across, right, up = axes
    at = [20, 12, 18]  # x, y, z
    at[across] = 16
    data = np.zeros((33, 33, 33), np.float32)
    data[at[2], at[1], at[0]] = 1.0
    image, low, pixel = slice_of(Volume(data, 2.5), *axes)
    assert np.argwhere(image == 1.0).tolist() == [[at[up], at[right]]]
    centre = np.array([at[right], at[up]]) * pixel + low + pixel / 2
    np.testing.assert_allclose(centre, 2.5 * (np.array([at[right], at[up]]) - 16))


def test_the_parameters_are_those_that_the_store_has(tmp_path):
    store = Store(tmp_path / "store")
    _, keys = cell(store, "RESIRE", 5.0, 3)
    run = make_run(tmp_path / "run", methods=("RESIRE",), doses=(INF,), failures=(0,))
    record = json.loads((tmp_path / "run" / "cells" / "0000.json").read_text()) | {"keys": keys}
    (tmp_path / "run" / "cells" / "0000.json").write_text(json.dumps(record))
    made_with = Run(run.folder).cell("0000").made_with("reconstruction")
    assert made_with["params"] == {"iterations": 30, "step_size": 2.0}
    assert Run(run.folder).cell("0000").gone() == []


def test_no_two_methods_look_alike():
    known = ["MSET", "SSET", "MSPT", "SSPT", "RESIRE", "GENFIRE", "SIRT", "WBP", "LOT direct", "LOT rigid", "LOT", "nLOT"]
    styles = method_styles([*known, *(f"method {number}" for number in range(60))])
    assert len({(style.color, style.marker) for style in styles.values()}) == len(styles)
    assert {name: styles[name] for name in known[:5]} == method_styles(known[:5])


@pytest.mark.parametrize("others", [3, 53])
def test_no_two_methods_have_the_same_line(others):
    """Figures such as that of convergence have lines without markers."""
    known = ["MSET", "SSET", "MSPT", "SSPT", "RESIRE", "GENFIRE", "SIRT", "WBP", "LOT direct", "LOT rigid", "LOT", "nLOT", "mset"]
    methods = [*known, *(f"method {number}" for number in range(others))]
    styles = method_styles(methods)
    lines = {(style.color, style.linestyle) for style in [BOUND_LINE, *styles.values()]}
    assert len(lines) == len(styles) + 1
    assert list(styles) == methods


def test_ticks_of_a_narrow_range_have_the_digits_that_tell_them_apart():
    assert _texts([0.8012, 0.8014, 0.8016]) == ["0.8012", "0.8014", "0.8016"]
    assert _texts([0.0, 0.5, 1.0]) == ["0", "0.5", "1"]
