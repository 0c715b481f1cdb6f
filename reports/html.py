"""The report of a run: figures, tables and one HTML page in a folder that opens from disk."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from benchsuite.atomic import write_bytes, write_text
from benchsuite.reports import cell_table
from benchsuite.reports.drawn import Drawn, code, digest
from benchsuite.reports.figures import FIGURES, wanted
from benchsuite.reports.pages.write import writing_pages
from benchsuite.reports.pool import Member, members_of
from benchsuite.reports.summary import Table, tables
from benchsuite.results import Run

ASSETS = ("report.css", "cell_table.js", "atoms_view.js")
PAGES = "pages"

CAPTIONS = {
    "slice_grid": "Slices 2 Å thick through the centre of each reconstruction, with the traced atoms of the slice.",
    "histogram_grid": "Intensities of the atoms, relative to the 99.5th percentile: of 5×5×5 voxels, or fitted ones of methods "
    "that answer with atoms.",
    "sweep_lines": "Scores of all methods; bands and bars are the standard deviation over repeats. Methods stand side by side "
    "where what is swept is no number.",
    "rmsd_against_atoms": "RMSD against the number of atoms; dashed: least-squares lines.",
    "deviation_distribution": "Distances of traced from true atoms, after the common shift is removed.",
    "deviation_by_depth": "Deviations by the depth z of the atoms in the untilted specimen, in steps of 4 Å: median, quartiles, "
    "5th and 95th percentile.",
    "deviation_at_depths": "Deviations in the middle of the specimen and nearer to its surface.",
    "uncertainties": "Deviations of matched atoms over the standard deviations that their method states, along x, y and z (what "
    "lies beyond five counts in the outermost bins), and the lengths of both, atom by atom.",
    "difference_images": "The least tilted image, what the fitted atoms and probes make of it, and the difference, as fractions "
    "of the incident electrons.",
    "probe_sections": "Intensity of the probes at several depths; framed: the sharpest of each row.",
    "depth_slices": "Phase of the slices in depth, on one scale for each method.",
    "convergence": "Loss against iteration, relative to each method's own first value.",
    "fourier_shell": "Fourier shell correlation: of each volume with the true atoms drawn as Gaussians (threshold 0.5), and of "
    "reconstructions of half of the tilts each (threshold 0.143).",
    "spectral_amplitude": "Spectral amplitude of the volumes under a Hann window. (a) Mean over the other two axes; points: the "
    "last peak along each axis, sought in three dimensions, with its resolution. (b–d) Mean over one axis, in logarithmic colours; "
    "bars: 1 Å⁻¹.",
    "pair_distribution": "Distances between atoms: traced (lines) and, where they are known, true (grey).",
    "diffraction_patterns": "Pattern of the central probe in the middle tilt of each series, on a logarithmic scale; the dashed "
    "circle is the edge of the aperture.",
    "contact_sheet": "The tilt series as recorded, and as the last step before a reconstruction left it.",
}


def write_report(run: Run, folder: Path | None = None) -> Path:
    """Write figures/ (PNG, PDF), tables/ (CSV, Markdown) and report/ (HTML with its own copies); return the page.

    A figure that cannot be drawn is reported on the page and in the log; the rest of the report is not lost for it. What has been
    drawn before and has not changed is kept.
    """
    out = folder or run.folder
    drawn = Drawn((out / "figures", out / "report"))
    key = digest([dict(run.scenario), run.scale, run.sweep_keys, run.records, code()])
    with cells_of(members_of([run]), out / "report"):
        pictures = [p for name in wanted(run) for p in drawn.draw(name, key, CAPTIONS[name], functools.partial(FIGURES[name], run))]
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
        scenario=yaml_text(run.scenario),
        provenance=flat(run.provenance),
    )
    write_text(out / "report" / "index.html", page)
    return out / "report" / "index.html"


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


def template(name: str) -> Template:
    """Return a template that escapes what it is given and refuses what it is not given."""
    return Environment(
        loader=PackageLoader("benchsuite.reports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    ).get_template(name)


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
