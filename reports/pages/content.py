"""The content of the page of a cell, gathered from its record and its entries in the store."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms
from markupsafe import Markup

from benchsuite.columns import Column
from benchsuite.data import Reconstruction
from benchsuite.reports import labels
from benchsuite.reports.pages import charts
from benchsuite.reports.pages.atoms import Scene, scene
from benchsuite.reports.pages.slices import Panel, panels
from benchsuite.reports.style import BLUE, GREY
from benchsuite.reports.traced_atoms import intensity_layers
from benchsuite.results import LEADING, SETTING, CellResult

log = logging.getLogger(__name__)

OF_CELL = {column.name for column in (*LEADING, *SETTING)}
SHELLS = (  # curve, caption, threshold
    ("fsc", "Fourier shell correlation with the truth", 0.5),
    ("fsc_half_sets", "Fourier shell correlation of half sets", 0.143),
)
LONGEST_LOG = 200_000  # characters: the end is kept, where the error stands


@dataclass(frozen=True)
class Content:
    """The parts of a page. What a cell does not have is None or empty; `problems` lists what could not be read."""

    row: Mapping[str, Any]
    swept: dict[str, Any]
    scores: list[tuple[str, str, str]]  # name, value, unit
    scene: Scene | None
    slices: list[Panel]
    charts: list[tuple[str, Markup]]  # caption, picture
    confusion: dict[str, dict[str, int]]
    parameters: list[tuple[str, str]]
    keys: Mapping[str, str]
    log: str
    problems: list[str] = field(default_factory=list)


def content(cell: CellResult, sweep_keys: list[str]) -> Content:
    """Read a cell. What is missing or damaged in the store costs its part of the page, which names the problem."""
    record, problems = cell.run.records[cell.id], []
    row = record["row"]

    def read(what: str, function: Any, otherwise: Any) -> Any:
        try:
            return function()
        except Exception as error:  # an entry that cannot be read must not cost the page: what it says is shown there
            log.warning("%s of cell %s in %s cannot be read: %s", what, cell.id, cell.run.folder, error)
            problems.append(f"{what}: {type(error).__name__}: {error}")
            return otherwise

    result: Reconstruction | None = read("reconstruction", lambda: cell.reconstruction() or cell.last_good(), None)
    traced: Atoms | None = read("traced atoms", cell.traced, None)
    truth: Atoms | None = read("true atoms", cell.truth, None)
    atoms = read("atoms", lambda: scene(traced, truth, row), None) if traced is not None else None
    curves = read("curves", cell.curves, {})
    volume = result.volume if result is not None else None
    slices = read("slices", lambda: panels(volume, atoms), [])
    drawn = read("charts", lambda: _charts(result, traced, curves), [])
    swept = {key: row[key] for key in sweep_keys if key in row}
    columns, scores = cell.run.columns, [key for key in row if key not in OF_CELL and key not in swept]
    if gone := cell.gone():
        problems.append(f"No longer in the store, or damaged there: {', '.join(gone)}")
    return Content(
        row=row,
        swept=swept,
        scores=[_score(labels.column_of(columns, key), row[key]) for key in columns.with_bounds(columns.ordered(scores))],
        scene=atoms,
        slices=slices,
        charts=drawn,
        confusion=read("confusion", cell.confusion, {}),
        parameters=read("parameters", lambda: _parameters(cell), []),
        keys=record["keys"],
        log=_end_of(record.get("log") or ""),
        problems=problems,
    )


def _score(column: Column, value: Any) -> tuple[str, str, str]:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        exact = str(int(value)) if math.isfinite(value) and value == int(value) and abs(value) < 1e7 else labels.number(value, 4)
        return column.title, exact, column.unit
    return column.title, str(value), ""


def _end_of(text: str) -> str:
    cut = len(text) - LONGEST_LOG
    return text if cut <= 0 else f"[the first {cut} characters are left out]\n{text[-LONGEST_LOG:]}"


def _parameters(cell: CellResult) -> list[tuple[str, str]]:
    """What the algorithm was given, with its defaults, as the store has it; of a cell without a result, as the scenario has it."""
    made_with = cell.made_with("reconstruction")
    if made_with:
        flat = _flat({key: value for key, value in made_with.items() if key != "seed"})
    else:
        flat = _flat(_entry(cell.run.scenario.get("reconstructors") or [], str(cell.row["reconstructor"])))
    return [(key, value) for key, value in flat if value != ""]


def _entry(entries: list[Any], label: str) -> Any:
    for entry in entries:
        if isinstance(entry, Mapping) and label in (entry.get("label"), entry.get("use"), str(entry.get("use", "")).upper()):
            return entry
    return {}


def _flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [pair for key, inner in value.items() for pair in _flat(inner, f"{prefix}.{key}" if prefix else str(key))]
    return [(prefix, value if isinstance(value, str) else json.dumps(value))] if prefix else []


def _charts(result: Reconstruction | None, traced: Atoms | None, curves: Mapping[str, np.ndarray]) -> list[tuple[str, Markup]]:
    found = []
    if traced is not None and len(traced) and "intensity" in traced.arrays:
        found.append(("Intensities of the traced atoms, relative to the 99.5th percentile", _histogram(traced)))
    if result is not None and (loss := _convergence(result.history)) is not None:
        found.append(("Loss against iteration", loss))
    for name, caption, threshold in SHELLS:
        if f"{name}_frequency" in curves:
            x, y = curves[f"{name}_frequency"], curves[f"{name}_correlation"]
            across = charts.Axis("Spatial frequency (Å⁻¹)", 0.0, float(x[-1]))
            up = charts.Axis("Correlation", min(-0.1, float(np.nanmin(y))), 1.05)
            found.append((caption, charts.lines(caption, across, up, [("", BLUE, x, y)], threshold)))
    if "pdf_distance_A" in curves:
        x = curves["pdf_distance_A"]
        near = (x > 1.5) & (x < 6.5)
        both = (("truth", GREY), ("traced", BLUE))
        pair = [(name, color, x[near], curves[f"pdf_{name}"][near]) for name, color in both if f"pdf_{name}" in curves]
        y_axis = charts.axis("Neighbours per atom and Å", np.concatenate([values for *_, values in pair]), zero=True)
        found.append(("Pair distribution", charts.lines("Pair distribution", charts.Axis("Distance (Å)", 1.5, 6.5), y_axis, pair)))
    return found


def _convergence(history: np.ndarray) -> Markup | None:
    """The losses themselves, on logarithmic axes where they allow that; None for fewer than two."""
    iteration, loss = history[np.isfinite(history).all(axis=1)].T
    if len(loss) < 2:
        return None
    x = charts.axis("Iteration", iteration, log=bool((iteration > 0).all() and iteration[-1] > 10 * iteration[0]))
    y = charts.axis("Loss", loss, log=bool((loss > 0).all() and loss.max() > 3 * loss.min()))
    return charts.lines("Loss against iteration", x, y, [("loss", BLUE, iteration, loss)])


def _histogram(traced: Atoms) -> Markup:
    edges, layers = intensity_layers(traced, sorted(set(traced.get_chemical_symbols()) - {"X"}))
    x = charts.Axis("Intensity (relative)", float(edges[0]), float(edges[-1]))
    return charts.stacked("Histogram of intensities", x, edges, layers, "Number of atoms")
