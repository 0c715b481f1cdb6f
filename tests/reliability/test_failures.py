"""Cells that crash, raise, hang and eat all memory: every one is classified, and the others are as if nothing had happened."""

from __future__ import annotations

import os
import sys

import pandas as pd
import pytest

from benchsuite import registry
from tests.reliability.support import contents, damaged

ENDS = {"fine": "ok", "segfault": "error", "raise": "error", "hang": "timeout", "eat": "oom"}
REASONS = {"segfault": "SIGSEGV", "raise": "RuntimeError: no such luck in", "hang": "ran longer than", "eat": "more than the limit"}
pytestmark = pytest.mark.slow
CELLS = int(os.environ.get("BENCHSUITE_CELLS", "500"))
LIMITS = ("--set", "limits.time_s=40", "--set", "limits.memory_GB=2")


def of(numbers):
    return ("--set", f"sweep=[{{reconstructors.odd.number: {list(numbers)}}}]")


def test_every_failure_is_classified(odd_folder, shown):
    fate, numbers = sys.modules[registry.reconstructor("odd").__module__].fate, list(range(CELLS))
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
