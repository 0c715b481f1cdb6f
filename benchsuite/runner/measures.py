"""The columns of the metrics that a scenario asks for, beside those that are built in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from benchsuite import catalogue, registry
from benchsuite.runner.stages.metric import VALUES, MetricStage
from benchsuite.store import Store


def with_metrics(
    row: dict[str, Any], metrics: Sequence[MetricStage], store: Store
) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
    """Return the row of a cell with the values of its metrics, and {column: {metric, title, unit, direction}} of what was added.

    The row has status error where a metric uses the name of another column, or its stored values are gone.
    """
    added: dict[str, dict[str, str]] = {}
    for stage in metrics:
        name, folder = stage.spec.name, store.open(stage.key)
        if folder is None:
            reason = f"the stored values of metric {name} are gone or damaged; run the same command again"
            return {**row, "status": "error", "reason": reason}, added
        values = json.loads((folder / VALUES).read_text(encoding="utf-8"))
        taken = sorted(column for column in values if column in row or catalogue.is_built_in(column))
        if taken:
            owner = f"metric {added[taken[0]]['metric']}" if taken[0] in added else "the table itself"
            reason = f"metric {name}: the column {taken[0]!r} belongs to {owner}; give it another name"
            return {**row, "status": "error", "reason": reason}, added
        row = {**row, **values}
        added |= {column: _about(name) for column in values}
    return row, added


def _about(name: str) -> dict[str, str]:
    cls = registry.metric(name)
    return {"metric": name, "title": cls.title, "unit": cls.unit, "direction": cls.direction}
