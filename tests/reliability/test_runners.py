"""Several runners on one store at once."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import pytest

from tests.reliability.support import damaged

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("runners", "cells"), [(8, 20)])
def test_each_cell_is_computed_once(odd_folder, monkeypatch, shown, runners, cells):
    log = odd_folder.folder / "computed"
    monkeypatch.setenv("ODD_LOG", str(log))
    more = ("--set", f"sweep=[{{reconstructors.odd.number: {list(range(cells))}}}]", "--set", "reconstructors.odd.seconds=0.2")
    started = [odd_folder.start(f"out{number}", "store", *more) for number in range(runners)]
    assert [one.wait() for one in started] == [0] * runners, odd_folder.said("out0")
    assert Counter(log.read_text().split()) == {str(number): 1 for number in range(cells)}
    assert damaged(odd_folder.folder / "store") == []
    assert not list((odd_folder.folder / "store" / "locks").iterdir())
    tables = [pd.read_csv(odd_folder.folder / f"out{number}" / "results.csv") for number in range(runners)]
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0])
    shown(f"{runners} runners on one store, {cells} cells", "each cell computed once, 0 damaged entries, equal tables")
