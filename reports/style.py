"""How every figure looks: fonts, sizes, colours and markers, fit for print and safe for the colour-blind.

Colours: M. Okabe and K. Ito, "Color Universal Design" (2008). Sizes: a double column of 180 mm, type of 6 to 8 points.
Figures are made without pyplot, so that nothing global is left behind.
"""

from __future__ import annotations

import functools
import io
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchsuite.reports.groups import Cells, methods

P = ParamSpec("P")
T = TypeVar("T")
Dashes = str | tuple[int, tuple[int, ...]]  # as matplotlib has them: a name, or (offset, lengths of dashes and gaps)

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
BROWN, GREY, LIGHT_GREY = "#8C510A", "#767676", "#C9C9C9"
WIDTH_IN = 180 / 25.4
CHARACTER = 0.6  # mean width of a character as a fraction of the type's size
LEGEND_HANDLE = 4.8  # handle, its distance to the label and the distance between columns, likewise


@dataclass(frozen=True)
class MethodStyle:
    """How a method is drawn in every figure."""

    color: str
    marker: str
    linestyle: Dashes


METHOD_STYLES = (
    MethodStyle(BLUE, "o", "-"),
    MethodStyle(VERMILLION, "s", "--"),
    MethodStyle(GREEN, "^", "-."),
    MethodStyle(PURPLE, "D", ":"),
    MethodStyle(BLACK, "o", "-"),
    MethodStyle(ORANGE, "v", "--"),
    MethodStyle(SKY, "P", "-"),
    MethodStyle(BROWN, "X", "-."),
    MethodStyle(GREY, "*", "--"),
)
RC: Any = {
    "figure.figsize": (WIDTH_IN, 3.0),
    "axes.prop_cycle": cycler(color=[style.color for style in METHOD_STYLES]),
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib: the same figure on every machine
    "mathtext.fontset": "dejavusans",
    "font.size": 7.0,
    "axes.titlesize": 7.0,
    "axes.labelsize": 7.0,
    "xtick.labelsize": 6.0,
    "ytick.labelsize": 6.0,
    "legend.fontsize": 6.5,
    "figure.titlesize": 8.0,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.0,
    "grid.linewidth": 0.4,
    "grid.color": "#DDDDDD",
    "legend.frameon": False,
    "hatch.linewidth": 0.5,
    "figure.dpi": 100,
    "savefig.dpi": 300,
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,  # TrueType, not Type 3: journals ask for embedded, editable text
    "ps.fonttype": 42,
    "svg.fonttype": "none",
}
_ELEMENTS = {"Cu": SKY, "Au": ORANGE, "Ba": GREEN, "O": PURPLE, "Fe": VERMILLION, "Pt": ORANGE, "Ni": SKY, "Pd": YELLOW}
_MARKERS = "osD^vPX*<>hp"
_LINES: tuple[Dashes, ...] = (
    "-", "--", "-.", ":", (0, (9, 2)), (0, (6, 1, 1, 1, 1, 1)), (0, (2, 2)), (0, (7, 2, 2, 2)), (0, (1, 4)),
)  # fmt: skip
BOUND_LINE = MethodStyle(BLACK, "", "--")  # of the lower bound of a score


def method_styles(methods: Sequence[str]) -> dict[str, MethodStyle]:
    """Return a style per method, by their order.

    No two of up to seventy have the same colour and marker, or the same colour and line, and none has the line of `BOUND_LINE`.
    """
    styles: dict[str, MethodStyle] = {}
    for index, method in enumerate(dict.fromkeys(methods)):
        spare = index - len(METHOD_STYLES)
        styles[method] = METHOD_STYLES[index] if spare < 0 else _unlike(styles, METHOD_STYLES[spare % len(METHOD_STYLES)].color)
    return styles


def styles_of(run: Cells) -> dict[str, MethodStyle]:
    """Return the styles of the methods of a run by their order in its scenario: a method that has not run yet keeps its style."""
    listed = [str(entry["label"]) for entry in run.scenario.get("reconstructors") or () if "label" in entry]
    present = methods(run)
    styles = method_styles([*listed, *present])
    return {method: styles[method] for method in present}


def _unlike(styles: dict[str, MethodStyle], color: str) -> MethodStyle:
    """Return a style of this colour whose marker and line no other of this colour has, as long as there are any."""
    others = [BOUND_LINE, *styles.values()]
    markers = {style.marker for style in others if style.color == color}
    lines = {style.linestyle for style in others if style.color == color}
    marker = min(_MARKERS, key=lambda mark: (mark in markers, sum(style.marker == mark for style in others)))
    return MethodStyle(color, marker, next((line for line in _LINES if line not in lines), _LINES[len(styles) % len(_LINES)]))


def element_colors(elements: Sequence[str]) -> dict[str, str]:
    """Return a colour per element, no two alike among up to seven: fixed for the usual ones, free ones for the others."""
    colors: dict[str, str] = {}
    palette = [SKY, ORANGE, GREEN, PURPLE, VERMILLION, YELLOW, BLUE]
    for element in dict.fromkeys(elements):
        wanted = _ELEMENTS.get(element)
        if wanted is None or wanted in colors.values():
            wanted = next((color for color in palette if color not in colors.values()), GREY)
        colors[element] = wanted
    return colors


def plain(text: object, limit: int = 60) -> str:
    """Return text that matplotlib draws literally: no mathematics from `$`, no control characters, at most `limit` long."""
    characters = (c if c.isprintable() or c == "\N{NO-BREAK SPACE}" else " " for c in str(text))
    clean = " ".join(word for word in "".join(characters).split(" ") if word)
    if len(clean) > limit:
        clean = clean[: limit - 1].rstrip() + "…"
    clean = clean.replace("$", r"\$")
    return f" {clean}" if clean.startswith("_") else clean  # a leading underscore hides a legend entry


def wrapped(text: object, width: int, limit: int = 160) -> str:
    """Return `plain` text broken into lines of at most `width` characters."""
    return "\n".join(textwrap.wrap(plain(text, limit), width)) or ""


def styled(function: Callable[P, T]) -> Callable[P, T]:
    """Run a drawing function under the house style and restore the settings of the process."""

    @functools.wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> T:
        with mpl.rc_context({**mpl.rcParamsDefault, **RC, "backend": mpl.rcParams["backend"]}):
            return function(*args, **kwargs)

    return inside


def new_figure(width_in: float, height_in: float) -> Figure:
    """Return an empty figure whose layout makes room for labels and for legends outside the panels."""
    return Figure(figsize=(width_in, height_in), layout="constrained")


@styled
def png(figure: Figure, dpi: int = 300) -> bytes:
    """Return the figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


@styled
def pdf(figure: Figure) -> bytes:
    """Return the figure as PDF with embedded TrueType fonts; equal figures give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    return buffer.getvalue()


def legend_columns(width_in: float, labels: Sequence[str], most: int = 6) -> int:
    """Return into how many columns of a legend as wide as a figure these labels go: at least one, at most `most`."""
    inches = RC["legend.fontsize"] / 72 * np.array([LEGEND_HANDLE + CHARACTER * len(label) for label in labels])
    for rows in range(-(-len(labels) // most), len(labels)):
        columns = -(-len(labels) // rows)
        if sum(column.max() for column in np.array_split(inches, columns)) < width_in:  # as matplotlib fills them
            return columns
    return 1


def say_instead(axes: Axes, text: str, columns: int = 1) -> None:
    """Replace a panel's content by a sentence (why there is nothing to draw)."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(visible=True, color=LIGHT_GREY, linestyle=(0, (4, 3)))
    axes.set_facecolor("#F7F7F7")
    width = {1: 70, 2: 34, 3: 24}.get(columns, 19)
    axes.text(0.5, 0.5, wrapped(text, width, 130), transform=axes.transAxes, ha="center", va="center", fontsize=6, color="#8A3A00")
