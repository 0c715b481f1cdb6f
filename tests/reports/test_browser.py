"""The report of many runs as a reader meets it: in a headless Chromium, from disk, without a network."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from benchsuite.reports import cell_table
from benchsuite.reports.html import cells_of, template
from benchsuite.reports.pool import members_of
from tests.browser import Browser
from tests.reports.made_runs import thousand

ROWS = "document.querySelectorAll('table.cells tbody tr').length"
TOLD = "document.querySelector('.found').dataset"
CANVAS = ".view-drawing canvas"


def column(browser: Browser, key: str) -> list[str]:
    """The texts of one column of the table."""
    place = browser.evaluate(
        f"[...document.querySelectorAll('table.cells th')].findIndex(th => th.dataset.key === {json.dumps(key)})"
    )
    assert place >= 0, key
    return browser.evaluate(f"[...document.querySelectorAll('table.cells tbody tr')].map(tr => tr.children[{place}].textContent)")


def cell_page(folder, status, method="RESIRE"):
    """The page of the first cell of the first run with a status and method."""
    text = (folder / "cells.js").read_text().removeprefix("window.CELLS=").rstrip(";\n").replace("Infinity", "1e999")
    table = json.loads(text)
    keys = [entry["key"] for entry in table["columns"]]
    rows = [dict(zip(keys, row, strict=True)) for row in table["rows"]]
    return folder / next(row["page"] for row in rows if row["status"] == status and row["reconstructor"] == method)


def put(browser: Browser, selector: str, value: str, event: str) -> None:
    """Set the value of a control, as its user would."""
    browser.evaluate(
        f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.value = {json.dumps(value)};"
        f" if (e.value !== {json.dumps(value)}) throw new Error('no such choice'); e.dispatchEvent(new Event('{event}')); }})()"
    )


def choose(browser: Browser, key: str, value: str) -> None:
    put(browser, f'select[data-key="{key}"]', value, "change")


def close(pixels: np.ndarray, color: tuple[int, int, int], within: int) -> int:
    """How many pixels have about this colour."""
    return int((np.abs(pixels.astype(int) - color).max(axis=-1) <= within).sum())


@pytest.fixture
def report(browser, small_report):
    browser.complaints.clear()
    browser.requests.clear()
    browser.open(small_report / "index.html")
    return browser


def test_report_opens_from_disk_without_network_or_errors(report):
    assert report.evaluate(ROWS) == 10
    assert report.evaluate("[...document.images].every(image => image.loading === 'lazy' || image.naturalWidth > 0)")
    assert report.complaints == []
    assert {url.split(":")[0] for url in report.requests} <= {"file", "data", "about", "blob"}


def test_headings_sort_by_mouse_and_keyboard_and_missing_values_stay_last(report):
    report.click('th[data-key="rmsd_pm"] button')
    rising = column(report, "rmsd_pm")
    numbers = [float(text) for text in rising[:-2]]
    assert numbers == sorted(numbers)
    assert rising[-2:] == ["—", "—"]
    assert report.evaluate("document.querySelector('th[data-key=rmsd_pm]').ariaSort") == "ascending"
    report.press("Enter")  # the heading has kept the focus
    falling = [float(text) for text in column(report, "rmsd_pm")[:-2]]
    assert falling == sorted(numbers, reverse=True)
    assert column(report, "rmsd_pm")[-1] == "—"
    assert report.evaluate("document.querySelector('th[data-key=rmsd_pm]').ariaSort") == "descending"


def test_filters_tell_how_many_failures_they_hide(report):
    assert report.evaluate(f"[{TOLD}.found, {TOLD}.hiddenFailures]") == ["10", "0"]
    choose(report, "status", "ok")
    assert report.evaluate(f"[{TOLD}.found, {TOLD}.hiddenFailures]") == ["8", "2"]
    assert "2 of them hidden" in report.evaluate("document.querySelector('.found').innerText")
    report.click(".found button")
    assert column(report, "status") == ["error", "error"]
    assert report.evaluate("location.hash") == "#status=failed"


def test_search_choices_and_ranges_combine(report):
    choose(report, "reconstructor", "GENFIRE")
    assert report.evaluate(ROWS) == 3
    choose(report, "acquisition.dose_e_per_A2", "Infinity")
    assert column(report, "acquisition.dose_e_per_A2") == ["no noise"]
    report.click(".filters > button")
    assert report.evaluate(ROWS) == 10
    put(report, "input[type=search]", "OTHER odd", "input")
    assert set(column(report, "reconstructor")) == {"<b>odd</b>"}
    report.click(".filters > button")
    largest = max(float(text) for text in column(report, "rmsd_pm") if text != "—") - 1e-3
    put(report, 'input[data-key=rmsd_pm][data-end="1"]', str(largest), "input")
    assert report.evaluate(ROWS) == 7
    assert report.evaluate(f"{TOLD}.hiddenFailures") == "2"


def test_a_view_is_kept_in_the_address(browser, small_report):
    browser.open(small_report / "index.html", "#reconstructor=RESIRE&status=ok&sort=-rmsd_pm")
    assert set(column(browser, "reconstructor")) == {"RESIRE"}
    numbers = [float(text) for text in column(browser, "rmsd_pm")]
    assert len(numbers) == 2
    assert numbers[0] > numbers[1]


def test_the_saved_table_is_what_is_shown_and_runs_nothing(report):
    report.evaluate(
        "window.saved = null; URL.createObjectURL = (blob) => { window.saved = blob; return '#'; };"
        " HTMLAnchorElement.prototype.click = function () {};"
    )
    choose(report, "run", "second")
    report.evaluate("[...document.querySelectorAll('.pager button')].find(b => b.textContent === 'Save as CSV').click()")
    rows = list(csv.DictReader(io.StringIO(report.evaluate("window.saved.text()"))))
    assert len(rows) == 4
    assert {row["reconstructor"] for row in rows} == {"<b>odd</b>", "'=1+1"}
    assert rows[0]["acquisition.dose_e_per_A2"] == "inf"
    assert rows[1]["rmsd_pm"] == ""
    assert float(rows[0]["rmsd_pm"]) > 0


def test_the_page_of_a_failed_cell_shows_its_log_and_runs_nothing_in_it(browser, small_report):
    browser.complaints.clear()
    browser.open(cell_page(small_report, "error"))
    shown = browser.evaluate("document.querySelector('pre.log').innerText")
    assert "<script>window.hacked = true</script>" in shown
    assert "ValueError: cell 2 raised <i>on purpose</i>" in shown
    assert browser.evaluate("document.querySelector('#reason').innerText").startswith("No result: error.")
    assert browser.evaluate("window.hacked === undefined && !document.querySelector('pre.log *, #reason i')")
    assert browser.complaints == []


@pytest.mark.parametrize("renderer", ["webgl2", "canvas"])
def test_atoms_turn_and_show_their_outcomes(browser, small_report, renderer):
    browser.complaints.clear()
    browser.open(cell_page(small_report, "ok"), "#canvas" if renderer == "canvas" else "")
    found = browser.evaluate("document.querySelector('.atoms-view').dataset.renderer")
    if renderer == "webgl2" and found != "webgl2":
        pytest.skip("this browser has no WebGL 2")
    assert found == renderer
    first = browser.pixels(CANVAS)
    black, vermillion, orange = close(first, (0, 0, 0), 40), close(first, (213, 94, 0), 10), close(first, (230, 159, 0), 60)
    assert min(black, vermillion, orange) > 15, "missing, false and wrong atoms are to be seen"
    assert (first[..., 2].astype(int) - first[..., 0] > 60).sum() > 500, "and true ones, sky blue with shades"
    assert (first == 255).all(axis=-1).mean() > 0.4
    seen = [first]
    for act in (
        lambda: browser.drag(CANVAS, 80, 30),
        lambda: browser.swipe(CANVAS, -60, 20),
        lambda: browser.press("ArrowRight"),
        lambda: browser.press("x"),
        lambda: browser.press("+"),
    ):
        browser.evaluate(f"document.querySelector('{CANVAS}').focus({{preventScroll: true}})")
        act()
        seen.append(browser.pixels(CANVAS))
        assert (seen[-1] != seen[-2]).any(axis=-1).sum() > 200
    rotation = [float(k) for k in browser.evaluate("document.querySelector('.atoms-view').dataset.rotation").split()]
    np.testing.assert_allclose(np.reshape(rotation, (3, 3)), [[0, 1, 0], [0, 0, 1], [1, 0, 0]], atol=1e-3)
    assert browser.complaints == []


def test_the_legend_counts_and_filters_atoms(browser, small_report):
    browser.open(cell_page(small_report, "ok"))
    legend = browser.evaluate("document.querySelector('.view-legend').innerText")
    for told in ("correct: 38", "misclassified: 1", "false positive: 1", "missed: 1", "non-atom: 1"):
        assert told in legend
    assert browser.evaluate("document.querySelector('.atoms-view').dataset.visible") == "41"
    browser.evaluate("document.querySelector('.view-legend input').click()")
    browser.painted()
    assert browser.evaluate("document.querySelector('.atoms-view').dataset.visible") == "3"
    slab = "[...document.querySelectorAll('.view-range input')]"
    browser.evaluate(f"(() => {{ const e = {slab}[0]; e.value = e.max; e.dispatchEvent(new Event('input')); }})()")
    browser.painted()
    assert browser.evaluate("document.querySelector('.atoms-view').dataset.visible") == "0"


def test_displacements_have_a_colour_bar_with_its_unit(browser, small_report):
    browser.open(cell_page(small_report, "ok"))
    assert browser.evaluate("document.querySelector('.view-bar').hidden")
    put(browser, ".view-tools select", "displacement", "change")
    browser.painted()
    assert "(pm)" in browser.evaluate("document.querySelector('.view-bar').innerText")
    pixels = browser.pixels(CANVAS)
    assert (pixels[..., 1].astype(int) - pixels[..., 0] > 30).sum() > 200, "the greens in the middle of viridis"


def test_page_has_still_images_without_scripts_and_in_print(browser, small_report):
    page = cell_page(small_report, "ok")
    picture = "document.querySelector('.still').getBoundingClientRect().height > 100"
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.call("Page.navigate", url=page.resolve().as_uri())
        browser.wait_until("location.protocol === 'file:' && document.readyState === 'complete'")
        assert browser.evaluate(f"{picture} && !document.querySelector('canvas')")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
    browser.open(page)
    assert not browser.evaluate(picture)
    browser.call("Emulation.setEmulatedMedia", media="print")
    try:
        assert browser.evaluate(picture)
        assert browser.evaluate("document.querySelector('canvas').getBoundingClientRect().height === 0")
    finally:
        browser.call("Emulation.setEmulatedMedia", media="")


@pytest.mark.parametrize("which", ["index", "ok", "error"])
def test_pages_fit_a_phone(browser, small_report, which):
    page = small_report / "index.html" if which == "index" else cell_page(small_report, which)
    browser.open(page, width=400, height=800, phone=True)
    assert browser.evaluate("document.documentElement.scrollWidth <= 400")


def test_a_thousand_rows_are_drawn_a_page_at_a_time(browser, tmp_path):
    run = thousand(tmp_path / "run", data=False)
    members = members_of([run])
    with cells_of(members[:0], tmp_path / "out"):  # the table alone: no pages of cells
        pass
    (tmp_path / "out" / "cells.js").write_text(cell_table.script(members, "pages"))
    page = template("overview.html.j2").render(title="many", total=1000, ok=950, sections=[], runs=[])
    (tmp_path / "out" / "index.html").write_text(page)
    browser.open(tmp_path / "out" / "index.html")
    assert browser.evaluate(ROWS) == 25
    assert browser.evaluate("document.querySelectorAll('*').length") < 4000
    assert (tmp_path / "out" / "cells.js").stat().st_size < 600_000
    assert browser.evaluate(f"{TOLD}.found") == "1000"
    put(browser, ".pager select", "all", "change")
    assert browser.evaluate(ROWS) == 1000
