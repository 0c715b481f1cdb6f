"""benchsuite from Python: the steps of a scenario as functions, for scripts and notebooks.

    truth = bs.phantom("core_shell", core="Cu", shell="Au", atoms=55)
    series = bs.simulate(truth, tilts={"range_deg": [-75, 75], "count": 20}, dose_e_per_A2=1e6)
    answer = bs.reconstruct(series, "resire", iterations=60)
    atoms = bs.trace(answer, species=["Cu", "Au"])
    scores = bs.score(atoms, truth, answer, series)

Parameters have the names, units and defaults of the keys of a scenario, and the same rules check them. Equal seeds give equal
results: those of a scenario with that seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from ase import Atoms

from benchsuite import registry, seeds
from benchsuite.contract.algorithm import Context
from benchsuite.contract.metric import Scored
from benchsuite.contract.settings import Acquisition, Microscope, Simulation
from benchsuite.data import Grid, Optics, Preprocessed, Reconstruction, TiltSeries, particle_of, substrate_of
from benchsuite.errors import EXIT_INTERRUPTED, BenchsuiteError, Problem, ScenarioError
from benchsuite.params import Params
from benchsuite.results import Run
from benchsuite.scenario.positions import Document
from benchsuite.scenario.validation import validate

P = TypeVar("P", bound=Params)


def phantom(kind: str, seed: int = 0, **params: Any) -> Atoms:
    """Return the true atoms of a phantom by its registered name: positions in Å about the centre of the box.

    Raises BenchsuiteError for an unknown name or a parameter that is not allowed.
    """
    cls = registry.phantom(kind)
    return cls(_checked(cls.Params, params, kind)).build(seeds.generator(seed, "phantom"))


def simulate(
    atoms: Atoms,
    *,
    microscope: Mapping[str, Any] | None = None,
    simulation: Mapping[str, Any] | None = None,
    seed: int = 0,
    device: str = "cpu",
    **acquisition: Any,
) -> TiltSeries:
    """Return the recorded tilt series of a specimen: ADF images, or diffraction patterns with `mode="4dstem"`.

    microscope, simulation: these sections of a scenario. acquisition: the keys of that section (`tilts`, `scan`, `detector`,
    `dose_e_per_A2`, …). Raises BenchsuiteError where the experiment cannot be simulated.
    """
    from benchsuite.microscope import simulate_series

    optics, engine = _checked(Microscope, microscope or {}, "microscope"), _checked(Simulation, simulation or {}, "simulation")
    return simulate_series(atoms, optics, engine, _checked(Acquisition, acquisition, "acquisition"), seed, device)


def preprocess(series: TiltSeries, step: str, *, grid: Grid | None = None, seed: int = 0, **params: Any) -> Preprocessed:
    """Return what a preprocessing step makes of a series. Raises BenchsuiteError where it does not accept the series."""
    cls = registry.preprocessing(step)
    algorithm = cls(_checked(cls.Params, params, step))
    if (refusal := algorithm.accepts(series)) is not None:
        raise BenchsuiteError(refusal)
    return algorithm.preprocess(series, Context(grid or Grid.over(series), seeds.generator(seed, "preparation")))


def reconstruct(
    series: TiltSeries,
    reconstructor: str,
    *,
    grid: Grid | None = None,
    initial: Atoms | None = None,
    seed: int = 0,
    device: str = "cpu",
    **params: Any,
) -> Reconstruction:
    """Return what a reconstructor makes of a series: a volume (nz, ny, nx) or atoms, with the convergence history.

    grid: of the volume; by default a cube over the field of view. initial: atoms to refine. Raises BenchsuiteError where the
    reconstructor does not accept the series, diverges, or breaks its contract.
    """
    from benchsuite.runner.loop import CellFailure, run_loop
    from benchsuite.runner.stages.base import silent

    cls = registry.reconstructor(reconstructor)
    context = Context(grid or Grid.over(series), seeds.generator(seed, "reconstructor"), device, start=initial)
    try:
        return run_loop(cls(_checked(cls.Params, params, reconstructor)), series, context, silent)
    except CellFailure as failure:
        raise BenchsuiteError(f"{reconstructor}: {failure.status}: {failure.reason}") from failure


def trace(reconstruction: Reconstruction, *, species: Sequence[str], seed: int = 0, **analysis: Any) -> Atoms:
    """Return the atoms traced in a volume, or listed by the method, with their elements; spurious peaks are "X".

    analysis: further keys of that section of a scenario (`minimum_distance_A`, `threshold`, `blur_A`, `mask`, …).
    """
    from benchsuite.metrics.tracing.traced import traced_atoms
    from benchsuite.scenario.schema import Analysis

    settings = _checked(Analysis, {"species": list(species), **analysis}, "analysis")
    return traced_atoms(reconstruction, settings.model_dump(), seeds.generator(seed, "classification"))


def score(
    traced: Atoms,
    truth: Atoms,
    reconstruction: Reconstruction | None = None,
    series: TiltSeries | None = None,
    *,
    cutoff_A: float | None = None,
    registration: Literal["shift", "rigid"] = "shift",
    metrics: Sequence[str] = (),
) -> dict[str, float]:
    """Return scores by the names of their columns in results.csv; those that need what is not given are left out, or nan.

    cutoff_A: the largest distance of matched atoms; by default half the nearest-neighbour distance, at most 1.2 Å. metrics:
    registered names beyond those that every run measures.
    """
    from benchsuite.metrics.matching.matched import match_atoms
    from benchsuite.metrics.structure import outside
    from benchsuite.scenario.metrics import ordered_metrics

    particle = particle_of(truth)
    found = outside(traced, particle.positions, substrate_of(truth))
    matched = match_atoms(particle, found, cutoff_A=cutoff_A, registration=registration)
    answer = reconstruction or Reconstruction(None, traced, np.empty((0, 2)), 0.0)
    recorded = series if series is not None else _NO_SERIES
    grid = answer.volume.grid if answer.volume is not None else Grid.over(recorded)
    scored = Scored(**vars(matched), reconstruction=answer, grid=grid, series=recorded, recorded=recorded, specimen=truth)
    for name in metrics:
        registry.metric(name)
    chosen = [cls() for name, cls in ordered_metrics() if cls.default or name in metrics]
    return {name: value for metric in chosen for name, value in metric.checked(metric.measure(scored)).values.items()}


def run(
    scenario: str | Path,
    *,
    out: str | Path | None = None,
    store: str | Path = ".benchsuite/store",
    scale: str = "desk",
    overrides: Sequence[str] = (),
    only: Sequence[str] = (),
    plugins: Sequence[str | Path] = (),
    workers: int | None = None,
    device: str = "cpu",
    report: bool = True,
) -> Run:
    """Run or continue a scenario (a file or a name of the library), write its report, and return the run.

    out: the folder; by default runs/NAME-SCALE. overrides: KEY=VALUE as with --set. only: labels of reconstructors. plugins: Python
    files. Raises BenchsuiteError for a scenario that cannot be run, and KeyboardInterrupt where it was interrupted.
    """
    from benchsuite.runner.run import Settings
    from benchsuite.runner.run import run as run_cells
    from benchsuite.scenario import load

    files = tuple(str(Path(file).resolve()) for file in plugins)
    for file in files:
        registry.load_plugin(file)
    loaded = load(scenario, scale, list(overrides)).only(only)
    folder = Path(out) if out is not None else Path("runs") / f"{loaded.scenario.name}-{scale}"
    if run_cells(loaded, Settings(folder, Path(store), workers, device, files)) == EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    finished = Run(folder)
    if report:
        from benchsuite.reports import write_report

        write_report(finished)
    return finished


_NO_SERIES = TiltSeries("adf", np.zeros((0, 1, 1, 1), np.float32), np.zeros((0, 3, 3)), 1.0, Optics(300.0, 20.0), np.zeros(1))


def _checked(model: type[P], given: Mapping[str, Any], section: str) -> P:
    """Return validated parameters. Raises ScenarioError with every problem found, in the words of a scenario's messages."""
    problems = list[Problem]()
    checked = validate(model, dict(given), Document(None, ""), (section,), problems)
    if checked is None:
        raise ScenarioError(problems)
    return checked
