"""The metrics of a scenario: those of every run, and those that it asks for (`analysis.metrics`), with their parameters."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchsuite import registry
from benchsuite.columns import Columns
from benchsuite.contract.metric import AnyMetric
from benchsuite.errors import BenchsuiteError, Problem
from benchsuite.params import Params
from benchsuite.results import COSTS, LEADING, SETTING
from benchsuite.scenario.expand import named
from benchsuite.scenario.positions import Document, KeyPath
from benchsuite.scenario.schema import Analysis
from benchsuite.scenario.validation import registered, validate

METRICS = "metrics"


@dataclass(frozen=True)
class MetricSpec:
    """A metric by its registered name."""

    name: str
    params: Params


def normalised_analysis(raw: Any) -> Any:
    """Return the section with every metric as {use, **params}; anything that is no such section unchanged."""
    if not isinstance(raw, dict) or not isinstance(raw.get(METRICS), list):
        return raw
    return {**raw, METRICS: [named(entry) for entry in raw[METRICS]]}


def metrics_asked_for(analysis: Analysis) -> tuple[MetricSpec, ...]:
    """Return the metrics of a section that `check_metrics` found nothing wrong with."""
    return tuple(
        MetricSpec(entry["use"], registry.metric(entry["use"]).Params.model_validate(_params(entry)))
        for entry in map(named, analysis.metrics)
    )


def default_metrics(analysis: Analysis) -> tuple[MetricSpec, ...]:
    """Return the metrics of every run, without those that a scenario asks for with parameters of its own."""
    asked = {spec.name for spec in metrics_asked_for(analysis)}
    return tuple(MetricSpec(name, cls.Params()) for name, cls in ordered_metrics() if cls.default and name not in asked)


def ordered_metrics() -> list[tuple[str, type[AnyMetric]]]:
    """Return (name, class) of every registered metric, in the order of their columns."""
    found = [(name, registry.metric(name)) for name in registry.names("metric")]
    return sorted(found, key=lambda one: (one[1].order, one[0]))


def columns_of(sections: Iterable[Analysis]) -> Columns:
    """Return the columns that metrics fill in a run with these sections. Raises BenchsuiteError where two would share a name."""
    different = {id(analysis): analysis for analysis in sections}.values()
    specs = {spec.name for analysis in different for spec in (*default_metrics(analysis), *metrics_asked_for(analysis))}
    chosen = [(name, cls) for name, cls in ordered_metrics() if name in specs]
    taken = [("the table itself", column) for column in (*LEADING, *COSTS, *SETTING)]
    declared = [(f"metric {name}", column) for name, cls in chosen for column in cls.declared()]
    for (owner, first), (name, second) in itertools.combinations([*taken, *sorted(declared, key=_plugins_last(chosen))], 2):
        if owner != name and first.clashes(second):
            raise BenchsuiteError(f"{name}: the column {second.name!r} belongs to {owner}; give it another name")
    return Columns(column for _, column in declared)


def _plugins_last(chosen: list[tuple[str, type[AnyMetric]]]) -> Any:
    """Of two that share a name, the one that is measured in every run keeps it."""
    default = {f"metric {name}": cls.default for name, cls in chosen}
    return lambda one: not default[one[0]]


def check_metrics(document: Document, problems: list[Problem]) -> None:
    """Add a problem for every metric that is unknown, asked for twice, or given wrong parameters."""
    analysis = document.value.get("analysis")
    entries = analysis.get(METRICS) if isinstance(analysis, dict) else None
    names = set[str]()
    for number, entry in enumerate(map(named, entries) if isinstance(entries, list) else ()):
        path: KeyPath = ("analysis", METRICS, number)
        if (cls := registered("metric", entry, document, path, problems)) is None:
            continue
        if (name := entry["use"]) in names:
            problems.append(document.problem(path, f"metric {name!r} is asked for twice"))
        names.add(name)
        validate(cls.Params, _params(entry), document, path, problems)


def _params(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "use"}
