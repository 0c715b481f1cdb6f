"""Report figures as plugs: chosen by name, drawn from plugins, redrawn where they change, and harmless where they fail."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure as MplFigure
from typer.testing import CliRunner

from benchsuite import registry
from benchsuite.cli import app
from benchsuite.contract.figure import Figure
from benchsuite.reports import write_report
from benchsuite.reports.figures import HAS, by_slug, chosen, lacking
from benchsuite.reports.style import styles_of
from benchsuite.results import Run
from tests.reports.made_runs import drawn, make_run

EXAMPLE = Path(__file__).parents[2] / "docs" / "how-to" / "recall.py"
PLUGIN = """
from benchsuite import Figure

class {name}(Figure):
    title = "Made-up figure"
    caption = "A line & nothing <b>else</b>."

    def draw(self, run):
        from matplotlib.figure import Figure as MplFigure

        {body}
        figure = MplFigure()
        figure.subplots().plot([0, 1], [{height}, 1])
        return figure
"""


@pytest.fixture(autouse=True)
def no_plugins_left_behind(monkeypatch):
    monkeypatch.setattr(registry.PROCESS, "plugins", {kind: dict(known) for kind, known in registry.PROCESS.plugins.items()})
    monkeypatch.setattr(registry.PROCESS, "plugin_files", dict(registry.PROCESS.plugin_files))


def run_with(folder, figures=None, **options):
    """A made-up run of two methods whose scenario lists these figures; None: no list."""
    run = make_run(folder, doses=(2e5,), **options)
    about = json.loads((folder / "run.json").read_text())
    about["scenario"].pop("figures")
    about["scenario"] |= {} if figures is None else {"figures": figures}
    (folder / "run.json").write_text(json.dumps(about))
    return Run(run.folder)


def plugin(file, name, height=0, body=""):
    file.write_text(PLUGIN.format(name=name, height=height, body=body))
    return file


def pictures_of(page):
    return re.findall(r'<img src="([^"]+)"', page.read_text())


@pytest.mark.parametrize("name", registry.names("figure"))
def test_registered_figure_describes_itself(name):
    figure = registry.registered("figure", name)
    assert figure.title[0].isupper()
    assert not figure.title.endswith(".")
    assert figure.caption.endswith(".")
    assert figure.needs <= set(HAS)


def test_figures_are_those_listed_in_their_order(tmp_path):
    run = run_with(tmp_path / "run", ["sweep_lines", "convergence"])
    assert list(chosen(run)) == ["sweep_lines", "convergence"]
    assert pictures_of(write_report(run)) == ["sweep_lines.png", "convergence.png"]
    assert chosen(run_with(tmp_path / "none", [])) == {}


def test_figures_without_a_list_are_the_defaults_by_order(tmp_path):
    found = chosen(run_with(tmp_path / "run"))
    assert set(found) == set(registry.names("figure"))
    orders = [figure.order for figure in found.values()]
    assert orders == sorted(orders)


def test_figure_that_is_no_default_is_drawn_only_where_listed(tmp_path):
    file = plugin(tmp_path / "shy.py", "Shy")
    file.write_text(file.read_text().replace("    caption", "    default = False\n    caption"))
    registry.load_plugin(file)
    assert "shy" not in chosen(run_with(tmp_path / "run"))
    assert list(chosen(run_with(tmp_path / "listed", ["shy"]))) == ["shy"]


def test_figure_that_needs_what_a_run_lacks_is_left_out_and_named(tmp_path):
    run = run_with(tmp_path / "run", ["deviation_by_depth", "depth_slices", "convergence"])
    for file in (run.folder / "cells").glob("*.json"):  # scores without a truth
        record = json.loads(file.read_text())
        file.write_text(json.dumps({**record, "row": {**record["row"], "n_true": None}}))
    run = Run(run.folder)
    assert lacking(run, registry.registered("figure", "deviation_by_depth")()) == ["truth"]
    page = write_report(run)
    assert pictures_of(page) == ["convergence.png"]
    assert "deviation_by_depth needs truth" in page.read_text()
    assert "depth_slices has nothing to show" in page.read_text()


def test_example_plugin_is_drawn_into_the_report_with_its_caption(tmp_path):
    assert len(EXAMPLE.read_text().splitlines()) <= 40
    run = run_with(tmp_path / "run")
    told = CliRunner().invoke(app, ["report", str(run.folder), "--plugin", str(EXAMPLE)])
    assert told.exit_code == 0, told.output
    page = run.folder / "report" / "index.html"
    assert "recall.png" in pictures_of(page)
    assert "Share of the true atoms that were traced" in page.read_text()
    assert (run.folder / "figures" / "recall.pdf").stat().st_size > 2000


def test_lines_of_a_plugin_have_the_colours_of_the_methods(tmp_path):
    registry.load_plugin(EXAMPLE)
    run = run_with(tmp_path / "run", methods=("WBP", "SIRT", "RESIRE"))
    lines = drawn("recall", run)["recall"].axes[0].lines
    assert {line.get_label(): to_hex(line.get_color()) for line in lines} == {
        method: style.color.lower() for method, style in styles_of(run).items()
    }


def test_style_of_a_method_is_that_of_its_place_in_the_scenario(tmp_path):
    run = run_with(tmp_path / "run", methods=("WBP", "SIRT", "RESIRE"))
    whole = styles_of(run)
    (run.folder / "cells" / "0000.json").unlink()
    part = styles_of(Run(run.folder))
    assert part == {method: whole[method] for method in ("SIRT", "RESIRE")}


def test_figure_that_fails_costs_only_itself(tmp_path):
    registry.load_plugin(plugin(tmp_path / "broken.py", "Broken", body="raise ValueError('no <i>ink</i>')"))
    page = write_report(run_with(tmp_path / "run", ["broken", "sweep_lines"]))
    assert pictures_of(page) == ["sweep_lines.png"]
    assert "Made-up figure" in page.read_text()
    assert "ValueError: no &lt;i&gt;ink&lt;/i&gt;" in page.read_text()


def test_figure_that_is_not_registered_is_named_in_its_place(tmp_path):
    page = write_report(run_with(tmp_path / "run", ["recal", "sweep_lines"]))
    assert pictures_of(page) == ["sweep_lines.png"]
    assert "unknown figure &#39;recal&#39;" in page.read_text()


def test_figure_is_redrawn_where_its_own_code_changes(tmp_path):
    run = run_with(tmp_path / "run", ["ruler", "sweep_lines"])
    file = plugin(tmp_path / "ruler.py", "Ruler")
    times = []
    for height in (0, 0, 3):
        registry.PROCESS.plugin_files.clear()
        registry.load_plugin(plugin(file, "Ruler", height))
        write_report(run)
        times.append([(run.folder / "figures" / f"{name}.png").stat().st_mtime_ns for name in ("ruler", "sweep_lines")])
    assert times[0] == times[1]
    assert times[1][0] < times[2][0]
    assert times[1][1] == times[2][1]


def test_figure_of_a_plugin_that_is_gone_is_no_longer_in_the_folders(tmp_path):
    run = run_with(tmp_path / "run")
    registry.load_plugin(plugin(tmp_path / "ruler.py", "Ruler"))
    assert "ruler.png" in pictures_of(write_report(run))
    registry.PROCESS.plugins["figure"].clear()
    assert "ruler.png" not in pictures_of(write_report(run))
    assert not (run.folder / "figures" / "ruler.png").exists()


def test_parts_of_a_drawing_have_names_that_are_safe_in_paths():
    one, two = MplFigure(), MplFigure()
    assert by_slug("a", [one, two]) == {"a": one, "a_2": two}
    assert by_slug("a", {"": one, "../x y": two}) == {"a": one, "a__x_y": two}
    assert by_slug("a", None) == {}
    with pytest.raises(TypeError, match="str where a matplotlib figure should be"):
        by_slug("a", ["picture"])


def test_unknown_figure_of_a_scenario_is_refused_with_the_nearest_name():
    told = CliRunner().invoke(app, ["validate", "quickstart", "--set", "figures=[slice_gird]"])
    assert told.exit_code != 0
    assert "did you mean 'slice_grid'?" in str(told.exception)


def test_run_with_a_plugin_has_its_figure_in_the_report(tmp_path):
    shutil.copy(EXAMPLE, tmp_path / "mine.py")
    command = ["run", "quickstart", "--scale", "smoke", "--out", str(tmp_path / "out"), "--store", str(tmp_path / "store")]
    command += ["--plugin", str(tmp_path / "mine.py"), "--set", "figures=[recall]", "--set", "sweep=[]", "--only", "WBP"]
    told = CliRunner().invoke(app, command)
    assert told.exit_code == 0, told.output
    assert pictures_of(tmp_path / "out" / "report" / "index.html") == ["recall.png"]


def test_class_without_draw_is_no_plugin(tmp_path):
    file = tmp_path / "empty.py"
    file.write_text("from benchsuite import Figure\n\n\nclass Empty(Figure):\n    title = 'Nothing'\n")
    with pytest.raises(Exception, match=r"Empty does not define draw\(\)"):
        registry.load_plugin(file)
    assert issubclass(registry.registered("figure", "sweep_lines"), Figure)
