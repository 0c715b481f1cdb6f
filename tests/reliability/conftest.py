"""`pytest tests/reliability -m "slow or not slow"` drives the harness to its limits, and prints a table of what was found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reliability.support import Odd

ROWS = pytest.StashKey[list[tuple[str, str]]]()


@pytest.fixture
def shown(request):
    """A function that adds a line to the table: what was done, and what was found."""
    return lambda done, found: request.config.stash.setdefault(ROWS, []).append((done, found))


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash.get(ROWS, [])
    if rows:
        terminalreporter.write_line("")
        for done, found in [("what was done", "what was found"), ("---", "---"), *rows]:
            terminalreporter.write_line(f"| {done} | {found} |")


@pytest.fixture
def odd_folder(odd, monkeypatch) -> Odd:
    """The odd scenario for command lines, which find the tests, too."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    return Odd(odd)
