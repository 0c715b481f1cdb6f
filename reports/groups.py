"""The cells of a run, grouped: all repeats of one method at one point of the sweep, with what failed among them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd

from benchsuite.columns import Columns
from benchsuite.reports import labels


class Cells(Protocol):
    """What groups ask of a run, or of the pooled cells of several."""

    @property
    def table(self) -> pd.DataFrame: ...

    @property
    def sweep_keys(self) -> Sequence[str]: ...

    @property
    def columns(self) -> Columns: ...

    @property
    def scenario(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Group:
    """The repeats of one method under one condition.

    rows: their rows of the results table, in order. n_total: how many cells the scenario asks for (a run that was
    interrupted has fewer rows). columns: of the table.
    """

    method: str
    swept: dict[str, Any]
    rows: pd.DataFrame
    n_total: int
    columns: Columns = field(default_factory=Columns)

    @property
    def ok(self) -> pd.DataFrame:
        return self.rows[self.rows["status"] == "ok"]

    @property
    def n_ok(self) -> int:
        return len(self.ok)

    @property
    def failure(self) -> str:
        """What went wrong, as "timeout: longer than 60 s"; empty where every cell is there and ok."""
        bad = self.rows[self.rows["status"] != "ok"]
        texts = Counter(_failure(row) for _, row in bad.iterrows())
        missing = self.n_total - len(self.rows)
        if missing > 0:
            texts["not run"] = missing
        return "; ".join(text if count == 1 else f"{text} ({count} cells)" for text, count in texts.items())

    def stat(self, metric: str) -> tuple[float, float, int]:
        """Return (mean, sample standard deviation, count) of a metric over the cells that are ok and have it."""
        if metric not in self.rows:
            return math.nan, math.nan, 0
        return labels.mean_and_spread(pd.to_numeric(self.ok[metric], errors="coerce"))


def _failure(row: pd.Series) -> str:
    reason = text_of(row.get("reason"))
    return f"{row['status']}: {reason}" if reason else str(row["status"])


def text_of(value: Any) -> str:
    """Return a table entry as text; empty for a missing one."""
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def identity(value: Any) -> Any:
    """Return something hashable that is equal for equal settings (nan equals nan, 1 equals 1.0)."""
    if isinstance(value, (list, tuple)):
        return tuple(identity(item) for item in value)
    if isinstance(value, str) or value is None:
        return value
    number = float(value)
    return "nan" if math.isnan(number) else number


def condition_identity(swept: dict[str, Any]) -> tuple[Any, ...]:
    """Return a hashable name of a point of the sweep."""
    return tuple((key, identity(value)) for key, value in swept.items())


def groups(run: Cells) -> list[Group]:
    """Return the groups of a run in the order in which they first appear."""
    keys = [key for key in run.sweep_keys if key in run.table]
    repeats = int(run.scenario.get("repeats", 1) or 1)
    members: dict[Any, list[int]] = {}
    for position, (_, row) in enumerate(run.table.iterrows()):
        members.setdefault((str(row["reconstructor"]), *(identity(row[key]) for key in keys)), []).append(position)
    found = []
    for (method, *_), positions in members.items():
        rows = run.table.iloc[positions]
        swept = {key: rows.iloc[0][key] for key in keys}
        found.append(Group(method, swept, rows, max(repeats, len(rows)), run.columns))
    return found


def bound_of(members: Iterable[Group], metric: str) -> float:
    """Return the lower bound of a score under one condition, the median over its cells; nan where none has one.

    It is of the series, hence one for all methods of a condition.
    """
    found = [
        pd.to_numeric(one.rows[name], errors="coerce") for one in members if (name := one.columns.bound_of(metric)) in one.rows
    ]
    values = np.concatenate(found) if found else np.empty(0)
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else math.nan


def ratio_of(group: Group, metric: str) -> tuple[float, float, int]:
    """Return (mean, sample standard deviation, count) of a score over its bound, of the cells that are ok and have both."""
    bound = group.columns.bound_of(metric)
    if bound not in group.rows or metric not in group.rows:
        return labels.mean_and_spread([])
    score, least = (pd.to_numeric(group.ok[name], errors="coerce") for name in (metric, bound))
    return labels.mean_and_spread(score / least)


def methods(run: Cells) -> list[str]:
    """Return the labels of the methods in the order in which they first appear."""
    return list(dict.fromkeys(str(label) for label in run.table["reconstructor"]))


def conditions(run: Cells) -> list[dict[str, Any]]:
    """Return the different points of the sweep in the order in which they first appear; [{}] where nothing is swept."""
    found: dict[Any, dict[str, Any]] = {}
    for group in groups(run):
        found.setdefault(condition_identity(group.swept), group.swept)
    return list(found.values())


def failures(run: Cells) -> pd.DataFrame:
    """Return the rows of all cells that gave no result."""
    return run.table[run.table["status"] != "ok"]
