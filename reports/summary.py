"""The tables of a report: summary, published against measured, failures; each as CSV, Markdown and HTML.

A mean is never shown without how many cells it stands on, and one over fewer than all is marked with *.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from benchsuite.reports.bound import BOUND, RATIO, beside_rmsd, bound_of, ratio_of
from benchsuite.reports.figures.size import lines
from benchsuite.reports.groups import Group, failures, groups, methods, text_of
from benchsuite.reports.labels import condition, label, labels, number, plus_minus, unit, value
from benchsuite.results import Run

METRICS = ("rmsd_pm", "tracing_error_pct", "classification_rate_pct")  # what papers report
OF_SPECTRUM = ("resolution_x_A", "resolution_y_A", "resolution_z_A")  # where the scenario asks for the figure
TOLERANCE_PM = 10.0  # nLOT asks how many atoms are placed so well
MORE_METRICS = (
    "r_factor",
    "resolution_fsc_A",
    "resolution_half_sets_A",
    "bond_length_error_pm",
    "focus_error_A",
    "phase_correlation",
    "alignment_error_px",
    "alignment_error_deg",
    "slice_correlation",
    "reconstruct_s",
    "peak_memory_mb",
)
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
    caveats += shared_forward_models(run.shared_forward_models, methods(run))
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
    recalls = [str(name) for name in run.table if str(name).startswith("recall_")]
    of_volume: list[str] = []
    if "spectral_amplitude" in (run.scenario.get("figures") or ()):
        of_volume = [*OF_SPECTRUM, *(str(m) for m in run.table if str(m).startswith("sites_found_")), "site_displacement_pm"]
    of_measured = ("n_traced", *(str(m) for m in run.table if str(m).startswith("n_traced_"))) if run.without_truth else ()
    of_atoms = ("rmsd_pm", "n_matched", "ospa_pm", *METRICS[1:], *recalls, *of_measured)
    listed = (*of_atoms, BOUND, *of_volume, *run.measures, *MORE_METRICS)
    metrics = beside_rmsd([m for m in dict.fromkeys(listed) if m in run.table and run.table[m].notna().any()])
    if BOUND in metrics and "rmsd_pm" in metrics:
        metrics.insert(metrics.index(BOUND) + 1, RATIO)
    rows = []
    for group in groups(run):
        swept = [value(key, group.swept[key]) for key in group.swept]
        ok = int((group.rows["status"] == "ok").sum())
        cells = [_marked(group, metric) for metric in metrics]
        rows.append([group.method, *swept, f"{ok}/{group.n_total}", *cells])
    columns = ["Method", *labels(run.sweep_keys), "Cells ok", *(_heading(run, metric) for metric in metrics)]
    note = "Mean ± sample standard deviation over repeats. * fewer cells than planned have this score: see the failures."
    return Table("summary", "Summary", columns, rows, note + _explained(run, metrics))


def _explained(run: Run, metrics: list[str]) -> str:
    """Say what the columns of plugged-in metrics are, those of one metric together."""
    named: dict[str, list[str]] = {}
    for metric in metrics:
        if metric in run.measures:
            named.setdefault(run.measures[metric]["title"], []).append(label(metric))
    return "".join(f" {', '.join(names)}: {title}." for title, names in named.items())


def _heading(run: Run, metric: str) -> str:
    """Return name and unit of a column; a metric says its unit where the name does not."""
    stated = "" if unit(metric) else run.measures.get(metric, {}).get("unit", "")
    return f"{label(metric)} ({stated})" if stated else label(metric)


def _marked(group: Group, metric: str) -> str:
    """Return mean ± spread, with * where fewer cells than planned have this score; the bound alone: it is of the series."""
    if metric == BOUND:
        return number(bound_of([group]))
    mean, spread, count = ratio_of(group) if metric == RATIO else group.stat(metric)
    return plus_minus(mean, spread) + ("*" if 0 < count < group.n_total else "")


def published(run: Run) -> Table | None:
    """The paper's numbers beside ours, row by row; a row without a matching cell says so."""
    rows = []
    for entry in run.published:
        where = dict(entry.get("where") or {})
        fitting = [group for group in groups(run) if _fits(run, group, where)]
        setting = ", ".join(f"{label(k) if k != 'reconstructor' else 'Method'}: {value(k, v)}" for k, v in where.items())
        told = {**{metric: entry.get(metric) for metric in METRICS}, **(entry.get("scores") or {})}
        for metric, theirs in told.items():
            if theirs is None:
                continue
            head = [setting, str(entry.get("source", "")), label(metric), number(float(theirs))]
            rows += [[*head, _measured(group, metric, len(fitting) > 1)] for group in fitting]
            if not fitting:
                rows.append([*head, "no such cell in this run"])
    note = f"Published values belong to the paper's own scale; measured values to this run's scale: {run.scale}."
    columns = ["Setting", "Source", "Score", "Published (paper scale)", f"Measured ({run.scale} scale)"]
    return Table("published", "Published and measured", columns, rows, note) if rows else None


def _measured(group: Group, metric: str, several: bool) -> str:
    """Return the score, or why there is none; with method and setting where one published value fits several groups."""
    text = _marked(group, metric) if group.stat(metric)[2] else f"no result ({group.failure or 'not scored'})"
    if metric == "rmsd_pm" and math.isfinite(bound := bound_of([group])):
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
    """What the atoms of each element were taken for, added up over the repeats of each method and setting."""
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
    return Table("confusion", "What atoms were taken for", columns, rows) if rows else None


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
