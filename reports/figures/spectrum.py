"""The spectral amplitude of the volumes, on axes and on planes (after Romanov et al. 2025, Fig. 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as MplFigure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchsuite.contract.figure import Figure
from benchsuite.reports.figures.panels import by_condition
from benchsuite.reports.labels import number
from benchsuite.reports.style import BLACK, BLUE, GREEN, VERMILLION, WIDTH_IN, new_figure, plain, wrapped
from benchsuite.results import CellResult, Run

ROWS = 4
MOST_FIGURES = 4
COLORS = {"x": VERMILLION, "y": GREEN, "z": BLUE}
MARKERS = {"x": "o", "y": "s", "z": "^"}
BAR_PER_A = 1.0
DARKEST, BRIGHTEST = 5.0, 99.95  # percentiles of the logarithm


class SpectralAmplitude(Figure):
    title = "Spectral amplitude of the volumes"
    caption = (
        "Spectral amplitude of the volumes under a Hann window. (a) Mean over the other two axes; symbols mark the last peak along "
        "each axis in three dimensions, with its resolution. (b–d) Mean over one axis, in logarithmic colours; bars: 1 Å⁻¹."
    )
    reference = "Romanov et al. (2025), Fig. 5"
    needs = frozenset({"atoms"})
    order = 140

    def draw(self, run: Run) -> list[MplFigure]:
        rows = []
        for setting, cells in by_condition(run):
            for method, cell in cells:
                curves = cell.curves()
                if "spectrum_x" in curves:
                    rows.append((f"{plain(method)}\n{wrapped(setting, 34)}" if setting else plain(method), cell, curves))
        pages = [rows[start : start + ROWS] for start in range(0, len(rows), ROWS)]
        return [_figure(page) for page in pages[:MOST_FIGURES]]


def _figure(rows: Sequence[tuple[str, CellResult, Mapping[str, np.ndarray]]]) -> MplFigure:
    figure = new_figure(WIDTH_IN, 1.75 * len(rows) + 0.15)
    axes = figure.subplots(len(rows), 4, squeeze=False, width_ratios=(1.5, 1, 1, 1))
    for number_, (line, (title, cell, curves)) in enumerate(zip(axes, rows, strict=True)):
        _lines(line[0], cell, curves, title)
        images = [curves[f"spectrum_{plane}"] for plane in ("xy", "xz", "yz")]
        logs = np.concatenate([np.log10(image[image > 0]) for image in images])
        limits = np.percentile(logs, (DARKEST, BRIGHTEST)) if len(logs) else (0.0, 1.0)
        for axis, plane, image in zip(line[1:], ("xy", "xz", "yz"), images, strict=True):
            _plane(axis, image, curves[f"spectrum_{plane}_reach_per_A"], plane, limits)
        if number_ == 0:
            for letter, axis in zip("abcd", line, strict=True):
                axis.set_title(letter, loc="left", fontweight="bold", fontsize=8)
    return figure


def _lines(axis: Axes, cell: CellResult, curves: Mapping[str, np.ndarray], title: str) -> None:
    top = max(float(curves[f"spectrum_{name}"][1:].max()) for name in COLORS) or 1.0
    for name, color in COLORS.items():
        frequency, amplitude = curves[f"spectrum_{name}_per_A"], curves[f"spectrum_{name}"]
        resolution = float(cell.row.get(f"resolution_{name}_A") or np.nan)
        text = f"{name}: {resolution:.2f} Å" if np.isfinite(resolution) else f"{name}: no peak"
        axis.plot(frequency[1:], amplitude[1:] / top, color=color, linewidth=0.9)
        here = np.interp(1 / resolution, frequency, amplitude) / top if np.isfinite(resolution) else np.nan
        axis.plot(
            [1 / resolution], [here], color=color, marker=MARKERS[name], markeredgecolor=BLACK, markeredgewidth=0.4, label=text
        )
    axis.set(yscale="log", xlim=(0, max(float(curves[f"spectrum_{name}_per_A"][-1]) for name in COLORS)))
    axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.set(xlabel="Spatial frequency (Å⁻¹)", ylabel="Amplitude (rel. units)")
    axis.set_title(title, fontsize=6.5)
    axis.legend(loc="upper right", fontsize=6, handlelength=1.0, labelspacing=0.3, borderaxespad=0.1)


def _plane(axis: Axes, image: np.ndarray, reach: np.ndarray, plane: str, limits: tuple[float, float]) -> None:
    floor = 10.0 ** limits[0]
    right, up = (float(length) for length in reach)
    axis.imshow(
        np.log10(np.maximum(image, floor)), cmap="inferno", vmin=limits[0], vmax=limits[1], origin="lower",
        extent=(-right, right, -up, up), interpolation="nearest",
    )  # fmt: skip
    axis.set(xticks=[], yticks=[])
    axis.set_xlabel(f"$k_{plane[0]}$", labelpad=2)
    axis.set_ylabel(f"$k_{plane[1]}$", labelpad=2)
    axis.spines[:].set_visible(False)
    left, low = -0.93 * right, -0.9 * up
    edge = [withStroke(linewidth=1.5, foreground=BLACK)]  # readable on bright and dark
    axis.plot([left, left + BAR_PER_A], [low, low], color=BLACK, linewidth=3.0, solid_capstyle="butt")
    axis.plot([left, left + BAR_PER_A], [low, low], color="white", linewidth=2.0, solid_capstyle="butt")
    axis.text(
        left + BAR_PER_A / 2, low + 0.04 * up, "1 Å⁻¹", color="white", ha="center", va="bottom", fontsize=6, path_effects=edge
    )
