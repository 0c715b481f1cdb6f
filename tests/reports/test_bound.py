"""The Cramér–Rao bound beside the RMSD: medians, lines in figures, columns of tables; nothing where there is none."""

from __future__ import annotations

import json
import math

import pytest

from benchsuite.reports import cell_table
from benchsuite.reports.figures.multiples import scores_of, sheets, small_multiples
from benchsuite.reports.figures.pareto import pareto
from benchsuite.reports.groups import bound_of, groups, methods, ratio_of
from benchsuite.reports.html import template, write_report
from benchsuite.reports.pool import members_of, pools
from benchsuite.reports.style import BOUND_LINE, method_styles
from benchsuite.reports.summary import summary, tables
from benchsuite.reports.winners import winner_table, winners
from benchsuite.results import Run
from tests.reports.made_runs import DOSE, drawn, make_run

INF = float("inf")
METHODS = ("MSET", "RESIRE", "GENFIRE", "SIRT", "WBP", "LOT")
NAME, BOUND = "Cramér–Rao bound", "bound_rmsd_pm"
LEAST = {dose: 2.0 * (1e7 / dose) ** 0.2 for dose in (1e4, 1e5, 1e6)}  # as made up


def noisy(folder, **options):
    """Six methods, four doses, one without noise, two kinds of particles."""
    made = {
        "methods": ("MSET", "RESIRE", "GENFIRE", "SIRT", "WBP", "LOT"),
        "doses": (INF, 1e6, 1e5, 1e4),
        "phantoms": ("CuAu", "BaO"),
    }
    return make_run(folder, **{**made, "bound": True, "data": False, **options})


def pool_of(run):
    (found,) = pools(members_of([run]))
    return found


def bounds_in(axes):
    """What is drawn of the bound as {place: pm}."""
    drawn = {}
    for line in axes.lines:
        if line.get_label() == NAME or (line.get_linestyle() == "--" and line.get_color() == BOUND_LINE.color):
            drawn |= {float(x): float(y) for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True) if math.isfinite(y)}
    for marks in axes.collections:
        if marks.get_label() == NAME:
            drawn |= {float(ends[:, 0].mean()): float(ends[0, 1]) for ends in marks.get_segments()}
    return drawn


def test_the_bound_of_a_condition_is_the_median_of_its_cells(tmp_path):
    run = noisy(tmp_path / "run", doses=(1e5, 1e6), phantoms=("CuAu",))
    for number, bound in enumerate((3.0, 5.0, None, 100.0)):
        file = run.folder / "cells" / f"{2 * number:04d}.json"
        record = json.loads(file.read_text())
        record["row"][BOUND] = bound
        file.write_text(json.dumps(record))
    found = [group for group in groups(Run(run.folder)) if group.swept[DOSE] == 1e5]
    assert bound_of(found[:4], "rmsd_pm") == 5.0
    assert bound_of(found[:2], "ospa_pm") == 4.0
    assert math.isnan(bound_of(found[2:3], "rmsd_pm"))
    assert math.isnan(bound_of([], "rmsd_pm"))
    mean, _, count = ratio_of(found[0], "rmsd_pm")
    assert mean == pytest.approx(found[0].stat("rmsd_pm")[0] / 3.0)
    assert count == 1


def test_lines_against_the_dose_have_the_bound_where_there_is_noise(tmp_path):
    figures = drawn("sweep_lines", noisy(tmp_path / "run"))
    figure = figures["sweep_lines_dose_e_per_A2"]
    for axes in (figure.axes[0], figure.axes[3]):
        assert bounds_in(axes) == pytest.approx({0.0: LEAST[1e4], 1.0: LEAST[1e5], 2.0: LEAST[1e6]})
        assert axes.get_ylim()[0] < LEAST[1e6]
    assert not any(bounds_in(axes) for axes in (*figure.axes[1:3], *figure.axes[4:]))
    assert [text.get_text() for text in figure.legends[0].get_texts()].count(NAME) == 1
    of_phantoms = figures["sweep_lines_phantom"]
    assert [bounds_in(axes) for axes in of_phantoms.axes[0:6:3]] == [{}, pytest.approx({0.0: LEAST[1e6], 1.0: LEAST[1e6]})]


def test_small_multiples_have_the_bound_among_the_values_of_the_rmsd(tmp_path):
    pool = pool_of(noisy(tmp_path / "run"))
    assert BOUND not in scores_of(pool)
    for sheet in sheets(pool):
        figure = small_multiples(sheet, method_styles(methods(pool)))
        names = [text.get_text() for text in figure.legends[0].get_texts()]
        assert (NAME in names) == ("rmsd_pm" in sheet.metrics)
        if "rmsd_pm" in sheet.metrics and sheet.key == DOSE:
            assert bounds_in(figure.axes[0]) == pytest.approx({4.0: LEAST[1e4], 5.0: LEAST[1e5], 6.0: LEAST[1e6]})


def test_one_noisy_dose_beside_none_is_a_mark(tmp_path):
    figure = drawn("sweep_lines", noisy(tmp_path / "run", doses=(INF, 1e5), phantoms=("CuAu",)))["sweep_lines_dose_e_per_A2"]
    assert bounds_in(figure.axes[0]) == pytest.approx({0.0: LEAST[1e5]})


def test_fronts_have_the_bound_of_their_condition(tmp_path):
    pool = pool_of(noisy(tmp_path / "run", phantoms=("CuAu",)))
    styles = method_styles(methods(pool))
    of_dose = pareto(pool, "dose", styles)
    assert bounds_in(of_dose.axes[0]) == pytest.approx({4.0: LEAST[1e4], 5.0: LEAST[1e5], 6.0: LEAST[1e6]})
    of_time = pareto(pool, "time", styles)
    drawn = {axes.get_title(): set(bounds_in(axes).values()) for axes in of_time.axes}
    assert drawn["no noise"] == set()
    assert sorted(value for values in drawn.values() for value in values) == pytest.approx(sorted(LEAST.values()))


def test_bound_is_listed_among_the_methods_without_a_sweep(tmp_path):
    run = noisy(tmp_path / "run", doses=(1e5,), phantoms=("CuAu",))
    figure = drawn("sweep_lines", run)["sweep_lines"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [NAME]


def test_tables_have_bound_and_ratio_beside_the_rmsd(tmp_path):
    run = noisy(tmp_path / "run", repeats=2)
    table = summary(run)
    place = table.columns.index("RMSD (pm)")
    assert table.columns[place : place + 3] == ["RMSD (pm)", f"{NAME} (pm)", "RMSD / bound"]
    by_dose = {row[1]: row[place : place + 3] for row in table.rows if row[0] == "MSET" and row[2] == "CuAu"}
    assert by_dose["no noise"][1:] == ["—", "—"]
    assert by_dose["1×10⁵"][1] == "5.02"
    rmsd, ratio = (float(by_dose["1×10⁵"][i].split(" ± ")[0]) for i in (0, 2))
    assert ratio == pytest.approx(rmsd / 5.02, rel=2e-3)
    script = cell_table.script(members_of([run]), "pages")
    columns = json.loads(script[script.index("=") + 1 : script.rindex(";")].replace("Infinity", "null"))["columns"]
    keys = [column["key"] for column in columns]
    assert keys[keys.index("rmsd_pm") + 1] == BOUND
    assert columns[keys.index(BOUND)]["shown"]
    found = winner_table(winners(pool_of(run)), "w")
    assert [row[4] for row in found.rows] == ["—", "—", "3.17", "3.17", "5.02", "5.02", "7.96", "7.96"]


def test_published_numbers_tell_the_bound(tmp_path):
    run = noisy(tmp_path / "run", doses=(INF, 1e5), phantoms=("CuAu",))
    run.scenario["published"] = [{"where": {DOSE: dose, "reconstructor": "MSET"}, "rmsd_pm": 4.0} for dose in (INF, 1e5)]
    (table,) = [table for table in tables(run) if table.slug == "published"]
    assert "bound" not in table.rows[0][-1]
    assert table.rows[1][-1].endswith("(bound 5.02)")


def test_a_report_with_and_without_a_bound(tmp_path):
    for bound in (True, False):
        folder = tmp_path / str(bound)
        page = write_report(noisy(folder, methods=("MSET",), doses=(INF, 1e5), phantoms=("CuAu",), bound=bound)).read_text()
        assert (f"{NAME} (pm)" in page) == bound
        assert "could not be drawn" not in page


def test_the_page_of_winners_has_as_many_cells_as_headings(tmp_path):
    for bound in (True, False):
        pool = pool_of(noisy(tmp_path / str(bound), bound=bound))
        found = winners(pool)
        section = {
            "winners": found,
            "table": winner_table(found, "w"),
            "pictures": [],
            "shared": [],
            "slug": "w",
            "title": "",
            "name": "",
        }
        page = template("overview.html.j2").render(
            title="", total=1, ok=1, runs=[], sections=[{**section, "scale": "", "ok": 1, "total": 1}]
        )
        table = page[page.index('<table class="winners">') :].split("</table>")[0]
        head, body = table.split("<tbody>")
        headings = head.count("<th ")
        assert headings == 4 + bound + len(found.methods)
        assert [row.count("</td>") + row.count("</th>") for row in body.split("<tr>")[1:]] == [headings] * len(found.contests)
