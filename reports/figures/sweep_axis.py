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

from reports.labels import label, number, value

CROWDED = 6  # ticks; more are thinned out or turned


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
        if sum(len(text) for _, text in shown) > 20:
            axes.tick_params(axis="x", labelrotation=35)
            for text in axes.get_xticklabels():
                text.set(ha="right", rotation_mode="anchor")
        axes.set_xlabel(label(self.key))
        room = 0.06 * (max(self.places.values()) - min(self.places.values()) or 1.0) if self.numeric else 0.5
        axes.set_xlim(min(self.places.values()) - room, max(self.places.values()) + room)


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
    if not len(good) or good.min() <= 0 or good.max() <= 10 * good.min():
        return
    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**{f"{which}scale": "log"})
    wide = good.max() > 300 * good.min()
    axis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda tick, _: number(tick)))
    axis.set_minor_formatter(NullFormatter())
