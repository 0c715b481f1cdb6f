"""Run folders made up for tests of reports: small synthetic arrays in a real store, through the product's code, with failures."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from benchsuite import registry
from benchsuite.data import Reconstruction, Volume
from benchsuite.metrics.composition import composition_scores
from benchsuite.metrics.matching.matched import confusion_matrix, match_atoms
from benchsuite.metrics.positions import position_scores
from benchsuite.metrics.resolution import render
from benchsuite.reports.figures import draw
from benchsuite.results import FORMAT, Run
from benchsuite.runner.stages.match import ABOUT, save_matched
from benchsuite.scenario.metrics import ordered_metrics
from benchsuite.storage import json_safe, save_arrays, save_reconstruction
from benchsuite.store import Key, Store

DOSE, DEFOCUS = "acquisition.dose_e_per_A2", "microscope.defocus_A"
VOXEL_A, SIDE = 0.4, 32
COLUMNS = [column.to_json() for _, cls in ordered_metrics() for column in cls.declared()]  # of all metrics that are built in
ERRORS_PM = {"RESIRE": 5.0, "GENFIRE": 6.5, "SIRT": 9.0, "WBP": 12.0, "MSET": 4.0}
LOG = "Traceback (most recent call last):\n  <script>window.hacked = true</script> & <b>not bold</b>\nValueError: {reason}"


def specimen(rng: np.random.Generator, atoms: int = 40) -> Atoms:
    """Cu and Au on a jittered cubic lattice of 2.6 Å."""
    steps = np.array(sorted(itertools.product(range(-2, 3), repeat=3), key=lambda place: sum(k * k for k in place))[:atoms])
    return Atoms(["Au" if i % 3 else "Cu" for i in range(atoms)], positions=2.3 * steps + rng.normal(0, 0.05, steps.shape))


def traced_of(truth: Atoms, error_pm: float, rng: np.random.Generator) -> Atoms:
    """What tracing might give: moved atoms, one missing, one of the wrong element, one false, one that is no atom."""
    found = truth[1:]
    symbols = found.get_chemical_symbols()
    symbols[0] = "Cu" if symbols[0] == "Au" else "Au"
    moved = found.positions + rng.normal(0, error_pm / 100 / np.sqrt(3), found.positions.shape)
    atoms = Atoms([*symbols, "Au", "X"], positions=np.vstack([moved, [5.9, 5.9, 5.9], [-5.9, 5.9, -5.9]]))
    atoms.set_array("intensity", np.where(np.array([*symbols, "Au", "X"]) == "Au", 1.0, 0.4) + rng.normal(0, 0.05, len(atoms)))
    return atoms


def stored(store: Store, name: str, fill: Any, inputs: dict[str, Any]) -> str:
    """Write an entry through the store and return its key as text."""
    key = Key.of(name, inputs, [], {"made": "up"})
    if not store.has(key):
        with store.writing(key, {"stage": name, "inputs": inputs}) as folder:
            fill(folder)
    return str(key)


def cell(store: Store, method: str, error_pm: float, seed: int, scenario: str = "made-up") -> tuple[dict[str, Any], dict[str, str]]:
    """Store a reconstruction and its scores; return (values, keys)."""
    rng = np.random.default_rng(seed)
    truth = specimen(rng)
    traced = traced_of(truth, error_pm, rng)
    matched = match_atoms(truth, traced)
    volume = render(traced, Volume(np.zeros((SIDE,) * 3, np.float32), VOXEL_A).grid, 0.4).astype(np.float32)
    steps = np.arange(1.0, 31.0)
    result = Reconstruction(Volume(volume, VOXEL_A), None, np.column_stack([steps, 1 / steps]), 1.0)
    inputs = {"reconstructor": method.lower(), "params": {"iterations": 30, "step_size": 2.0}, "seed": seed, "scenario": scenario}
    frequency = np.linspace(0, 1.2, 20)

    def match(folder: Path) -> None:
        save_matched(folder, matched)
        (folder / ABOUT).write_text(json.dumps({"confusion": confusion_matrix(matched), "remarks": [], "placement": None}))

    def scores(folder: Path) -> None:
        save_arrays(folder / "curves.zarr", {"fsc_frequency": frequency, "fsc_correlation": np.exp(-frequency)}, {})

    keys = {
        "reconstruction": stored(
            store, "reconstruction", lambda folder: save_reconstruction(folder / "reconstruction", result), inputs
        ),
        "match": stored(store, "match", match, inputs | {"error_pm": error_pm}),
        "scores": stored(store, "scores", scores, inputs | {"error_pm": error_pm}),
    }
    values = {
        **position_scores(matched),
        **composition_scores(matched),
        "r_factor": 0.1 + error_pm / 100,
        "reconstruct_s": 20.0 / error_pm,
        "peak_memory_mb": 200.0,
    }
    return values, keys


def make_run(
    folder: Path,
    *,
    methods: Sequence[str] = ("RESIRE", "GENFIRE"),
    doses: Sequence[float] = (float("inf"), 2e5),
    defoci: Sequence[float] = (0.0,),
    phantoms: Sequence[str] = ("CuAu",),
    bound: bool = False,
    repeats: int = 1,
    failures: Sequence[int] = (),
    data: bool = True,
    name: str = "made-up",
    store: Path | None = None,
) -> Run:
    """Write a run folder with a cell for each combination; cells whose number is in `failures` ended with a log.

    `data`: whether cells have entries in the store. `bound`: whether noisy ones have a bound of the RMSD, of half of the smallest.
    Equal arguments give equal keys.
    """
    root = store or folder.parent / "store"
    about = {
        "format": FORMAT,
        "scenario": {
            "name": name,
            "title": f"Scenario {name}",
            "repeats": repeats,
            "analysis": {"species": ["Cu", "Au"]},
            "reconstructors": [{"use": method.lower(), "label": method} for method in methods],
            "acquisition": {"dose_e_per_A2": doses[0]},
            "figures": ["sweep_lines"],
        },
        "scale": "desk",
        "sweep_keys": [DOSE, *([DEFOCUS] if len(defoci) > 1 else []), *(["phantom"] if len(phantoms) > 1 else [])],
        "store": str(root.absolute()),
        "columns": COLUMNS,
        "provenance": {"commit": "0123abc", "dirty": True, "python": "3.11", "cores": 2, "libraries": {"numpy": "2.4"}},
    }
    (folder / "cells").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(about))
    points = itertools.product(methods, doses, defoci, phantoms, range(repeats))
    for number, (method, dose, defocus, phantom, repeat) in enumerate(points):
        row = {"cell": f"{number:04d}", "scenario": name, "scale": "desk", "status": "ok", "reason": "", "reconstructor": method}
        row |= {"repeat": repeat, "seed": 7, "device": "cpu", "engine": "abtem", DOSE: dose}
        row |= {DEFOCUS: defocus} if len(defoci) > 1 else {}
        row |= {"phantom": phantom} if len(phantoms) > 1 else {}
        error_pm = ERRORS_PM.get(method, 8.0) * (1.0 if np.isinf(dose) else (1e7 / dose) ** 0.2) * (1 + abs(defocus) / 500)
        error_pm *= float(np.random.default_rng(number).normal(1.0, 0.03))
        least_pm = 0.5 * min(ERRORS_PM.values()) * (1e7 / dose) ** 0.2
        row |= {"bound_rmsd_pm": np.nan if np.isinf(dose) else least_pm} if bound else {}
        keys, log = dict[str, str](), ""
        if number in failures:
            reason = f"cell {number} raised <i>on purpose</i>"
            row |= {"status": "error", "reason": reason}
            log = LOG.format(reason=reason)
        elif data:
            values, keys = cell(Store(root), method, error_pm, number, name)
            row |= values
        else:
            row |= {"rmsd_pm": error_pm, "tracing_error_pct": 2.5, "classification_rate_pct": 95.0, "n_true": 40, "n_traced": 40}
            row |= {"n_matched": 39, "r_factor": 0.1, "reconstruct_s": 20 / error_pm, "peak_memory_mb": 200.0}
        record = {"row": json_safe(row), "keys": keys, "log": log}
        (folder / "cells" / f"{number:04d}.json").write_text(json.dumps(record))
    return Run(folder)


def thousand(folder: Path, data: bool = True) -> Run:
    """Five methods, five doses, four defoci, ten repeats; every twentieth cell failed."""
    return make_run(
        folder,
        methods=tuple(ERRORS_PM),
        doses=(float("inf"), 1e7, 1e6, 1e5, 1e4),
        defoci=(-200.0, -100.0, 0.0, 100.0),
        repeats=10,
        failures=range(7, 1000, 20),
        data=data,
    )


def drawn(name: str, run: Run) -> dict[str, Any]:
    """Return the parts of a registered figure, by file name."""
    return draw(name, registry.registered("figure", name)(), run)
