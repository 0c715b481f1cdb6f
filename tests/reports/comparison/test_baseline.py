"""Baselines come back as they were, read well in version control, and are refused where they are not whole."""

from __future__ import annotations

import json
import math

import pytest

from benchsuite.errors import BenchsuiteError
from benchsuite.reports.comparison import accept, compare, open_side, read_baseline


@pytest.fixture
def accepted(made_up, tmp_path):
    cell, side = made_up
    cells = [
        cell("WBP", math.inf, 0, rmsd_pm=1 / 3, recall_Au_pct=99.5, reconstruct_s=1.25, shift_x_A=0.1),
        cell("RESIRE", 1e6, 1, rmsd_pm=4.000000000000001),
        cell("RESIRE", 1e6, 0, rmsd_pm=4.1),
    ]
    original = side(cells, settings={"seed": "7"}, about={"commit": "abc", "dirty": False})
    file = tmp_path / "deep" / "made-up.json"
    accept(original, file, "first\nresults", when="2026-01-02")
    return original, file


def test_baseline_round_trip_is_exact(accepted):
    original, file = accepted
    back = read_baseline(file)
    found = compare(original, back)
    assert {verdict.value for verdict in found.counts} == {"unchanged"}
    assert found.exit_status == 0
    assert {cell.identity for cell in back.cells} == {cell.identity for cell in original.cells}
    assert back.about["reason"] == "first results"
    assert [cell.scores["rmsd_pm"] for cell in back.cells if cell.method == "WBP"] == [1 / 3]
    assert [cell.swept for cell in back.cells if cell.method == "WBP"] == [{"acquisition.dose_e_per_A2": math.inf}]


def test_the_file_is_text_for_version_control(accepted):
    original, file = accepted
    lines = file.read_text().splitlines()
    assert '    "rmsd_pm": 4.000000000000001' in lines
    assert "shift_x_A" not in file.read_text()
    json.loads(file.read_text(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    again = file.with_name("again.json")
    shuffled = type(original)(**{**vars(original), "cells": original.cells[::-1]})
    accept(shuffled, again, "first results", when="2026-01-02")
    assert again.read_bytes() == file.read_bytes()


def test_columns_of_ones_own_are_kept_on_request(made_up, tmp_path):
    cell, side = made_up
    accept(side([cell(mine=2.0)]), tmp_path / "b.json", "why", when="2026-01-02", metrics=["mine"])
    assert read_baseline(tmp_path / "b.json").cells[0].scores["mine"] == 2.0


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text[: len(text) // 2], "damaged, cut off or merged"),
        (lambda text: text.replace("4.1", "9.9"), "changed since it was accepted"),
        (lambda text: text.replace('"repeat": 1', '"repeat": 2'), "changed since it was accepted"),
        (lambda text: text.replace("baseline 1", "baseline 2"), "format 'benchsuite baseline 2'; this version reads"),
        (lambda text: "<<<<<<< HEAD\n" + text, "damaged, cut off or merged"),
        (lambda text: "[" * 100_000, "damaged, cut off or merged"),
        (lambda text: "[]", "not a baseline file"),
        (lambda text: '{"format": 3}', "not a baseline file"),
        (lambda text: "", "damaged, cut off or merged"),
    ],
)
def test_damaged_baseline_is_refused(accepted, damage, words):
    _, file = accepted
    file.write_text(damage(file.read_text()))
    with pytest.raises(BenchsuiteError, match=words) as refused:
        open_side(file)
    assert str(file) in str(refused.value)


def test_bytes_that_are_no_text_and_paths_that_are_no_file(tmp_path):
    (tmp_path / "b.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BenchsuiteError, match="damaged"):
        open_side(tmp_path / "b.json")
    with pytest.raises(BenchsuiteError, match="no such run folder or baseline file"):
        open_side(tmp_path / "nothing")
    with pytest.raises(BenchsuiteError, match="is not a run folder"):
        open_side(tmp_path)


def test_a_valid_checksum_does_not_excuse_missing_keys(accepted):
    from benchsuite.reports.comparison.baseline import _checksum

    _, file = accepted
    content = json.loads(file.read_text())
    del content["cells"][0]["repeat"]
    content["checksum"] = _checksum({k: v for k, v in content.items() if k not in ("format", "checksum")})
    file.write_text(json.dumps(content))
    with pytest.raises(BenchsuiteError, match="KeyError: 'repeat'"):
        read_baseline(file)


def test_runs_that_cannot_be_accepted_are_refused(made_up, tmp_path):
    cell, side = made_up
    file = tmp_path / "b.json"
    failed = side([cell(rmsd_pm=5.0), cell(repeat=1, status="oom", reason="8 GB")])
    for accepting, words in (
        (lambda: accept(failed, file, "  ", when=""), "state why"),
        (lambda: accept(failed, file, "why", when=""), "1 of 2 cells have no result.*--with-failures"),
        (lambda: accept(side([]), file, "why", when=""), "no finished cell"),
        (lambda: accept(failed, file, "why", when="", failures=True, metrics=["mine"]), "no cell of run has this score"),
    ):
        with pytest.raises(BenchsuiteError, match=words):
            accepting()
        assert not file.exists()
    accept(failed, file, "known to run out of memory", when="", failures=True)
    assert read_baseline(file).cells[1].reason == "8 GB"
    assert compare(read_baseline(file), failed).exit_status == 0
