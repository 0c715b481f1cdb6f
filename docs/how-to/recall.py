"""Recall against the distance from the centre of the particle, the smallest useful report figure.

Try it: benchsuite run quickstart --scale smoke --plugin recall.py
"""

from __future__ import annotations

import numpy as np

from benchsuite import Figure, Run

SHELL_A = 2.0


class Recall(Figure):
    title = "Recall against the distance from the centre"
    caption = "Share of the true atoms that were traced, against their distance from the centre, in shells of 2 Å."
    needs = frozenset({"atoms", "truth"})

    def draw(self, run: Run):
        from matplotlib.figure import Figure as MplFigure

        figure = MplFigure(figsize=(4.5, 2.8))
        axes = figure.subplots()
        for method, rows in run.table[run.table["status"] == "ok"].groupby("reconstructor", sort=False):
            found = [atoms for cell in rows["cell"] if (atoms := run.cell(cell).truth()) is not None]
            if not found:
                continue
            shell = np.concatenate([np.linalg.norm(atoms.positions, axis=1) // SHELL_A for atoms in found])
            traced = np.concatenate([atoms.arrays["outcome"] != "missing" for atoms in found])
            shells = np.unique(shell)
            recall = [100 * traced[shell == number].mean() for number in shells]
            axes.plot((shells + 0.5) * SHELL_A, recall, marker="o", label=method)
        axes.set(xlabel="Distance from the centre (Å)", ylabel="Recall (%)")
        axes.legend()
        return figure
