"""Positional accuracy against the number of atoms, with straight lines (after LOT Fig. 6 and nLOT Fig. 5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure as MplFigure

from benchsuite.contract.figure import Figure
from benchsuite.reports.groups import groups, methods
from benchsuite.reports.labels import number
from benchsuite.reports.style import WIDTH_IN, new_figure, plain, styles_of
from benchsuite.results import Run


@dataclass(frozen=True)
class Line:
    """RMSD in pm against the number of atoms of one method, and the least-squares line: slope in pm per million atoms."""

    method: str
    atoms: np.ndarray
    rmsd_pm: np.ndarray
    slope: float
    intercept_pm: float


def lines(run: Run) -> list[Line]:
    """Return the line of every method that has results for at least two sizes."""
    if "phantom" in run.sweep_keys:  # other sizes are of other kinds
        return []
    found: list[Line] = []
    for method in methods(run):
        points = [
            (group.stat("n_true")[0], group.stat("rmsd_pm")[0])
            for group in groups(run)
            if group.method == method and min(group.stat("n_true")[2], group.stat("rmsd_pm")[2]) > 0
        ]
        atoms, rmsd = np.array(sorted(points)).reshape(-1, 2).T
        if len(set(atoms)) > 1:
            slope, intercept = np.polyfit(atoms / 1e6, rmsd, 1)
            found.append(Line(method, atoms, rmsd, float(slope), float(intercept)))
    return found


class RmsdAgainstAtoms(Figure):
    title = "RMSD against the number of atoms"
    caption = "RMSD of each method against the number of atoms. Dashed: least-squares lines."
    reference = "Mao, Cui & Yu (2024), LOT, Fig. 6"
    needs = frozenset({"atoms", "truth"})
    order = 50

    def draw(self, run: Run) -> MplFigure | None:
        found = lines(run)
        if not found:
            return None
        figure = new_figure(0.62 * WIDTH_IN, 2.9)
        axes = figure.subplots()
        styles = styles_of(run)
        for line in found:
            style = styles[line.method]
            text = f"{plain(line.method)}: {number(line.slope)} pm per million atoms"
            axes.plot(line.atoms, line.rmsd_pm, color=style.color, marker=style.marker, linestyle="none", label=text)
            ends = np.array([0.0, line.atoms.max()])
            axes.plot(ends, line.intercept_pm + line.slope * ends / 1e6, color=style.color, linestyle="--", linewidth=0.8)
        axes.set(xlabel="Number of atoms", ylabel="RMSD (pm)", xlim=(0, None), ylim=(0, None))
        axes.grid(axis="y")
        figure.legend(loc="outside lower center", ncols=1)
        return figure
