"""Reports over made-up runs, and the browser that looks at them."""

from __future__ import annotations

import pytest

from benchsuite.reports import write_overview
from tests.browser import chromium
from tests.reports.made_runs import make_run


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A headless Chromium with a profile of its own; tests that ask for it are skipped where there is none."""
    with chromium(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="session")
def small_report(tmp_path_factory):
    """The folder of a report over two runs with 6 and 4 cells, one of each failed; the second has hostile names."""
    folder = tmp_path_factory.mktemp("small")
    doses = (float("inf"), 1e6, 1e5)
    runs = [
        make_run(folder / "first", doses=doses, failures=(2,)),
        make_run(folder / "second", methods=("<b>odd</b>", "=1+1"), name="other", failures=(1,)),
    ]
    write_overview(runs, folder / "out")
    return folder / "out"
