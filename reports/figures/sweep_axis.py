"""Places of swept values on an axis, for the figures of sweeps: logarithmic over decades, "no noise" beyond the last.

Numbers are joined by lines. Categories (particles, tilt ranges) have no in-between: methods stand side by side at each.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from benchsuite.reports.labels import label, number, value
from benchsuite.reports.style import CHARACTER, RC

CROWDED = 6  # ticks; more are thinned out
DENSE = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)  # ticks within less than half a decade
FEW_DECADES = 1.5  # up to which there are ticks within them
BETWEEN_IN = 0.15  # at least between panels
BESIDE_IN = 0.5  # of a panel's width are for the labels of its y axis


@dataclass(frozen=True)
class SweepAxis:
    """Where each value of a swept key stands. places: by `repr`, numbers at log₁₀ or the value itself, others equally spaced."""

    key: str
    places: dict[str, float]
    ticks: list[tuple[float, str]]
    numeric: bool  # whether neighbours may be joined

    def place(self, setting: Any) -> float:
        return self.places[repr(setting)]

    def dress(self, axes: Axes) -> None:
        """Set ticks and label."""
        shown = _thinned(self.ticks)
        axes.set_xticks([at for at, _ in shown], [text for _, text in shown])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(label(self.key))
        room = 0.06 * (max(self.places.values()) - min(self.places.values()) or 1.0) if self.numeric else 0.5
        low, high = min(self.places.values()) - room, max(self.places.values()) + room
        axes.set_xlim(low, high)
        if not stand_apart(axes, [(at - low) / (high - low) for at, _ in shown], [text for _, text in shown]):
            axes.tick_params(axis="x", labelrotation=35)
            for text in axes.get_xticklabels():
                text.set(ha="right", rotation_mode="anchor")


def sweep_axis(key: str, settings: Sequence[Any]) -> SweepAxis:
    """Return the axis of the values of a key: numbers to scale, infinity one step beyond the last, others side by side."""
    items = list({repr(item): item for item in settings}.values())
    if not are_numbers(items):
        places = {repr(item): float(i) for i, item in enumerate(items)}
        return SweepAxis(key, places, [(float(i), value(key, item)) for i, item in enumerate(items)], False)
    items.sort()
    finite = [float(item) for item in items if math.isfinite(item)]
    log = len(finite) > 1 and finite[0] > 0 and finite[-1] >= 10 * finite[0]
    at = {repr(item): (math.log10(item) if log else float(item)) for item in items if math.isfinite(item)}
    if len(finite) < len(items):
        known = sorted(at.values())
        step = (known[-1] - known[0]) / max(1, len(known) - 1) if len(known) > 1 else 1.0
        for item in items:
            if math.isinf(item):
                at[repr(item)] = (known[-1] + step if item > 0 else known[0] - step) if known else 0.0
    ticks = [(at[repr(item)], value(key, item)) for item in items]
    return SweepAxis(key, at, ticks, True)


def are_numbers(settings: Iterable[Any]) -> bool:
    """Whether the values of a key stand for amounts: numbers, but not True and False."""
    return all(isinstance(item, (int, float, np.number)) and not isinstance(item, bool) for item in settings)


def dodged(methods: Sequence[str]) -> dict[str, float]:
    """Return by how much each method stands beside a category, whose neighbours are 1 apart."""
    step = min(0.12, 0.7 / max(1, len(methods) - 1))
    return {method: step * (i - (len(methods) - 1) / 2) for i, method in enumerate(methods)}


def draw_spread(axes: Axes, x: np.ndarray, mean: np.ndarray, spread: np.ndarray, color: str, joined: bool) -> None:
    """Draw mean ± spread as a band where the means are joined, else as bars; nothing where there is no spread."""
    if not np.isfinite(spread).any():
        return
    if joined:
        axes.fill_between(x, mean - spread, mean + spread, color=color, alpha=0.18, linewidth=0)
    else:
        axes.errorbar(x, mean, spread, fmt="none", ecolor=color, elinewidth=0.8, capsize=1.5, capthick=0.8)


def _thinned(ticks: list[tuple[float, str]]) -> list[tuple[float, str]]:
    if len(ticks) <= CROWDED:
        return ticks
    return [ticks[i] for i in np.unique(np.linspace(0, len(ticks) - 1, CROWDED).round().astype(int))]


def log_if_decades(axes: Axes, which: str, values: np.ndarray) -> None:
    """Make an axis logarithmic, with plain numbers, where positive values span more than a decade."""
    good = values[np.isfinite(values)]
    if len(good) and good.min() > 0 and good.max() > 10 * good.min():
        log_axis(axes, which, float(good.min()), float(good.max()))


def log_axis(axes: Axes, which: str, low: float, high: float) -> None:
    """Make an axis logarithmic, with plain numbers, for values between two positive ones.

    Along x there are as many ticks as stand apart, along y 1, 2 and 5 of each decade up to two and a half of them.
    """
    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**{f"{which}scale": "log"})
    wide = high > 300 * low
    axis.set_major_locator(LogLocator(subs=_subs(axes, low, high) if which == "x" else (1.0,) if wide else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda tick, _: number(tick)))
    axis.set_minor_formatter(NullFormatter())


def _subs(axes: Axes, low: float, high: float) -> tuple[float, ...]:
    """Return the numbers of each decade that have ticks between `low` and `high`, and as far beyond as the axes' margin.

    Decades alone, but where there are less than one and a half of them, or fewer than two ticks, as many as have room.
    """
    span = math.log10(high / low)
    margin = axes.get_xmargin() * span
    first, last = math.log10(low) - margin, math.log10(high) + margin
    of_subs = {}
    for subs in (DENSE, (1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
        ticks = [n + math.log10(sub) for n in range(math.floor(first), math.ceil(last)) for sub in subs]
        of_subs[subs] = [tick for tick in ticks if first <= tick <= last]
    for subs, ticks in of_subs.items():
        needed = {DENSE: span < 0.5, (1.0, 2.0, 5.0): span < FEW_DECADES}.get(subs, len(of_subs[(1.0,)]) < 2)
        places = [(tick - first) / (last - first) for tick in ticks]
        if needed and len(ticks) > 1 and stand_apart(axes, places, [number(10**tick) for tick in ticks]):
            return subs
    return (1.0,)


def stand_apart(axes: Axes, places: Sequence[float], texts: Sequence[str]) -> bool:
    """Whether tick labels at these fractions of the axes' width stay a character apart, also from those of the next panel."""
    character = CHARACTER * RC["xtick.labelsize"] / 72
    order = [*np.argsort(places), int(np.argmin(places))]
    middles, half = np.array(places)[order], character / 2 * np.array([len(text) for text in texts])[order]
    inches = _width_in(axes) * np.diff([*middles[:-1], 1 + middles[-1]])
    inches[-1] += BETWEEN_IN
    return bool(np.all(inches > half[1:] + half[:-1] + character))


def _width_in(axes: Axes) -> float:
    """Return the width of axes in inches; before a layout engine has placed them, about."""
    figure, grid = axes.get_figure(root=True), axes.get_subplotspec()
    assert figure is not None
    width = figure.get_figwidth()
    if figure.get_layout_engine() is None or grid is None:
        return width * axes.get_position().width
    return width / grid.get_gridspec().ncols - BESIDE_IN
