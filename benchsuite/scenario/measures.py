"""The metrics that a scenario asks for beyond the built-in scores (`analysis.metrics`), validated against their parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchsuite import registry
from benchsuite.errors import BenchsuiteError, Problem
from benchsuite.params import Params
from benchsuite.scenario.expand import named
from benchsuite.scenario.positions import Document, KeyPath, dotted
from benchsuite.scenario.schema import Analysis
from benchsuite.scenario.validation import validate

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


def metrics_of(analysis: Analysis) -> tuple[MetricSpec, ...]:
    """Return the metrics of a section that `check_metrics` found nothing wrong with."""
    return tuple(
        MetricSpec(entry["use"], registry.metric(entry["use"]).Params.model_validate(_own(entry)))
        for entry in map(named, analysis.metrics)
    )


def check_metrics(document: Document, problems: list[Problem]) -> None:
    """Add a problem for every metric that is unknown, asked for twice, or given wrong parameters."""
    analysis = document.value.get("analysis")
    entries = analysis.get(METRICS) if isinstance(analysis, dict) else None
    seen = set[str]()
    for number, entry in enumerate(map(named, entries) if isinstance(entries, list) else ()):
        path: KeyPath = ("analysis", METRICS, number)
        if not isinstance(entry, dict) or not isinstance(entry.get("use"), str):
            problems.append(Problem(document.place(path), dotted(path), f"{entry!r} must be a name, or name: {{...}}"))
            continue
        name = entry["use"]
        if name in seen:
            problems.append(Problem(document.place(path), dotted(path), f"metric {name!r} is asked for twice"))
        seen.add(name)
        try:
            cls = registry.metric(name)
        except BenchsuiteError as error:
            hint = "; built-in scores need not be asked for" if not registry.names("metric") else ""
            problems.append(Problem(document.place(path), dotted(path), f"{error}{hint}"))
            continue
        validate(cls.Params, _own(entry), document, path, problems)


def _own(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "use"}
