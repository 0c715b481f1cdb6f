"""Cells that crash, raise, hang and eat all memory: every one is classified, and the others are as if nothing had happened."""

from __future__ import annotations

import sys

import pandas as pd
import pytest

from benchsuite import registry
from tests.reliability.support import contents, damaged

ENDS = {"fine": "ok", "segfault": "error", "raise": "error", "hang": "timeout", "eat": "oom"}
REASONS = {"segfault": "SIGSEGV", "raise": "RuntimeError: no such luck in", "hang": "ran longer than", "eat": "more than the limit"}
LIMITS = ("--set", "limits.time_s=20", "--set", "limits.memory_GB=1.2")


def of(numbers):
    return ("--set", f"sweep=[{{reconstructors.odd.number: {list(numbers)}}}]")


def a_few_of_each(fate):
    by_fate = {how: [number for number in range(100) if fate(number) == how] for how in ENDS}
    count = {"fine": 6, "segfault": 2, "raise": 2, "hang": 1, "eat": 1}
    return sorted(number for how, numbers in by_fate.items() for number in numbers[: count[how]])


@pytest.mark.parametrize("count", [12, pytest.param(500, marks=pytest.mark.slow)])
def test_every_failure_is_classified(odd_folder, shown, count):
    fate = vars(__import__("sys").modules[registry.reconstructor("odd").__module__])["fate"]
    numbers = list(range(count)) if count >= 100 else [n for n in range(100) if fate(n) != "fine"][::2] + list(range(14))[:7]
    numbers = sorted(set(numbers))
    assert odd_folder.run("out", "store", "--set", "reconstructors.odd.how=by number", *of(numbers), *LIMITS) == 3
    table = pd.read_csv(odd_folder.folder / "out" / "results.csv")
    assert list(table["reconstructors.odd.number"]) == numbers
    wrong = []
    for row in table.itertuples():
        asked = fate(numbers[row.Index])
        if row.status != ENDS[asked] or (asked in REASONS and REASONS[asked] not in row.reason):
            wrong.append((numbers[row.Index], asked, row.status, row.reason))
    assert wrong == []
    fine = [number for number in numbers if fate(number) == "fine"]
    assert odd_folder.run("clean", "clean_store", "--set", "reconstructors.odd.how=by number", *of(fine)) == 0
    assert contents(odd_folder.folder / "store") == contents(odd_folder.folder / "clean_store")
    assert damaged(odd_folder.folder / "store") == []
    asked = pd.Series([fate(number) for number in numbers]).value_counts().to_dict()
    shown(f"{len(numbers)} cells: {asked}", f"0 classified wrongly; {len(fine)} others identical to a clean run, byte for byte")
