"""The cells of many runs, pooled by scenario: runs of the same experiment share figures, others are kept apart.

Runs belong together where scenarios agree in all but methods, sweep and repeats. Equal results (equal keys in the store) count
once; where two runs give different results for the same cell, their methods get the names of the runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from benchsuite.columns import Columns
from benchsuite.reports.groups import identity
from benchsuite.results import Run, table_of

MAY_DIFFER = ("reconstructors", "sweep", "repeats", "figures", "published", "limits", "title", "description")


@dataclass(frozen=True)
class Member:
    """A cell of a report: the run it belongs to, by its name in this report, and its place among the pages."""

    run: Run
    run_name: str
    id: str

    @property
    def row(self) -> dict[str, Any]:
        return self.run.records[self.id]["row"]

    @property
    def page(self) -> str:
        """The file of its page, below the folder of pages."""
        return f"{self.run_name}/{self.id}.html"


@dataclass(frozen=True)
class Pool:
    """Cells of one scenario and scale, with what figures and groups ask of a run."""

    name: str
    scale: str
    scenario: Mapping[str, Any]
    sweep_keys: list[str]
    members: tuple[Member, ...]
    table: pd.DataFrame
    columns: Columns

    @property
    def title(self) -> str:
        return str(self.scenario.get("title") or self.name)

    @property
    def without_atoms(self) -> bool:
        scored = self.table[self.table["status"] == "ok"]
        return len(scored) > 0 and ("n_traced" not in scored or bool(scored["n_traced"].isna().all()))


def run_names(runs: Sequence[Run]) -> list[str]:
    """Return a name for each run that is a plain folder name, with a number where two would be equal."""
    names: list[str] = []
    for run in runs:
        plain = "".join(c if c.isalnum() or c in "-_." else "-" for c in run.folder.resolve().name).strip(".-") or "run"
        number, name = 1, plain
        while name in names:
            number += 1
            name = f"{plain}-{number}"
        names.append(name)
    return names


def members_of(runs: Sequence[Run]) -> list[Member]:
    """Return every cell of the runs, in order."""
    return [Member(run, name, cell) for run, name in zip(runs, run_names(runs), strict=True) for cell in run.records]


def columns_of(members: Sequence[Member]) -> Columns:
    """Return the columns that the runs of some cells declare; where two differ, those of the first run."""
    return Columns(column for run in {id(member.run): member.run for member in members}.values() for column in run.columns)


def pools(members: Sequence[Member]) -> list[Pool]:
    """Pool the cells by scenario, in the order in which the scenarios first appear."""
    swept: dict[tuple[str, str], set[str]] = {}
    for member in members:
        swept.setdefault(_variety(member.run), set()).update(member.run.sweep_keys)
    found: dict[str, list[Member]] = {}
    identities = {id(run): _identity(run, swept[_variety(run)]) for run in {id(m.run): m.run for m in members}.values()}
    for member in members:
        found.setdefault(identities[id(member.run)], []).append(member)
    names = [_variety(group[0].run) for group in found.values()]
    made = []
    for (name, scale), group in zip(names, found.values(), strict=True):
        runs = ", ".join(dict.fromkeys(member.run_name for member in group))
        alone = [other for other, _ in names].count(name) == 1
        unlike_scale = names.count((name, scale)) == 1
        made.append(_pool(name if alone else f"{name}, {scale}" if unlike_scale else f"{name} ({runs})", group))
    return made


def _variety(run: Run) -> tuple[str, str]:
    return str(run.scenario["name"]), run.scale


def _identity(run: Run, swept: set[str]) -> str:
    """The scenario as text, without what any run of this name sweeps."""
    kept: Any = {key: value for key, value in run.scenario.items() if key not in MAY_DIFFER}
    for key in swept:
        kept = _without(kept, key.split("."))
    return json.dumps([run.scale, {key: value for key, value in kept.items() if value != {}}], sort_keys=True, default=str)


def _without(tree: Any, path: list[str]) -> Any:
    if not isinstance(tree, Mapping) or path[0] not in tree:
        return tree
    if len(path) == 1:
        return {key: value for key, value in tree.items() if key != path[0]}
    return {key: _without(value, path[1:]) if key == path[0] else value for key, value in tree.items()}


def _pool(name: str, members: Sequence[Member]) -> Pool:
    first = members[0].run
    keys = list(dict.fromkeys(key for member in members for key in member.run.sweep_keys))
    rows, kept = [], []
    results: dict[Any, list[tuple[Member, Any]]] = {}
    for member in members:
        row = {**member.row, **{key: setting(member.run.scenario, member.row, key) for key in keys}}
        place = (str(row["reconstructor"]), row.get("repeat"), *(identity_of(row[key]) for key in keys))
        result = _result(member)
        if any(result == other for _, other in results.get(place, [])):
            continue
        results.setdefault(place, []).append((member, result))
        rows.append(row)
        kept.append(member)
    if any(len(found) > 1 for found in results.values()):
        several = {place[0] for place, found in results.items() if len(found) > 1}
        for row, member in zip(rows, kept, strict=True):
            if str(row["reconstructor"]) in several:
                row["reconstructor"] = f"{row['reconstructor']} ({member.run_name})"
    repeats = max(int(member.run.scenario.get("repeats", 1) or 1) for member in members)
    scenario = {**first.scenario, "repeats": repeats}
    columns = columns_of(members)
    return Pool(name, first.scale, scenario, keys, tuple(kept), table_of(rows, keys, columns), columns)


def _result(member: Member) -> Any:
    """What makes two cells the same: their scores in the store, or how they failed."""
    record = member.run.records[member.id]
    return record["keys"].get("scores") or (
        record["row"].get("status"),
        str(record["row"].get("reason")),
        json.dumps(record["keys"]),
    )


def identity_of(value: Any) -> Any:
    """Return something hashable for the value of a swept key (see `groups.identity`); mappings by their text."""
    return json.dumps(value, sort_keys=True) if isinstance(value, Mapping) else identity(value)


def setting(scenario: Mapping[str, Any], row: Mapping[str, Any], key: str) -> Any:
    """Return the value of a key for a cell: as swept, else as its method's own `experiment:` or the scenario sets it; or nan."""
    method = row["reconstructor"]
    for swept in (key, f"reconstructors.{method}.experiment.{key}"):
        if swept in row:
            return row[swept]
    for entry in scenario.get("reconstructors") or []:
        if isinstance(entry, Mapping) and method in (entry.get("label"), entry.get("use"), str(entry.get("use", "")).upper()):
            experiment = entry.get("experiment") or {}
            if key in experiment:
                return json.dumps(experiment[key]) if isinstance(experiment[key], (list, Mapping)) else experiment[key]
    return fixed(scenario, key)


def fixed(scenario: Mapping[str, Any], key: str) -> Any:
    """Return the value of a dotted key that a run does not sweep; nan where its scenario does not set it."""
    here: Any = scenario
    for part in key.split("."):
        here = here.get(part) if isinstance(here, Mapping) else None
    return np.nan if here is None else json.dumps(here) if isinstance(here, (list, Mapping)) else here


def with_methods(pool: Pool, methods: Sequence[str]) -> Pool:
    """Return the pool with the cells of some methods only."""
    chosen = pool.table["reconstructor"].isin(methods)
    members = tuple(member for member, keep in zip(pool.members, chosen, strict=True) if keep)
    return replace(pool, members=members, table=pool.table[chosen])
