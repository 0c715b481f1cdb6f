"""The tables of a report: summary, published against measured, failures; each as CSV, Markdown and HTML.

A mean is never shown without how many cells it stands on, and one over fewer than all is marked with *.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from benchsuite.reports.figures.size import lines
from benchsuite.reports.groups import Group, bound_of, failures, groups, methods, ratio_of, text_of
from benchsuite.reports.labels import column_of, condition, heading, label, labels, number, plus_minus, value
from benchsuite.results import Run

TOLERANCE_PM = 10.0  # nLOT asks how many atoms are placed so well
SHARED_MODEL = (
    "Simulation and reconstruction share the forward model {module}{methods}: errors of that model do not show in the scores."
)


@dataclass(frozen=True)
class Table:
    """Text cells under headings. `note` stands below it."""

    slug: str
    title: str
    columns: list[str]
    rows: list[list[str]]
    note: str = ""

    def csv(self) -> str:
        return pd.DataFrame(self.rows, columns=self.columns).to_csv(index=False)

    def markdown(self) -> str:
        def line(cells: list[str]) -> str:
            return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

        rule = "|" + "---|" * len(self.columns)
        text = "\n".join([line(self.columns), rule, *(line(row) for row in self.rows)])
        return f"{text}\n\n{self.note}\n" if self.note else f"{text}\n"


def tables(run: Run) -> list[Table]:
    """Return every table that the run has something for."""
    found = [summary(run), published(run), sizes(run), confusion(run), remarks(run), failed(run)]
    kept = [table for table in found if table is not None and table.rows]
    engines = set(run.table["engine"]) if "engine" in run.table else set()
    caveats = [text for name, text in run.caveats.items() if name in engines]
    return [replace(table, note=" ".join(filter(None, (table.note, *caveats)))) for table in kept]


def shared_forward_models(shared: Mapping[str, str], present: Sequence[str]) -> list[str]:
    """Return a sentence for each forward model that data were simulated by and that methods among those present compute with."""
    of_module: dict[str, list[str]] = {}
    for method in present:
        if method in shared:
            of_module.setdefault(shared[method], []).append(method)
    return [SHARED_MODEL.format(module=module, methods=f" for {', '.join(names)}") for module, names in of_module.items()]


def summary(run: Run) -> Table:
    """Method × swept values: mean ± sample standard deviation over repeats, with n_ok/n_total."""
    columns = [_Shown(name) for name in _in_summary(run)]
    for place, column in reversed(list(enumerate(columns))):
        if (bounded := run.columns.get(column.name)) is not None and bounded.bound_of and bounded.bound_of[0] in run.table:
            columns.insert(place + 1, _Shown(bounded.bound_of[0], ratio=True))
    rows = []
    for group in groups(run):
        swept = [value(key, group.swept[key]) for key in group.swept]
        ok = int((group.rows["status"] == "ok").sum())
        rows.append([group.method, *swept, f"{ok}/{group.n_total}", *(_marked(group, one.name, one.ratio) for one in columns)])
    headings = [
        f"{column_of(run.columns, one.name).title} / bound" if one.ratio else heading(run.columns, one.name) for one in columns
    ]
    note = "Mean ± sample standard deviation over repeats. * fewer cells than planned have this score: see the failures."
    shared = shared_forward_models(run.shared_forward_models, methods(run))
    return Table("summary", "Summary", ["Method", *labels(run.sweep_keys), "Cells ok", *headings], rows, " ".join((note, *shared)))


@dataclass(frozen=True)
class _Shown:
    """A column of the summary: a score, or its ratio to its bound."""

    name: str
    ratio: bool = False


def _in_summary(run: Run) -> list[str]:
    """Return the columns with values that the summary shows, bounds beside what they bound."""
    figures = run.scenario.get("figures") or ()
    names = [str(name) for name in run.table if run.table[name].notna().any()]
    shown = [
        name
        for name in run.columns.ordered(names)
        if (column := run.columns.get(name)) is not None
        and (column.role in ("headline", "score", "cost") or (column.figure and column.figure in figures))
    ]
    return run.columns.with_bounds(shown)


def _marked(group: Group, metric: str, ratio: bool = False) -> str:
    """Return mean ± spread, with * where fewer cells than planned have this score; a bound alone: it is of the series."""
    column = group.columns.get(metric)
    if column is not None and column.bound_of and not ratio:
        return number(bound_of([group], column.bound_of[0]))
    mean, spread, count = ratio_of(group, metric) if ratio else group.stat(metric)
    return plus_minus(mean, spread) + ("*" if 0 < count < group.n_total else "")


def published(run: Run) -> Table | None:
    """The paper's numbers beside ours, row by row; a row without a matching cell says so."""
    rows = []
    for entry in run.published:
        where = dict(entry.get("where") or {})
        fitting = [group for group in groups(run) if _fits(run, group, where)]
        setting = ", ".join(f"{label(k) if k != 'reconstructor' else 'Method'}: {value(k, v)}" for k, v in where.items())
        headline = [column.name for column in run.columns if column.role == "headline"]
        scores = {**{metric: entry.get(metric) for metric in headline}, **(entry.get("scores") or {})}
        for metric, theirs in scores.items():
            if theirs is None:
                continue
            head = [setting, str(entry.get("source", "")), heading(run.columns, metric), number(float(theirs))]
            rows += [[*head, _measured(group, metric, len(fitting) > 1)] for group in fitting]
            if not fitting:
                rows.append([*head, "no such cell in this run"])
    note = f"Published values belong to the paper's own scale; measured values to this run's scale: {run.scale}."
    columns = ["Setting", "Source", "Score", "Published (paper scale)", f"Measured ({run.scale} scale)"]
    return Table("published", "Published and measured", columns, rows, note) if rows else None


def _measured(group: Group, metric: str, several: bool) -> str:
    """Return the score, or why there is none; with method and setting where one published value fits several groups."""
    text = _marked(group, metric) if group.stat(metric)[2] else f"no result ({group.failure or 'not scored'})"
    if math.isfinite(bound := bound_of([group], metric)):
        text = f"{text} (bound {number(bound)})"
    return f"{text} ({', '.join(part for part in (group.method, condition(group.swept)) if part)})" if several else text


def sizes(run: Run) -> Table | None:
    """The straight lines of RMSD against the number of atoms."""
    rows = [
        [line.method, str(len(line.atoms)), number(line.slope), number(line.intercept_pm), number(1e6 * max(0.0, reach))]
        for line in lines(run)
        for reach in [(TOLERANCE_PM - line.intercept_pm) / line.slope if line.slope > 0 else math.inf]
    ]
    columns = ["Method", "Sizes", "Slope (pm per million atoms)", "RMSD at no atoms (pm)", f"Atoms at {TOLERANCE_PM:g} pm"]
    return Table("sizes", "RMSD against the number of atoms", columns, rows) if rows else None


def confusion(run: Run) -> Table | None:
    """Confusion matrix: true against traced elements, added up over the repeats of each method and setting."""
    totals: list[tuple[list[str], dict[str, dict[str, int]]]] = []
    for group in groups(run):
        added: dict[str, dict[str, int]] = {}
        for cell_id in group.ok["cell"]:
            for true, row in run.cell(str(cell_id)).confusion().items():
                for taken, count in row.items():
                    counts = added.setdefault(true, {})
                    counts[taken] = counts.get(taken, 0) + count
        totals.append(([group.method, *(value(key, group.swept[key]) for key in group.swept)], added))
    elements = list(dict.fromkeys(name for _, added in totals for row in added.values() for name in row if name != "missing"))
    rows = [
        [*head, "none (false positive)" if true == "false" else true, *(str(row.get(name, 0)) for name in [*elements, "missing"])]
        for head, added in totals
        for true, row in added.items()
    ]
    columns = ["Method", *labels(run.sweep_keys), "True element", *(f"traced as {name}" for name in elements), "missing"]
    return Table("confusion", "Confusion matrix", columns, rows) if rows else None


def remarks(run: Run) -> Table | None:
    """What steps before a reconstruction want a user to know of cells that gave a result."""
    good = run.table[run.table["status"] == "ok"]
    rows = [[str(row["cell"]), str(row["reconstructor"]), text] for _, row in good.iterrows() if (text := text_of(row["reason"]))]
    return Table("remarks", "Remarks", ["Cell", "Method", "Remark"], rows) if rows else None


def failed(run: Run) -> Table | None:
    """Every cell without a result, with its status and reason."""
    rows = [[str(row[name]) for name in ("cell", "reconstructor", "status", "reason")] for _, row in failures(run).iterrows()]
    return Table("failures", "Cells without a result", ["Cell", "Method", "Status", "Reason"], rows) if rows else None


def _fits(run: Run, group: Group, where: Mapping[str, Any]) -> bool:
    for key, wanted in where.items():
        have = group.method if key == "reconstructor" else group.swept.get(key, _fixed(run.scenario, key))
        if not _same(have, wanted):
            return False
    return True


def _fixed(scenario: Mapping[str, Any], key: str) -> Any:
    """Return the value of a dotted key that is not swept; None where the scenario does not set it."""
    here: Any = scenario
    for part in key.split("."):
        here = here.get(part) if isinstance(here, Mapping) else None
    return here


def _same(a: Any, b: Any) -> bool:
    try:
        return math.isclose(float(a), float(b), rel_tol=1e-9) or float(a) == float(b)
    except (TypeError, ValueError):
        return str(a) == str(b)
