"""The scores against each swept value, with the spread over repeats (after Lee et al. 2023, Fig. 9)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchsuite.results import Run
from reports.groups import Group, conditions, groups, methods
from reports.labels import label, mean_and_spread, name, value
from reports.style import WIDTH_IN, method_styles, new_figure, plain, styled, wrapped

METRICS = ("rmsd_pm", "tracing_error_pct", "classification_rate_pct")


@styled
def sweep_lines(run: Run) -> dict[str, Figure]:
    """One figure per swept key (the others held at each of their values); without a sweep, the methods side by side."""
    keys = [key for key in run.sweep_keys if len({str(point.get(key)) for point in conditions(run)}) > 1]
    if not keys:
        return {"sweep_lines": _dots(run)}
    last = [key.rsplit(".", 1)[-1] for key in keys]
    slugs = [short if last.count(short) == 1 else key.replace(".", "_") for key, short in zip(keys, last, strict=True)]
    return {f"sweep_lines_{slug}": _lines(run, key) for key, slug in zip(keys, slugs, strict=True)}


def _lines(run: Run, key: str) -> Figure:
    everything, styles = groups(run), method_styles(methods(run))
    others = [other for other in run.sweep_keys if other != key]
    rest = list(dict.fromkeys(tuple(str(value(o, group.swept[o])) for o in others) for group in everything))
    order = _ordered({repr(group.swept[key]): group.swept[key] for group in everything})
    places, ticks = _places(order)
    figure = new_figure(WIDTH_IN, 1.75 * len(rest) + 0.6)
    axes = figure.subplots(len(rest), len(METRICS), squeeze=False)
    for row, combination in zip(axes, rest, strict=True):
        for axis, metric in zip(row, METRICS, strict=True):
            for method, style in styles.items():
                chosen = [
                    group
                    for group in everything
                    if group.method == method and tuple(str(value(o, group.swept[o])) for o in others) == combination
                ]
                _line(axis, chosen, key, places, metric, style, method)
            axis.set_xticks(list(places.values()), [wrapped(tick, 14) for tick in ticks])
            axis.set(xlabel=label(key), ylabel=label(metric))
            axis.margins(x=0.12)
            axis.grid(axis="y")
            if combination:
                held = ", ".join(f"{name(o)} {text}" for o, text in zip(others, combination, strict=True))
                axis.set_title(wrapped(held, 40))
    handles, texts = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=max(1, min(6, len(texts))))
    return figure


def _line(axis: Axes, chosen: list[Group], key: str, places: dict[str, float], metric: str, style: Any, method: str) -> None:
    points = sorted((places[repr(group.swept[key])], *mean_and_spread(group.rows[metric])[:2]) for group in chosen)
    if not points:
        return
    x, mean, spread = np.array(points, dtype=np.float64).T
    axis.plot(x, mean, color=style.color, marker=style.marker, linestyle=style.linestyle, label=plain(method))
    if np.isfinite(spread).any():
        axis.fill_between(x, mean - spread, mean + spread, color=style.color, alpha=0.2, linewidth=0)


def _ordered(values: dict[str, Any]) -> list[Any]:
    items = list(values.values())
    numeric = all(isinstance(item, (int, float, np.number)) for item in items)
    return sorted(items) if numeric else items


def _places(order: list[Any]) -> tuple[dict[str, float], list[str]]:
    """Return equally spaced places for the values: doses span decades and end in "no noise", categories have no scale."""
    ticks = ["no noise" if isinstance(item, float) and math.isinf(item) else str(value("", item)) for item in order]
    return {repr(item): float(i) for i, item in enumerate(order)}, ticks


def _dots(run: Run) -> Figure:
    everything = groups(run)
    styles = method_styles(methods(run))
    figure = new_figure(WIDTH_IN, 0.28 * len(everything) + 1.1)
    axes = figure.subplots(1, len(METRICS), sharey=True, squeeze=False)[0]
    for axis, metric in zip(axes, METRICS, strict=True):
        for place, group in enumerate(everything):
            mean, spread, _ = mean_and_spread(group.rows[metric])
            style = styles[group.method]
            error = None if math.isnan(spread) else spread
            axis.errorbar(mean, -place, xerr=error, color=style.color, marker=style.marker, linestyle="none", capsize=2)
        axis.set_yticks([-place for place in range(len(everything))], [plain(group.method) for group in everything])
        axis.set_ylim(-len(everything) + 0.5, 0.5)
        axis.set_xlabel(label(metric))
        axis.grid(axis="x")
        axis.margins(x=0.15)
    return figure
