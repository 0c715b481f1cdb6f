"""The report of a run: figures, tables and one HTML page in a folder that opens from disk."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from matplotlib.figure import Figure as MplFigure

from benchsuite.atomic import write_bytes
from benchsuite.contract.figure import Figure
from benchsuite.reports import cell_table
from benchsuite.reports.drawn import Drawn, Picture, code, digest, source_digest
from benchsuite.reports.figures import chosen, draw, lacking
from benchsuite.reports.pages.write import writing_pages
from benchsuite.reports.pool import Member, members_of
from benchsuite.reports.summary import Table, tables
from benchsuite.reports.templates import template
from benchsuite.results import Run

ASSETS = ("report.css", "cell_table.js", "atoms_view.js")
PAGES = "pages"


def write_report(run: Run, folder: Path | None = None) -> Path:
    """Write figures/ (PNG, PDF), tables/ (CSV, Markdown) and report/ (HTML with its own copies); return the page.

    A figure that cannot be drawn is reported on the page and in the log; the rest of the report is complete. What is drawn
    and has not changed is kept.
    """
    out = folder or run.folder
    drawn = Drawn((out / "figures", out / "report"))
    with cells_of(members_of([run]), out / "report"):
        pictures, left_out = figures_of(run, drawn)
        found = tables(run)
    drawn.close()
    write_tables(found, out / "tables")
    page = template("report.html.j2").render(
        title=run.scenario.get("title") or run.scenario["name"],
        description=run.scenario.get("description", ""),
        name=run.scenario["name"],
        scale=run.scale,
        without_truth=run.without_truth,
        total=len(run.table),
        ok=int((run.table["status"] == "ok").sum()),
        tables=found,
        pictures=pictures,
        left_out=left_out,
        scenario=yaml_text(run.scenario),
        provenance=flat(run.provenance),
    )
    write_if_new(out / "report" / "index.html", page.encode())
    return out / "report" / "index.html"


def figures_of(run: Run, drawn: Drawn) -> tuple[list[Picture], list[str]]:
    """Return the pictures of a run, and why figures that its scenario lists are not among them."""
    content = digest([dict(run.scenario), run.scale, run.sweep_keys, run.records, code()])
    pictures: list[Picture] = []
    left_out = []
    for name, figure in chosen(run).items():
        if isinstance(figure, Exception):
            pictures.append(Picture(name, f"Figure {name}.", f"{type(figure).__name__}: {figure}"))
        elif missing := lacking(run, figure):
            left_out.append(f"{name} needs {' and '.join(missing)}, which this run does not have.")
        else:
            key = digest([content, source_digest(type(figure))])
            parts = drawn.draw(name, key, figure.title, functools.partial(_draw, name, figure, run))
            pictures += parts
            left_out += [] if parts else [f"{name} has nothing to show of this run."]
    return pictures, left_out if run.scenario.get("figures") else []


def _draw(name: str, figure: Figure, run: Run) -> tuple[str, dict[str, MplFigure]]:
    return figure.caption_for(run), draw(name, figure, run)


def cells_of(members: Sequence[Member], folder: Path) -> AbstractContextManager[int]:
    """Write the table of cells, scripts and style into the folder of an index page; return the writing of the cells' own pages."""
    for name in ASSETS:
        write_if_new(folder / "assets" / name, (Path(__file__).parent / "assets" / name).read_bytes())
    write_if_new(folder / "cells.js", cell_table.script(members, PAGES).encode())
    write_if_new(folder / PAGES / "index.html", template("pages.html.j2").render(members=members).encode())
    return writing_pages(members, folder / PAGES, "../../")


def write_if_new(file: Path, content: bytes) -> None:
    """Write a file unless it has this content."""
    if not (file.is_file() and file.read_bytes() == content):
        write_bytes(file, content)


def write_tables(found: Sequence[Table], folder: Path) -> None:
    """Write each table as CSV and Markdown."""
    for table in found:
        write_if_new(folder / f"{table.slug}.csv", table.csv().encode())
        write_if_new(folder / f"{table.slug}.md", table.markdown().encode())


def yaml_text(value: object) -> str:
    from ruamel.yaml import YAML

    buffer = io.StringIO()
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = None
    writer.width = 110
    writer.dump(json.loads(json.dumps(value)), buffer)
    return buffer.getvalue()


def flat(facts: object, prefix: str = "") -> list[tuple[str, str]]:
    if not isinstance(facts, dict):
        return [(prefix, str(facts))]
    return [pair for key, value in facts.items() for pair in flat(value, f"{prefix} {key}".strip())]
