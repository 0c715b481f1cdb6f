"""The command line. Heavy packages are imported inside the commands, so that help and validation answer at once."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from benchsuite.errors import EXIT_INTERRUPTED, EXIT_USAGE, BenchsuiteError

app = typer.Typer(
    name="benchsuite",
    help="Benchmark suite for atomic electron tomography: simulate, reconstruct, trace, score and compare.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

ScenarioName = Annotated[str, typer.Argument(help="Scenario file, or name of a library scenario (see `list scenarios`).")]
Scale = Annotated[str, typer.Option(help="Size of the scenario: smoke (seconds), desk (minutes) or paper (hours, or a GPU).")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Scenario key to override; repeatable.")]
Plugin = Annotated[list[str] | None, typer.Option(help="Python file with reconstructors, metrics or other plugins; repeatable.")]
StoreOption = Annotated[
    Path | None, typer.Option("--store", help="Folder of stored results. Default: $BENCHSUITE_STORE, else .benchsuite/store.")
]
Device = Annotated[str, typer.Option(help="Device of the reconstructions: cpu or cuda.")]
Only = Annotated[list[str] | None, typer.Option(help="Label of a reconstructor to include, all others left out; repeatable.")]


def main() -> None:
    """Run the command line; a BenchsuiteError becomes its message and its exit status."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        app()
    except BenchsuiteError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_status)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(EXIT_USAGE)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def _load(scenario: str, scale: str, overrides: list[str] | None, plugins: list[str] | None, only: list[str] | None = None) -> Any:
    from benchsuite import registry
    from benchsuite.scenario import load

    for plugin in plugins or []:
        registry.load_plugin(plugin)
    return load(scenario, scale, overrides or []).only(only or ())


def _store(given: Path | None) -> Path:
    return given or Path(os.environ.get("BENCHSUITE_STORE", ".benchsuite/store"))


@app.command()
def run(
    scenario: ScenarioName,
    scale: Scale = "desk",
    out: Annotated[Path | None, typer.Option(help="Run folder to write. Default: runs/NAME-SCALE.")] = None,
    overrides: Set = None,
    only: Only = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Number of cells computed at the same time. Default: one per core.")
    ] = None,
    device: Device = "cpu",
    plugin: Plugin = None,
    store: StoreOption = None,
    scheduler: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Scheduler address of a Dask cluster to run on.")] = None,
) -> None:
    """Run a scenario, or continue an interrupted run, and write its report."""
    from benchsuite.physics.backend import module_for
    from benchsuite.progress import Progress
    from benchsuite.reports import write_report
    from benchsuite.results import Run
    from benchsuite.runner.run import Settings
    from benchsuite.runner.run import run as run_scenario

    if scheduler is None:
        module_for(device)
    loaded = _load(scenario, scale, overrides, plugin, only)
    folder = out or Path("runs") / f"{loaded.scenario.name}-{scale}"
    plugins = tuple(str(Path(file).resolve()) for file in plugin or [])
    settings = Settings(folder, _store(store), workers, device, plugins, scheduler)
    with Progress(len(loaded.cells)) as progress:
        status = run_scenario(loaded, settings, progress.listen)
    page = write_report(Run(folder))
    typer.echo(f"results  {folder / 'results.csv'}\nreport   {page}")
    raise typer.Exit(status)


@app.command()
def validate(scenario: ScenarioName, scale: Scale = "desk", overrides: Set = None, plugin: Plugin = None) -> None:
    """Check a scenario and list every problem with line and column."""
    from benchsuite.microscope import warnings_physics
    from benchsuite.scenario.measured_sections import in_words_of_series

    loaded = _load(scenario, scale, overrides, plugin)
    sections = [(cell.experiment.microscope, cell.experiment.simulation, cell.experiment.acquisition) for cell in loaded.cells]
    for warning in dict.fromkeys(text for section in sections for text in warnings_physics(*section)):
        typer.echo(f"warning: {warning if loaded.scenario.series is None else in_words_of_series(warning)}", err=True)
    for series in dict.fromkeys(cell.experiment.measured.description for cell in loaded.cells if cell.experiment.measured):
        typer.echo(series)
    typer.echo(f"{loaded.source}: valid; {len(loaded.cells)} cells at scale {scale}")


@app.command()
def plan(
    scenario: ScenarioName,
    scale: Scale = "desk",
    overrides: Set = None,
    only: Only = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Number of cells computed at the same time. Default: one per core.")
    ] = None,
    device: Device = "cpu",
    plugin: Plugin = None,
    store: StoreOption = None,
) -> None:
    """List every cell, whether it is cached, and its predicted time and memory."""
    from benchsuite.runner.plan import check_memory, check_specimens, default_workers
    from benchsuite.runner.plan import plan as make_plan
    from benchsuite.store import Store

    loaded = _load(scenario, scale, overrides, plugin, only)
    check_specimens(loaded)
    plans = make_plan(loaded, Store(_store(store)), device)
    header = ["cell", "reconstructor", *loaded.sweep_keys, "repeat", "seconds", "memory", "why"]
    rows = [
        [
            item.cell.id,
            item.cell.reconstructor.label,
            *(str(item.cell.swept[key]) for key in loaded.sweep_keys),
            str(item.cell.repeat),
            "-" if item.cached else f"{item.seconds:.0f}",
            "-" if item.cached else f"{item.peak_bytes / 1e9:.1f} GB",
            item.why or "cached",
        ]
        for item in plans
    ]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, *rows]:
        typer.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    count = workers or default_workers()
    seconds = sum(item.seconds for item in plans if not item.cached)
    todo = sum(not item.cached for item in plans)
    typer.echo(f"{todo} of {len(plans)} cells to run; about {seconds:.0f} core seconds, {seconds / count:.0f} s on {count} workers")
    check_memory(plans, count)


@app.command("list")
def list_names(
    what: Annotated[str, typer.Argument(help="Kind of plugin to list, such as phantoms, reconstructors or metrics; or scenarios.")],
    plugin: Plugin = None,
) -> None:
    """List available phantoms, simulators, reconstructors, metrics, other plugins, or scenarios."""
    from benchsuite import catalogue, registry

    for file in plugin or []:
        registry.load_plugin(file)
    for name, title in catalogue.entries(what):
        typer.echo(f"{name:<20} {title}".rstrip())


@app.command()
def info(name: Annotated[str, typer.Argument(help="Name of a plugin, metric column or scenario.")], plugin: Plugin = None) -> None:
    """Describe a plugin: parameters with units and defaults, and the reference."""
    from benchsuite import catalogue, registry

    for file in plugin or []:
        registry.load_plugin(file)
    typer.echo(catalogue.describe(name))


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders to report on.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for one report over all runs. Default: a report in each run folder.")
    ] = None,
    plugin: Plugin = None,
) -> None:
    """Rebuild the report of each run, or with --out write one report over all of them."""
    from benchsuite import registry
    from benchsuite.reports import write_overview, write_report
    from benchsuite.results import Run

    for file in plugin or []:
        registry.load_plugin(file)
    found = [Run(folder) for folder in runs]
    for run in found:
        run.write_table()
    for page in [write_report(run) for run in found] if out is None else [write_overview(found, out)]:
        typer.echo(f"report   {page}")


@app.command()
def compare(
    base: Annotated[str, typer.Argument(help="Run folder or baseline file that serves as the reference.")],
    candidate: Annotated[str, typer.Argument(help="Run folder or baseline file to judge against BASE.")],
    markdown: Annotated[Path | None, typer.Option(help="Markdown file to write the comparison to.")] = None,
    json: Annotated[Path | None, typer.Option(help="JSON file to write the comparison to.")] = None,
    junit: Annotated[Path | None, typer.Option(help="JUnit XML file to write the comparison to.")] = None,
    html: Annotated[Path | None, typer.Option(help="HTML page to write the comparison to.")] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="Metric to compare (NAME, NAME:lower or NAME:higher); repeatable.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Label of a method to compare, all others left out; repeatable.")] = None,
    by: Annotated[str, typer.Option(help="Criterion of a change: statistics, or margin for deterministic results.")] = "statistics",
    same: Annotated[
        str, typer.Option(help="Pairing of cells: bytes (identical data) or experiment (equal settings, data simulated again).")
    ] = "bytes",
    confidence: Annotated[
        float, typer.Option(help="Confidence level of the one-sided bounds; the false discovery rate is 1 minus this.")
    ] = 0.99,
    everything: Annotated[bool, typer.Option("--all", help="List unchanged results as well.")] = False,
) -> None:
    """Compare two runs, or a run with a baseline. Exit status: 0 no regression, 1 regression, 4 nothing comparable."""
    from benchsuite.atomic import write_text
    from benchsuite.reports.comparison import as_json, as_junit, as_markdown, as_page, open_side, print_comparison
    from benchsuite.reports.comparison import compare as compared

    sides = open_side(base), open_side(candidate)
    found = compared(*sides, metrics=metric or (), methods=only or (), by=by, same=same, confidence=confidence)
    for file, form in ((markdown, as_markdown), (json, as_json), (junit, as_junit), (html, as_page)):
        if file is not None:
            write_text(file, form(found))
    print_comparison(found, everything)
    raise typer.Exit(found.exit_status)


baseline = typer.Typer(
    help="Accept a run as the reference for later comparisons, as a small file for version control.", no_args_is_help=True
)
app.add_typer(baseline, name="baseline")


@baseline.command()
def accept(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder to accept.")],
    reason: Annotated[str, typer.Option(help="Justification of the results, recorded in the file.")],
    out: Annotated[Path | None, typer.Option(help="Baseline file to write. Default: SCENARIO-SCALE.baseline.json.")] = None,
    metric: Annotated[list[str] | None, typer.Option(help="Further column to record beside the known scores; repeatable.")] = None,
    with_failures: Annotated[bool, typer.Option("--with-failures", help="Accept a run in which some cells failed.")] = False,
) -> None:
    """Record the scores of a run as the reference for later comparisons."""
    from datetime import UTC, datetime

    from benchsuite.reports.comparison import accept as accept_side
    from benchsuite.reports.comparison import side_of
    from benchsuite.results import Run

    side = side_of(Run(run_folder))
    file = out or Path(f"{side.scenario}-{side.scale}.baseline.json")
    when = datetime.now(UTC).date().isoformat()
    accept_side(side, file, reason, when=when, metrics=metric or (), failures=with_failures)
    typer.echo(f"wrote {file} ({len(side.cells)} cells)")


@baseline.command()
def show(file: Annotated[Path, typer.Argument(metavar="FILE", help="Baseline file to show.")]) -> None:
    """Show the scores in a baseline file and the reason for its acceptance."""
    from benchsuite.reports.comparison import print_baseline, read_baseline

    print_baseline(read_baseline(file))


@app.command()
def timings(
    scenario: ScenarioName,
    base: Annotated[str, typer.Argument(help="Label of the reference reconstructor in the scenario.")],
    candidate: Annotated[str, typer.Argument(help="Label of the reconstructor to judge against BASE.")],
    rounds: Annotated[int, typer.Option(help="Number of alternating measurements of each.")] = 9,
    scale: Scale = "desk",
    overrides: Set = None,
    device: Device = "cpu",
    plugin: Plugin = None,
    store: StoreOption = None,
) -> None:
    """Time two reconstructors alternately on the same series. Exit status 1: the candidate is slower by more than 5%."""
    from benchsuite.errors import EXIT_REGRESSION
    from benchsuite.runner.timings import timings as time_both
    from benchsuite.store import Store

    loaded = _load(scenario, scale, overrides, plugin)
    found = time_both(loaded.cells, base, candidate, Store(_store(store)), rounds=rounds, device=device)
    for label, seconds in zip((base, candidate), found.seconds.T, strict=True):
        typer.echo(f"{label:<20} median {sorted(seconds)[len(seconds) // 2]:.4g} s ({min(seconds):.4g} to {max(seconds):.4g})")
    low, high = found.bounds
    ratio = f"median {found.ratio:.3g}, bounds {low:.3g} to {high:.3g}, {rounds} alternating rounds"
    typer.echo(f"{found.verdict}: {candidate} / {base} {ratio}")
    raise typer.Exit(EXIT_REGRESSION if found.verdict == "slower" else 0)


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="Class to check: package.module:Class, file.py:Class, or a registered name.")],
) -> None:
    """Run the contract suite on a reconstructor or preprocessing step. Exit status: 0 passes, 1 fails, 2 no such class."""
    from benchsuite.check import checks, find_class
    from benchsuite.errors import EXIT_REGRESSION

    failed, done = 0, 0
    for result in checks(find_class(name)):
        done, failed = done + 1, failed + bool(result.reason)
        typer.echo(f"{'FAILS' if result.reason else 'passes':<7} {result.name:<20} {result.requirement} ({result.seconds:.1f} s)")
        if result.reason:
            typer.echo(f"        {result.reason}")
    typer.echo(f"{name}: {done - failed} of {done} checks pass")
    raise typer.Exit(EXIT_REGRESSION if failed else 0)


@app.command()
def export(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder to export from.")],
    cell: Annotated[str, typer.Argument(help="Cell of the run, as in results.csv.")],
    what: Annotated[str, typer.Argument(help="Data to export: series, volume, truth or traced.")],
    file: Annotated[
        Path,
        typer.Argument(
            help="File to write: .emd, .h5, .hdf5 or .zarr (series, lossless), .mrc or .tiff (volume, or ADF series averaged "
            "over foci), that of a plugin, .extxyz, .xyz or .cif (truth, traced)."
        ),
    ],
    plugin: Plugin = None,
) -> None:
    """Export the series, volume or atoms of a cell to a standard format."""
    from benchsuite import registry
    from benchsuite.export import export_cell
    from benchsuite.results import Run

    for plugin_file in plugin or []:
        registry.load_plugin(plugin_file)
    for written in export_cell(Run(run_folder), cell, what, file):
        typer.echo(f"wrote {written}")


@app.command()
def doctor() -> None:
    """Report versions, hardware and the store in use."""
    from benchsuite.physics.backend import gpu_available
    from benchsuite.provenance import provenance

    facts = provenance()
    for key, value in facts.pop("libraries").items():
        typer.echo(f"{key:<16} {value}")
    for key, value in {**facts, "gpu": gpu_available(), "store": _store(None).absolute()}.items():
        typer.echo(f"{key:<16} {value}")


if __name__ == "__main__":
    main()
