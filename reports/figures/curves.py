"""Curves of every method, one panel per point of the sweep: convergence, Fourier shell correlation, pair distribution."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from benchsuite.reports.figures.panels import MethodCurves, representative_cells
from benchsuite.reports.style import GREY, MethodStyle, plain
from benchsuite.results import CellResult, Run

SHELLS = (("fsc", 0.5, None, ""), ("fsc_half_sets", 0.143, ":", ", half sets"))  # curve, threshold, style, name beside the other


class Convergence(MethodCurves):
    title = "Convergence of the loss"
    caption = (
        "Loss against iteration. Each curve is divided by its own first value, since the losses of different methods are different "
        "quantities."
    )
    order = 120
    x_label, y_label = "Iteration", "Loss / first loss"

    def curve(self, axes: Axes, cell: CellResult, style: MethodStyle, method: str) -> bool:
        result = cell.reconstruction()
        if result is None:
            return False
        iteration, loss = result.history.T
        good = np.isfinite(loss)
        if good.sum() < 2 or loss[good][0] <= 0:
            return False
        axes.plot(iteration[good], loss[good] / loss[good][0], color=style.color, linestyle=style.linestyle, label=plain(method))
        axes.set(xscale="log", yscale="log")
        return True


class FourierShell(MethodCurves):
    title = "Fourier shell correlation"
    caption = "Fourier shell correlation against spatial frequency. The horizontal lines are the thresholds of the resolution."
    needs = frozenset({"atoms"})
    order = 130
    x_label, y_label = "Spatial frequency (Å⁻¹)", "Correlation"

    def caption_for(self, run: Run) -> str:
        names = {name for cell in representative_cells(run).values() for name in cell.curves()}
        curves = {
            "fsc_frequency": " Each volume is correlated with the true atoms drawn as Gaussians (threshold: 0.5).",
            "fsc_half_sets_frequency": " Reconstructions of half of the tilts are correlated with each other (threshold: 0.143).",
        }
        return self.caption + "".join(text for name, text in curves.items() if name in names)

    def curve(self, axes: Axes, cell: CellResult, style: MethodStyle, method: str) -> bool:
        curves, drawn = cell.curves(), False
        for name, threshold, linestyle, addition in SHELLS:
            if f"{name}_frequency" not in curves:
                continue
            frequency, correlation = curves[f"{name}_frequency"], curves[f"{name}_correlation"]
            label = plain(method) + ("" if name == "fsc" or "fsc_frequency" not in curves else addition)
            axes.plot(frequency, correlation, color=style.color, linestyle=linestyle or style.linestyle, label=label)
            axes.set(ylim=(-0.1, 1.05), xlim=(0, float(frequency[-1])))
            if not any(line.get_gid() == name for line in axes.lines):
                axes.axhline(threshold, color=GREY, linewidth=0.7, linestyle=(0, (2, 2)), gid=name)
                axes.text(float(frequency[-1]), threshold + 0.02, f"{threshold:g}", ha="right", va="bottom", fontsize=6, color=GREY)
            drawn = True
        return drawn


class PairDistribution(MethodCurves):
    title = "Pair distribution"
    caption = "Number of neighbours per atom and Å against their distance."
    needs = frozenset({"atoms"})
    order = 150
    x_label, y_label = "Distance (Å)", "Neighbours per atom and Å"

    def caption_for(self, run: Run) -> str:
        true = "" if run.without_truth else " and of the true atoms (grey area)"
        return f"{self.caption.removesuffix('.')}, of the traced atoms (lines){true}."

    def curve(self, axes: Axes, cell: CellResult, style: MethodStyle, method: str) -> bool:
        curves = cell.curves()
        if "pdf_distance_A" not in curves:
            return False
        distance = curves["pdf_distance_A"]
        if not axes.lines and "pdf_truth" in curves:
            axes.fill_between(distance, curves["pdf_truth"], step="mid", color="#D9D9D9", label="true atoms", linewidth=0)
        axes.plot(distance, curves["pdf_traced"], color=style.color, linestyle=style.linestyle, linewidth=0.8, label=plain(method))
        axes.set(xlim=(1.5, 6.5))
        return True
