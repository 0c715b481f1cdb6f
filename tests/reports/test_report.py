"""Tables and figures on a made-up run: two methods, two doses, two repeats, one failure, hostile text."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from ase import Atoms

from benchsuite.columns import Columns
from benchsuite.data import Reconstruction
from benchsuite.reports import write_overview, write_report
from benchsuite.reports.labels import condition
from benchsuite.reports.style import wrapped
from benchsuite.reports.summary import summary, tables
from benchsuite.reports.traced_atoms import slab
from benchsuite.results import FORMAT, CellResult, Run, table_of
from tests.reports.made_runs import COLUMNS, drawn
from tests.reports.made_runs import make_run as made_up

KEY = "acquisition.dose_e_per_A2"


def make_run(folder, rows, sweep_keys=(KEY,)):
    about = {
        "format": FORMAT,
        "scenario": {
            "name": "made-up",
            "title": "<script>alert(1)</script>",
            "repeats": 2,
            "analysis": {"species": ["Cu", "Au"]},
            "published": [{"where": {KEY: 2e5, "reconstructor": "RESIRE"}, "source": "here", "rmsd_pm": 17.0}],
        },
        "scale": "desk",
        "sweep_keys": list(sweep_keys),
        "store": "store",
        "columns": COLUMNS,
        "provenance": {"commit": None, "libraries": {"numpy": "2"}},
    }
    (folder / "cells").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(about))
    for number, row in enumerate(rows):
        record = {"row": {"cell": f"{number:04d}", "scenario": "made-up", **row}, "keys": {}, "log": ""}
        (folder / "cells" / f"{number:04d}.json").write_text(json.dumps(record))
    return Run(folder)


def row(method, dose, repeat, rmsd=None, status="ok", reason=""):
    scores = {"rmsd_pm": rmsd, "tracing_error_pct": 1.0, "classification_rate_pct": 99.0, "n_matched": 50} if rmsd else {}
    return {"reconstructor": method, KEY: dose, "repeat": repeat, "status": status, "reason": reason, **scores}


@pytest.fixture
def run(tmp_path):
    rows = [row("RESIRE", dose, repeat, 5.0 + repeat) for dose in (float("inf"), 2e5) for repeat in (0, 1)]
    rows += [row("<b>odd</b>", float("inf"), repeat, 8.0) for repeat in (0, 1)]
    rows += [row("<b>odd</b>", 2e5, 0, 9.0), row("<b>odd</b>", 2e5, 1, status="timeout", reason="$ran$ longer than <60> s")]
    return make_run(tmp_path / "run", rows)


def test_summary_by_hand(run):
    table = summary(run)
    first = dict(zip(table.columns, table.rows[0], strict=True))
    assert first["Cells ok"] == "2/2"
    assert first["RMSD (pm)"] == "5.50 ± 0.71"
    assert first["Electron dose (e/Å²)"] == "no noise"
    last = dict(zip(table.columns, table.rows[-1], strict=True))
    assert last["Cells ok"] == "1/2"
    assert last["RMSD (pm)"] == "9*"


def test_published_and_failures(run):
    found = {table.slug: table for table in tables(run)}
    assert found["published"].rows[0][-2:] == ["17", "5.50 ± 0.71"]
    assert found["failures"].rows == [["0007", "<b>odd</b>", "timeout", "$ran$ longer than <60> s"]]
    assert "\\|" in found["summary"].markdown() or "|" in found["summary"].markdown()


def test_a_report_without_any_stored_data(run):
    page = write_report(run)
    text = page.read_text()
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "<b>odd" not in text
    assert "1 of 8 cells gave no result" in text
    assert "could not be drawn" not in text
    for name in re.findall(r'(?:src|href)="([^"#]+)"', text):
        assert (page.parent / name).is_file(), name


@pytest.mark.parametrize("kind", ["all failed", "one cell", "no sweep"])
def test_degenerate_runs(tmp_path, kind):
    rows = {
        "all failed": [row("WBP", 2e5, 0, status="error", reason="x" * 300)],
        "one cell": [row("WBP", 2e5, 0, 4.0)],
        "no sweep": [row("WBP", 2e5, 0, 4.0), row("SIRT", 2e5, 0, 3.0)],
    }[kind]
    run = make_run(tmp_path / "run", rows, sweep_keys=() if kind == "no sweep" else (KEY,))
    assert "could not be drawn" not in write_report(run).read_text()


def test_the_table_keeps_every_column():
    table = table_of(
        [{"cell": "0", "status": "ok", "recall_Au_pct": 3.0}, {"cell": "1", "status": "error", "mine": 1.0}],
        [KEY],
        Columns.from_json(COLUMNS),
    )
    assert list(table.columns[:4]) == ["cell", "scenario", "scale", "status"]
    assert list(table.columns[8:]) == [KEY, "rmsd_pm", "tracing_error_pct", "classification_rate_pct", "recall_Au_pct", "mine"]
    assert np.isnan(table["recall_Au_pct"][1])


def test_hostile_method_names_are_drawn_as_they_are(tmp_path):
    rows = [row(name, dose, 0, 4.0) for name in ("$\\frac$", "_hidden", "a\nb") for dose in (2e5, 2e6)]
    page = write_report(make_run(tmp_path / "run", rows))
    assert "could not be drawn" not in page.read_text()
    figure = drawn("sweep_lines", Run(tmp_path / "run"))["sweep_lines_dose_e_per_A2"]
    assert len(figure.legends[0].get_texts()) == 3


def test_the_slice_is_two_angstrom_thick_and_symmetric():
    chosen = range(64)[slab(64, 0.4)]
    assert list(chosen) == [30, 31, 32, 33, 34]
    assert len(range(50)[slab(50, 0.5)]) == 5


def test_every_swept_key_has_its_own_figure(tmp_path):
    keys = ("reconstructors.A.iterations", "reconstructors.B.iterations")
    rows = [{**row("SIRT", 2e5, 0, 4.0), keys[0]: i, keys[1]: j} for i in (1, 2) for j in (1, 2)]
    assert len(drawn("sweep_lines", make_run(tmp_path / "run", rows, keys))) == 2


def test_keys_that_advance_together_are_one_axis_and_single_points_no_row(tmp_path):
    step, positions = "acquisition.scan.step_A", "acquisition.scan.positions"
    points = [(0.8, "[32, 32]", 2e5), (1.6, "[16, 16]", 2e5), (1.6, "[16, 16]", 2e6)]
    rows = [{**row("SIRT", dose, 0, 4.0), step: a, positions: n} for a, n, dose in points]
    figures = drawn("sweep_lines", make_run(tmp_path / "run", rows, (positions, step, KEY)))
    assert set(figures) == {"sweep_lines_step_A", "sweep_lines_dose_e_per_A2"}
    panels = figures["sweep_lines_step_A"].axes
    assert len(panels) == 3
    assert panels[0].get_title() == "Electron dose 2×10⁵\N{NO-BREAK SPACE}e/Å²"
    assert panels[2].get_ylim()[1] < 101


@pytest.mark.parametrize(("largest", "scale"), [(20.0, "linear"), (60.0, "log")])
def test_errors_that_span_more_than_a_decade_have_a_logarithmic_axis(tmp_path, largest, scale):
    rows = [row("SIRT", dose, 0, rmsd) for dose, rmsd in ((2e5, largest), (2e6, 4.0))]
    figure = drawn("sweep_lines", make_run(tmp_path / "run", rows))["sweep_lines_dose_e_per_A2"]
    assert figure.axes[0].get_yscale() == scale
    assert figure.axes[1].get_yscale() == "linear"


def lines_of(axes):
    """The lines with points that are joined, by colour."""
    joined = [line for line in axes.lines if line.get_linestyle() != "None" and len(line.get_xdata()) > 1]
    return {line.get_color() for line in joined}


def test_categories_are_not_joined_and_methods_stand_side_by_side(tmp_path):
    rows = [
        {**row(method, 2e5, repeat, 4.0 + repeat), "phantom": phantom}
        for method in ("SIRT", "WBP")
        for phantom in ("CuAu", "BaO", "Si")
        for repeat in (0, 1)
    ]
    panel = drawn("sweep_lines", make_run(tmp_path / "run", rows, ("phantom",)))["sweep_lines_phantom"].axes[0]
    assert lines_of(panel) == set()
    points = [line.get_xdata() for line in panel.lines if line.get_marker() in ("o", "s")]
    assert len(points) == 2
    assert all(np.abs(x - np.arange(3)).max() < 0.5 for x in points)
    assert np.abs(points[0] - points[1]).min() > 0.05
    bars = [container for container in panel.containers if container.has_yerr]
    assert len(bars) == 2
    assert [text.get_text() for text in panel.get_xticklabels()] == ["CuAu", "BaO", "Si"]


def test_numbers_are_joined(tmp_path):
    rows = [row(method, dose, 0, 4.0) for method in ("SIRT", "WBP") for dose in (2e5, 2e6)]
    panel = drawn("sweep_lines", make_run(tmp_path / "run", rows))["sweep_lines_dose_e_per_A2"].axes[0]
    assert len(lines_of(panel)) == 2


def test_a_score_that_some_cells_lack_is_marked(tmp_path):
    rows = [{**row("SIRT", 2e5, 0, 4.0), "r_factor": 0.25}, row("SIRT", 2e5, 1, 6.0)]
    table = summary(make_run(tmp_path / "run", rows))
    first = dict(zip(table.columns, table.rows[0], strict=True))
    assert first["RMSD (pm)"] == "5.0 ± 1.4"
    assert first["R-factor"] == "0.25*"


def test_published_finds_fixed_settings_and_says_why_a_score_is_missing(tmp_path):
    rows = [row("RESIRE", 2e5, r, status="timeout", reason="60 s") for r in (0, 1)]
    run = make_run(tmp_path / "run", rows)
    run.scenario["published"][0]["where"]["analysis.species"] = ["Cu", "Au"]
    assert next(t for t in tables(run) if t.slug == "published").rows[0][-1] == "no result (timeout: 60 s (2 cells))"
    run.scenario["published"][0]["where"]["analysis.species"] = ["O", "Ba"]
    assert next(t for t in tables(run) if t.slug == "published").rows[0][-1] == "no such cell in this run"


def test_a_line_never_ends_between_number_and_unit():
    assert wrapped(condition({KEY: 2e6}), 22) == "Electron dose\n2×10⁶\N{NO-BREAK SPACE}e/Å²"


def test_spectral_amplitude_has_a_row_per_method_and_marks_missing_peaks(tmp_path, monkeypatch):
    from benchsuite.metrics.spectrum import curves_of, spectral_amplitude
    from benchsuite.results import CellResult

    curves = curves_of(spectral_amplitude(np.random.default_rng(0).random((20, 24, 28)).astype(np.float32), 0.4))
    peaks = {"resolution_x_A": 0.95, "resolution_y_A": 1.25, "sites_found_Co_pct": 80.0, "site_displacement_pm": 130.0}
    rows = [{**row(method, 2e5, 0, 4.0), **peaks} for method in ("SIRT", "$odd")]
    run = make_run(tmp_path / "run", rows)
    assert drawn("spectral_amplitude", run) == {}
    monkeypatch.setattr(CellResult, "curves", lambda _cell: curves)
    figure = drawn("spectral_amplitude", run)["spectral_amplitude"]
    assert len(figure.axes) == 8
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["x: 0.95 Å", "y: 1.25 Å", "z: no peak"]
    assert "Resolution along x (Å)" not in summary(run).columns
    run.scenario["figures"] = ["spectral_amplitude"]
    assert {"Resolution along x (Å)", "Sites of Co found (%)", "Site displacement (pm)"} <= set(summary(run).columns)
    assert "could not be drawn" not in write_report(run).read_text()


ELEMENTS = ["Cu", "Au", "Fe", "Pt", "Ni", "Pd", "Co"]


@pytest.fixture
def many_elements(tmp_path, monkeypatch):
    """A run whose cells have atoms of seven elements, all right but one of gold; one of them is missing, none a non-atom."""
    places = np.array([[x, y, 0.0] for x in range(-3, 4) for y in (-1, 1)]) * 2.5
    truth = Atoms(2 * ELEMENTS, positions=places)
    truth.set_array("outcome", np.array(["missing", *["found"] * 13], dtype="U14"))
    traced = truth[1:]
    traced.set_array("intensity", np.linspace(0.2, 1.0, 13))
    traced.set_array("outcome", np.array(["false_class", *["true"] * 12], dtype="U14"))
    monkeypatch.setattr(CellResult, "truth", lambda _cell: truth)
    monkeypatch.setattr(CellResult, "traced", lambda _cell: traced)
    monkeypatch.setattr(CellResult, "reconstruction", lambda _cell: Reconstruction(None, traced, np.empty((0, 2)), 1.0))
    shifts = {f"shift_{axis}_A": 0.0 for axis in "xyz"}
    run = make_run(tmp_path / "run", [{**row("LOT", 2e5, 0, 4.0), **shifts, "n_true": 14}])
    run.scenario["analysis"]["species"] = ELEMENTS
    return run


@pytest.mark.parametrize(("name", "others"), [("slice_grid", ["missed atom"]), ("histogram_grid", [])])
def test_legends_explain_what_occurs_and_stay_inside(many_elements, name, others):
    figure = drawn(name, many_elements)[name]
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["correct Cu", "correct Au", "incorrect Au", *(f"correct {element}" for element in ELEMENTS[2:]), *others]
    figure.draw_without_rendering()
    box = legend.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width


def test_legends_of_long_names_stay_inside(tmp_path):
    rows = [row(f"a method with a name of some length {number}", dose, 0, 4.0) for number in range(7) for dose in (2e5, 2e6)]
    figure = drawn("sweep_lines", make_run(tmp_path / "run", rows))["sweep_lines_dose_e_per_A2"]
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width


def test_shared_forward_model_is_stated_on_all_pages_and_below_the_summary(tmp_path):
    run = made_up(tmp_path / "run", methods=("MSET", "RESIRE"), doses=(2e5,))
    about = json.loads((run.folder / "run.json").read_text())
    about["shared_forward_models"] = {"MSET": "physics.multislice", "LOT": "physics.gaussians"}
    (run.folder / "run.json").write_text(json.dumps(about))
    run = Run(run.folder)
    sentence = "Simulation and reconstruction share the forward model physics.multislice"
    page = write_report(run)
    assert f"{sentence} for MSET:" in page.read_text()
    assert "physics.gaussians" not in page.read_text()
    assert f"{sentence} for MSET:" in (run.folder / "tables" / "summary.md").read_text()
    cells = {file.stem: file.read_text() for file in page.parent.glob("pages/*/*.html")}
    assert [sentence in cells[name] for name in ("0000", "0001")] == [True, False]
    assert f"{sentence} for MSET:" in write_overview([run], tmp_path / "all").read_text()
