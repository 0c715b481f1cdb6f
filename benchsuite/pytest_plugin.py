"""pytest fixtures for those who develop a reconstructor: run a scenario, and hold its results against an accepted baseline.

    def test_mine_is_as_good_as_ever(benchsuite_run, assert_no_regression):
        assert_no_regression(benchsuite_run("small.yaml", plugins=["mine.py"]), "small.baseline.json")

`pytest --benchsuite-accept "why"` writes the baselines instead of comparing. Nothing heavy is imported before a fixture is used.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from benchsuite.results import Run
    from benchsuite.scenario import Loaded


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the plugin."""
    group = parser.getgroup("benchsuite", "benchmarks of reconstructors")
    group.addoption("--benchsuite-accept", metavar="REASON", help="write the baselines that tests compare with, for this reason")
    group.addoption("--benchsuite-store", metavar="FOLDER", help="where results are kept; default: in pytest's cache")


@pytest.fixture(scope="session")
def benchsuite_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """A function that runs a scenario and returns its `benchsuite.results.Run`; see `run_scenario` for what it takes.

    Results are kept between test sessions: what has not changed is not computed again.
    """
    chosen = request.config.getoption("--benchsuite-store")
    cache = getattr(request.config, "cache", None)
    store = Path(chosen) if chosen else cache.mkdir("benchsuite") if cache else tmp_path_factory.mktemp("benchsuite")
    root = request.config.rootpath

    def run(scenario: str | Path, **options: Any) -> Run:
        out = tmp_path_factory.mktemp("run", numbered=True)
        return run_scenario(_below(root, scenario), out, store, **options)

    return run


def _below(root: Path, scenario: str | Path) -> str | Path:
    """Return a path below the root of the tests where there is such a file; else the name as it is, of the library."""
    return root / scenario if (root / scenario).is_file() else scenario


def run_scenario(
    scenario: str | Path,
    out: Path,
    store: Path,
    *,
    scale: str = "desk",
    overrides: Sequence[str] = (),
    only: Sequence[str] = (),
    plugins: Sequence[str | Path] = (),
    workers: int | None = None,
    device: str = "cpu",
    in_process: bool = False,
) -> Run:
    """Run a scenario (a file or a name of the library) into the folder `out` and return the run, whatever became of its cells.

    overrides: KEY=VALUE as with --set. only: labels. plugins: files that define reconstructors. in_process: reconstruct in this
    process first, so that breakpoints and coverage work and what a reconstructor raises is raised here; limits do not hold then.
    Raises BenchsuiteError for a bad scenario, and KeyboardInterrupt where it was interrupted.
    """
    from benchsuite import api, registry
    from benchsuite.scenario import load

    if in_process:
        for file in plugins:
            registry.load_plugin(file)
        _make_here(load(scenario, scale, list(overrides)).only(only), store, device)
    how: dict[str, Any] = {
        "scale": scale,
        "overrides": overrides,
        "only": only,
        "plugins": plugins,
        "workers": workers,
        "device": device,
    }
    return api.run(scenario, out=out, store=store, report=False, **how)


def _make_here(loaded: Loaded, store: Path, device: str) -> None:
    from benchsuite.runner.graph import graph_of
    from benchsuite.runner.loop import CellFailure
    from benchsuite.runner.stages.base import ensure
    from benchsuite.store import Store

    for cell in loaded.cells:
        try:
            ensure(Store(store), graph_of(cell, device).scores)
        except CellFailure as failure:
            if failure.status != "skipped":
                raise


@pytest.fixture
def assert_no_regression(request: pytest.FixtureRequest) -> Callable[..., None]:
    """A function (run, baseline, **options) that fails the test where a run is worse than the baseline file; see `hold_against`.

    A relative path is one beside the test file.
    """
    reason = request.config.getoption("--benchsuite-accept")

    def check(run: Run, baseline: str | Path, **options: Any) -> None:
        file = request.path.parent / baseline
        if reason is not None:
            accept(run, file, reason, metrics=options.get("metrics", ()))
        regressions = hold_against(run, file, **options)
        if regressions:
            pytest.fail(regressions, pytrace=False)

    return check


def accept(run: Run, file: Path, reason: str, *, metrics: Sequence[str] = ()) -> None:
    """Write a run down as a baseline. Raises BenchsuiteError without a reason, or where a cell has no result."""
    from datetime import UTC, datetime

    from benchsuite.reports.comparison import accept as accept_side
    from benchsuite.reports.comparison import side_of

    names = [metric.partition(":")[0] for metric in metrics]
    accept_side(side_of(run), file, reason, when=datetime.now(UTC).date().isoformat(), metrics=names)


def hold_against(
    run: Run,
    baseline: Path,
    *,
    by: str = "margin",
    same: str = "experiment",
    metrics: Sequence[str] = (),
    only: Sequence[str] = (),
    confidence: float = 0.99,
) -> str:
    """Return why a run does not stand up to a baseline, or an empty text.

    It does not where anything has regressed, newly fails or is missing, and where a cell is new or not comparable: a table that
    stops covering what it did would otherwise pass. by: margin, for runs that are always the same; statistics, the rule of
    `compare`. same: experiment, so that data simulated anew by another machine or version may be compared; or bytes.
    Raises BenchsuiteError where the file cannot be read.
    """
    from benchsuite.reports.comparison import Verdict, compare, print_comparison, read_baseline, side_of

    if not baseline.exists():
        return f'{baseline}: no such baseline; pytest --benchsuite-accept "REASON" writes it'
    options: dict[str, Any] = {"by": by, "same": same, "metrics": metrics, "methods": only, "confidence": confidence}
    found = compare(read_baseline(baseline), side_of(run), **options)
    uncovered = [one for one in found.findings if one.verdict in (Verdict.NEW, Verdict.NOT_COMPARABLE)]
    if found.exit_status == 0 and not uncovered:
        return ""
    text = io.StringIO()
    print_comparison(found, stream=text)
    return f'{text.getvalue()}\npytest --benchsuite-accept "REASON" accepts what is new, if it is right.'
