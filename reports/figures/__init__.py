"""The figures of a report: which ones a run has, and their drawing in the house style."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure as MplFigure

from benchsuite import registry
from benchsuite.contract.figure import Figure, Need
from benchsuite.reports.style import styled
from benchsuite.results import Run

if TYPE_CHECKING:
    from benchsuite.contract.figure import Drawing


def chosen(run: Run) -> dict[str, Figure | Exception]:
    """Return the figures that a scenario lists, or else all defaults in their order; an exception where there is no such class."""
    listed = run.scenario.get("figures")
    found: dict[str, Figure | Exception] = {}
    for name in registry.names("figure") if listed is None else dict.fromkeys(listed):
        try:
            found[name] = registry.registered("figure", name)()
        except Exception as error:  # a class that cannot be imported must not cost the report: it is named there
            found[name] = error
    if listed is not None:
        return found
    kept = {name: figure for name, figure in found.items() if isinstance(figure, Exception) or figure.default}
    return dict(sorted(kept.items(), key=lambda item: (getattr(item[1], "order", Figure.order), item[0])))


def lacking(run: Run, figure: Figure) -> list[Need]:
    """Return what a figure needs and a run does not have."""
    return sorted(need for need in figure.needs if not HAS[need](run))


HAS: dict[Need, Callable[[Run], bool]] = {
    "atoms": lambda run: not run.without_atoms,
    "truth": lambda run: not run.without_truth,
}


@styled
def draw(name: str, figure: Figure, run: Run) -> dict[str, MplFigure]:
    """Draw a figure; return what it consists of by file name: NAME, NAME_2 and so on, or NAME_KEY of a mapping."""
    with mpl.rc_context({"figure.constrained_layout.use": True}):
        return by_slug(name, figure.draw(run))


def by_slug(name: str, drawing: Drawing) -> dict[str, MplFigure]:
    """Return the parts of a drawing by file name. Raises TypeError for what is no drawing."""
    if drawing is None:
        parts: dict[str, MplFigure] = {}
    elif isinstance(drawing, MplFigure):
        parts = {name: drawing}
    elif isinstance(drawing, Mapping):
        parts = {f"{name}_{re.sub(r'[^A-Za-z0-9_-]+', '_', key)}" if key else name: part for key, part in drawing.items()}
    else:
        parts = {name if number == 0 else f"{name}_{number + 1}": part for number, part in enumerate(drawing)}
    for part in parts.values():
        if not isinstance(part, MplFigure):
            raise TypeError(f"draw() returned {type(part).__name__} where a matplotlib figure should be")
    return parts
