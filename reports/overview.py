"""One report over many runs and scenarios, in a folder that opens from disk without a network."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchsuite.atomic import write_text
from benchsuite.errors import BenchsuiteError
from benchsuite.reports import cell_table
from benchsuite.reports.drawn import Drawn, Picture, code, digest
from benchsuite.reports.figures import by_slug
from benchsuite.reports.figures.multiples import sheets, small_multiples
from benchsuite.reports.figures.pareto import accuracy, pareto
from benchsuite.reports.figures.winner_map import winner_map
from benchsuite.reports.groups import methods
from benchsuite.reports.html import cells_of, flat, write_if_new, write_tables, yaml_text
from benchsuite.reports.labels import heading, label
from benchsuite.reports.pool import Member, Pool, members_of, pools
from benchsuite.reports.style import MethodStyle, method_styles
from benchsuite.reports.summary import Table, shared_forward_models
from benchsuite.reports.templates import template
from benchsuite.reports.winners import Winners, winner_table, winners
from benchsuite.results import RUN_FILE, Run

if TYPE_CHECKING:
    from benchsuite.contract.figure import Drawing

DPI = 200
MULTIPLES = "All scores against {key}. Points are means over repeats, bands or bars their sample standard deviations."
PARETO = "{metric} against {price}, with a panel for each {panel}. Grey: the Pareto front, which no method beats in both."
WINNERS = "The best method under each condition by {metric}, with the confidence that it beats the next best."


@dataclass(frozen=True)
class Section:
    """The part of the page on one scenario."""

    slug: str
    title: str
    name: str
    scale: str
    ok: int
    total: int
    winners: Winners
    table: Table
    pictures: list[Picture]
    shared: list[str]


def write_overview(runs: Sequence[Run], folder: Path) -> Path:
    """Write the report of all runs into `folder`; return its page, index.html.

    What is drawn and has not changed is kept. Raises BenchsuiteError where the folder is that of a run, or a run is
    named twice.
    """
    if (folder / RUN_FILE).exists():
        raise BenchsuiteError(f"--out {folder} is a run folder; a report over several runs needs a folder of its own")
    places = [run.folder.resolve() for run in runs]
    for run, place in zip(runs, places, strict=True):
        if places.count(place) > 1:
            raise BenchsuiteError(f"{run.folder} is named more than once; every run once")
    members = members_of(runs)
    if not members:
        raise BenchsuiteError(f"no finished cells in {', '.join(str(run.folder) for run in runs)}")
    drawn = Drawn((folder / "figures",), DPI)
    with cells_of(members, folder):
        found = pools(members)
        styles = method_styles(list(dict.fromkeys(name for pool in found for name in methods(pool))))
        sections = [_section(pool, slug, styles, drawn) for pool, slug in zip(found, _slugs(found), strict=True)]
    drawn.close()
    write_tables([section.table for section in sections], folder / "tables")
    write_if_new(folder / "tables" / "cells.csv", cell_table.table(members).to_csv(index=False).encode())
    ok = sum(member.row["status"] == "ok" for member in members)
    page = template("overview.html.j2").render(
        title=_title(found), total=len(members), ok=ok, sections=sections, runs=[_about(run, members) for run in runs]
    )
    write_text(folder / "index.html", page)
    return folder / "index.html"


def _title(found: Sequence[Pool]) -> str:
    titles = list(dict.fromkeys(pool.title for pool in found))
    return titles[0] if len(titles) == 1 else f"{len(titles)} scenarios compared"


def _slugs(found: Sequence[Pool]) -> list[str]:
    slugs: list[str] = []
    for pool in found:
        plain = re.sub(r"[^a-z0-9]+", "-", pool.name.lower()).strip("-") or "scenario"
        taken = [slug for slug in slugs if slug == plain or slug.startswith(f"{plain}-n")]
        slugs.append(plain if not taken else f"{plain}-n{len(taken) + 1}")
    return slugs


def _section(pool: Pool, slug: str, styles: dict[str, MethodStyle], drawn: Drawn) -> Section:
    present = {name: styles[name] for name in methods(pool)}
    key = digest([pool.table.to_csv(), dict(pool.scenario), pool.sweep_keys, {n: str(s) for n, s in present.items()}, code()])
    metric = heading(pool.columns, accuracy(pool)[0])
    contests = winners(pool)
    pictures: list[Picture] = []
    if len(contests.methods) > 1:
        caption = WINNERS.format(metric=metric)
        pictures += _draw(drawn, f"{slug}-winners", key, caption, lambda: winner_map(contests))
    for price, panel in (("time", "condition"), ("dose", "setting of the other swept keys")):
        caption = PARETO.format(metric=metric, price="reconstruction time" if price == "time" else "electron dose", panel=panel)
        pictures += _draw(drawn, f"{slug}-pareto-{price}", key, caption, functools.partial(pareto, pool, price, present))
    for sheet in sheets(pool):
        name = f"{slug}-{re.sub(r'[^A-Za-z0-9_]+', '-', sheet.key)}{sheet.part}"
        pictures += _draw(
            drawn, name, key, MULTIPLES.format(key=label(sheet.key)), functools.partial(small_multiples, sheet, present)
        )
    models = {method: module for member in pool.members for method, module in member.run.shared_forward_models.items()}
    shared = shared_forward_models(models, methods(pool))
    ok = int((pool.table["status"] == "ok").sum())
    return Section(
        slug,
        pool.title,
        pool.name,
        pool.scale,
        ok,
        len(pool.table),
        contests,
        winner_table(contests, f"{slug}-winners"),
        pictures,
        shared,
    )


def _draw(drawn: Drawn, name: str, key: str, caption: str, make: Callable[[], Drawing]) -> list[Picture]:
    return drawn.draw(name, key, caption, lambda: (caption, by_slug(name, make())))


def _about(run: Run, members: Sequence[Member]) -> dict[str, object]:
    of_run = [member for member in members if member.run is run]
    return {
        "name": of_run[0].run_name if of_run else run.folder.name,
        "scenario": run.scenario["name"],
        "scale": run.scale,
        "ok": sum(member.row["status"] == "ok" for member in of_run),
        "total": len(of_run),
        "provenance": flat(run.provenance),
        "yaml": yaml_text(run.scenario),
    }
