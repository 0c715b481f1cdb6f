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

ScenarioName = Annotated[str, typer.Argument(help="A scenario file, or a name from the library (see `list scenarios`).")]
Scale = Annotated[str, typer.Option(help="smoke (seconds), desk (minutes) or paper (a GPU, or hours).")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key; may be repeated.")]
Plugin = Annotated[list[str] | None, typer.Option(help="A Python file that defines reconstructors or phantoms.")]
StoreOption = Annotated[
    Path | None, typer.Option("--store", help="Where results are kept. Default: $BENCHSUITE_STORE, else .benchsuite/store.")
]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Only = Annotated[list[str] | None, typer.Option(help="Run only the reconstructor with this label; may be repeated.")]


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
    from dataclasses import replace

    from benchsuite import registry
    from benchsuite.errors import choices
    from benchsuite.scenario import load

    for plugin in plugins or []:
        registry.load_plugin(plugin)
    loaded = load(scenario, scale, overrides or [])
    if not only:
        return loaded
    labels = {cell.reconstructor.label for cell in loaded.cells}
    for name in only:
        if name not in labels:
            raise BenchsuiteError(f"--only {name}: no reconstructor has this label; {choices(name, labels)}")
    return replace(loaded, cells=tuple(cell for cell in loaded.cells if cell.reconstructor.label in only))


def _store(given: Path | None) -> Path:
    return given or Path(os.environ.get("BENCHSUITE_STORE", ".benchsuite/store"))


@app.command()
def run(
    scenario: ScenarioName,
    scale: Scale = "desk",
    out: Annotated[Path | None, typer.Option(help="The run folder. Default: runs/NAME-SCALE.")] = None,
    overrides: Set = None,
    only: Only = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Cells at once. Default: one per core.")] = None,
    device: Device = "cpu",
    plugin: Plugin = None,
    store: StoreOption = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Run on the Dask cluster whose scheduler is there.")
    ] = None,
) -> None:
    """Run a scenario, or continue it, and write its report."""
    from benchsuite.backend import module_for
    from benchsuite.progress import Progress
    from benchsuite.results import Run
    from benchsuite.runner.run import Settings
    from benchsuite.runner.run import run as run_scenario
    from reports import write_report

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
    """Check a scenario and list every problem with its line."""
    from benchsuite.microscope import warnings_physics

    loaded = _load(scenario, scale, overrides, plugin)
    sections = [(cell.experiment.microscope, cell.experiment.simulation, cell.experiment.acquisition) for cell in loaded.cells]
    for warning in dict.fromkeys(text for section in sections for text in warnings_physics(*section)):
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(f"{loaded.source}: valid; {len(loaded.cells)} cells at scale {scale}")


@app.command()
def plan(
    scenario: ScenarioName,
    scale: Scale = "desk",
    overrides: Set = None,
    only: Only = None,
    workers: Annotated[int | None, typer.Option(min=1)] = None,
    device: Device = "cpu",
    plugin: Plugin = None,
    store: StoreOption = None,
) -> None:
    """Show every cell, why it will run or is cached, and the predicted time and memory."""
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
            "cached" if item.cached else item.why,
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
def list_names(what: Annotated[str, typer.Argument(help="phantoms, preparations, reconstructors, metrics or scenarios")]) -> None:
    """List what there is."""
    from benchsuite import catalogue

    for name, title in catalogue.entries(what):
        typer.echo(f"{name:<20} {title}".rstrip())


@app.command()
def info(
    name: Annotated[str, typer.Argument(help="A reconstructor, preparation, phantom, metric or scenario.")], plugin: Plugin = None
) -> None:
    """Show parameters with units, defaults and reference."""
    from benchsuite import catalogue, registry

    for file in plugin or []:
        registry.load_plugin(file)
    typer.echo(catalogue.describe(name))


@app.command()
def report(runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.")]) -> None:
    """Write the report of finished runs anew."""
    from benchsuite.results import Run
    from reports import write_report

    for folder in runs:
        Run(folder).write_table()
        typer.echo(f"report   {write_report(Run(folder))}")


@app.command()
def export(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN")],
    cell: Annotated[str, typer.Argument(help="A cell of the run, as in results.csv.")],
    what: Annotated[str, typer.Argument(help="series, volume, truth or traced")],
    file: Annotated[
        Path,
        typer.Argument(
            help="To .emd, .h5, .hdf5 or .zarr (series, lossless), .mrc or .tiff (volume, and an ADF series averaged over foci), "
            ".extxyz, .xyz or .cif (truth, traced)."
        ),
    ],
) -> None:
    """Write a series, volume or atoms of a cell to a standard format."""
    from benchsuite.export import export_cell
    from benchsuite.results import Run

    for written in export_cell(Run(run_folder), cell, what, file):
        typer.echo(f"wrote {written}")


@app.command()
def doctor() -> None:
    """Say what this machine has: versions, cores, memory, GPU, store."""
    from benchsuite.backend import gpu_available
    from benchsuite.provenance import provenance

    facts = provenance()
    for key, value in facts.pop("libraries").items():
        typer.echo(f"{key:<16} {value}")
    for key, value in {**facts, "gpu": gpu_available(), "store": _store(None).absolute()}.items():
        typer.echo(f"{key:<16} {value}")


if __name__ == "__main__":
    main()
