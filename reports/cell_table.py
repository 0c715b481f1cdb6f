"""The table of all cells as data for assets/cell_table.js: a script, since browsers read no other data from a disk."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from benchsuite.columns import Column
from benchsuite.reports.groups import text_of
from benchsuite.reports.labels import column_of, labels, value
from benchsuite.reports.pool import Member, columns_of, setting
from benchsuite.results import table_of

CHOICES = ("scenario", "scale", "run", "reconstructor", "status", "repeat", "device", "engine")
MOST_CHOICES = 40
FIRST = ("cell", "reconstructor", "status", "reason")  # shown before a reader chooses, beside scores and what is swept


def table(members: Sequence[Member]) -> pd.DataFrame:
    """Return one row per cell of all runs, with the name of its run; what other runs sweep has the value that its own run fixes."""
    keys = sweep_keys(members)
    found = table_of(
        [{**m.row, **{key: setting(m.run.scenario, m.row, key) for key in keys}} for m in members], keys, columns_of(members)
    )
    found.insert(1, "run", [member.run_name for member in members])
    return found


def sweep_keys(members: Sequence[Member]) -> list[str]:
    """Return the keys that any of the runs sweeps, in the order in which they first appear."""
    runs = {id(member.run): member.run for member in members}
    return list(dict.fromkeys(key for run in runs.values() for key in run.sweep_keys))


def script(members: Sequence[Member], pages: str) -> str:
    """Return the script that sets CELLS = {columns, rows}. `pages`: the folder of the pages as seen from the table's page."""
    frame = table(members)
    frame["page"] = [f"{pages}/{member.page}" for member in members]
    keys = sweep_keys(members)
    names = dict(zip(keys, labels(keys), strict=True))
    lead = ["cell", "run", "scenario", "reconstructor", "status", *keys]
    kept = [str(name) for name in frame if frame[name].notna().any() or name in ("cell", "status", "reason", "page")]
    declared = columns_of(members)
    others = declared.with_bounds(name for name in declared.ordered(kept) if name not in lead)
    order = [*(name for name in lead if name in kept), *others]
    order.sort(key=lambda name: name in ("reason", "page"))
    columns = [_column(column_of(declared, name), frame[name], names.get(name), name in keys) for name in order]
    rows = [[_plain(item) for item in row] for row in frame[order].itertuples(index=False)]
    return f"window.CELLS={_javascript({'columns': columns, 'rows': rows})};\n"


def _column(declared: Column, found: pd.Series, heading: str | None, swept: bool) -> dict[str, Any]:
    name, values = declared.name, [_plain(item) for item in found]
    present = [item for item in values if item is not None]
    numeric = bool(present) and all(isinstance(item, (int, float)) for item in present)
    different = list(dict.fromkeys(present))
    choice = name in CHOICES or (swept and len(different) <= MOST_CHOICES)
    column: dict[str, Any] = {
        "key": name,
        "label": heading or declared.heading,
        "kind": "number" if numeric and name not in ("cell", "run", "reconstructor") else "text",
        "filter": "choice" if choice else "range" if numeric and declared.role != "fact" else None,
        "shown": _first_shown(declared, swept, different),
    }
    if swept:
        column["texts"] = [[item, value(name, item)] for item in different]
    return column


def _first_shown(column: Column, swept: bool, different: Sequence[Any]) -> bool:
    if column.name in ("run", "scenario"):
        return len(different) > 1
    return column.name != "page" and (swept or column.name in FIRST or column.role in ("headline", "score", "cost"))


def _plain(item: Any) -> Any:
    """Return a table entry as JSON has it: None for what is missing; infinity stays, which JavaScript knows."""
    if item is None or (isinstance(item, float) and math.isnan(item)):
        return None
    if hasattr(item, "item"):
        return _plain(item.item())
    return item if isinstance(item, (int, float, str)) else text_of(item) if not isinstance(item, Mapping) else json.dumps(item)


def _javascript(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")).replace("</", "<\\/")
