"""A comparison as table, Markdown, JSON, JUnit XML and HTML: what fails is in all of them, and hostile names stay text."""

from __future__ import annotations

import io
import json
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from benchsuite.reports.comparison import as_json, as_junit, as_markdown, as_page, compare, print_comparison
from benchsuite.reports.comparison.page import REACH, WIDTH, effect

HOSTILE = "<script>|[red]\x07$x$"


@pytest.fixture
def found(made_up):
    cell, side = made_up
    base = [cell(repeat=i, rmsd_pm=50 + i, r_factor=0.1) for i in range(5)]
    base += [cell("WBP", float("inf"), rmsd_pm=5.0), cell(HOSTILE, rmsd_pm=5.0), cell("SIRT", rmsd_pm=4.0)]
    worse = [cell(repeat=i, rmsd_pm=60 + 1.01 * i, r_factor=0.1) for i in range(5)]
    worse += [cell("WBP", float("inf"), rmsd_pm=5.0), cell(HOSTILE, status="error", reason=HOSTILE)]
    return compare(side(base, "base", settings={"a": "1"}), side(worse, "candidate", settings={"a": "2"}))


def printed(found, everything=False):
    stream = io.StringIO()
    print_comparison(found, everything, stream)
    return stream.getvalue()


def test_the_table_is_readable_in_a_pipe(found):
    text = printed(found)
    assert "\x1b" not in text
    lines = text.splitlines()
    worst = ("new failure", "missing", "regressed")
    order = [next(i for i, line in enumerate(lines) if line.strip().startswith(word)) for word in worst]
    assert order == sorted(order)
    assert "RMSD (pm)" in text
    assert "+10.0" in text.replace("+10 ", "+10.0 ")
    assert "Setting a: 1 → 2" in text
    assert lines[-1] == "Regression: 1 new failure, 1 missing, 1 regressed, 2 unchanged."
    assert "2 unchanged (--all lists them)" in text
    assert sum(line.strip().startswith("unchanged") for line in printed(found, everything=True).splitlines()) == 2


def test_failures_are_always_listed(made_up):
    cell, side = made_up
    base = [cell(f"M{i}", rmsd_pm=5.0) for i in range(60)]
    gone = compare(side(base), side([cell(one.method, status="error", reason="x") for one in base]))
    assert sum("new failure" in line for line in printed(gone).splitlines()) == 61
    assert as_markdown(gone).count("| new failure |") == 60


def test_markdown(found):
    text = as_markdown(found)
    assert text.startswith("## Regression: 1 new failure")
    assert r"<script>\|" in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace(r"\|", "").count("|") for line in table}) == 1


def test_json_is_strict(found):
    told = json.loads(as_json(found), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert told["exit_status"] == 1
    assert told["counts"]["regressed"] == 1
    regressed = next(one for one in told["findings"] if one["verdict"] == "regressed")
    assert regressed["effect"]["mean"] == pytest.approx(10.02)
    assert any(one["swept"] == {"acquisition.dose_e_per_A2": "inf"} for one in told["findings"])


def test_junit(found):
    root = ElementTree.fromstring(as_junit(found))
    assert sum(int(suite.get("failures")) for suite in root) == len(root.findall(".//failure")) == 3
    assert sum(int(suite.get("tests")) for suite in root) == len(found.findings)
    assert {case.get("classname") for case in root.iter("testcase") if case.find("failure") is not None} >= {"RESIRE", "SIRT"}


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.names, self.links = [], []

    def handle_starttag(self, tag, attributes):
        self.names.append(tag)
        self.links += [value for key, value in attributes if key in ("src", "href")]


def test_the_page_is_one_file_without_scripts(found):
    page = as_page(found)
    tags = Tags()
    tags.feed(page)
    assert "script" not in tags.names
    assert tags.links == []
    assert tags.names.count("svg") == sum(one.effect is not None for one in found.findings)
    assert "&lt;script&gt;" in page


def test_effects_stay_on_the_drawing(made_up):
    cell, side = made_up
    found = compare(side([cell(rmsd_pm=5.0)]), side([cell(rmsd_pm=5000.0)]))
    drawing = str(effect(found.findings[0]))
    assert "<path" in drawing
    assert "<circle" not in drawing
    assert f'width="{WIDTH}"' in drawing
    assert found.findings[0].effect.mean > REACH * found.findings[0].effect.margin
