"""The report of a run: figures, tables and one HTML page in a folder that opens from disk."""

from __future__ import annotations

import io
import json
import logging
import traceback
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from benchsuite.atomic import write_bytes, write_text
from benchsuite.results import Run
from reports.figures import FIGURES, wanted
from reports.style import pdf, png
from reports.summary import tables

log = logging.getLogger(__name__)

CAPTIONS = {
    "slice_grid": "Slices 2 Å thick through the centre of each reconstruction, with the traced atoms of the slice.",
    "histogram_grid": "Intensities of the atoms, relative to the 99.5th percentile: of 5×5×5 voxels, or fitted ones of methods "
    "that answer with atoms.",
    "sweep_lines": "Scores of all methods; bands and bars are the standard deviation over repeats.",
    "rmsd_against_atoms": "RMSD against the number of atoms; dashed: least-squares lines.",
    "deviation_distribution": "Distances of traced from true atoms, after the common shift is removed.",
    "deviation_by_depth": "Deviations by the depth z of the atoms in the untilted specimen, in steps of 4 Å: median, quartiles, "
    "5th and 95th percentile.",
    "deviation_at_depths": "Deviations in the middle of the specimen and nearer to its surface.",
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


@dataclass(frozen=True)
class Picture:
    """A figure of the page: file name stem, caption, or the error that kept it from being drawn."""

    slug: str
    caption: str
    error: str = ""


def write_report(run: Run, folder: Path | None = None) -> Path:
    """Write figures/ (PNG, PDF), tables/ (CSV, Markdown) and report/ (HTML with its own copies); return the page.

    A figure that cannot be drawn is reported on the page and in the log; the rest of the report is not lost for it.
    """
    out = folder or run.folder
    pictures = [picture for name in wanted(run) for picture in _draw(run, name, out)]
    found = tables(run)
    for table in found:
        write_text(out / "tables" / f"{table.slug}.csv", table.csv())
        write_text(out / "tables" / f"{table.slug}.md", table.markdown())
    environment = Environment(loader=PackageLoader("reports"), autoescape=True, undefined=StrictUndefined)
    page = environment.get_template("report.html.j2").render(
        title=run.scenario.get("title") or run.scenario["name"],
        description=run.scenario.get("description", ""),
        name=run.scenario["name"],
        scale=run.scale,
        without_truth=run.without_truth,
        total=len(run.table),
        ok=int((run.table["status"] == "ok").sum()),
        tables=found,
        pictures=pictures,
        scenario=_yaml(run.scenario),
        provenance=_flat(run.provenance),
    )
    write_text(out / "report" / "index.html", page)
    return out / "report" / "index.html"


def _draw(run: Run, name: str, out: Path) -> list[Picture]:
    caption = CAPTIONS[name]
    try:
        drawn = {slug: (png(figure), pdf(figure)) for slug, figure in FIGURES[name](run).items()}
    except Exception as error:  # a figure must not cost the report: the error is shown in its place
        log.error("figure %s of %s could not be drawn:\n%s", name, run.folder, traceback.format_exc())
        return [Picture(name, caption, f"{type(error).__name__}: {error}")]
    for slug, (bitmap, vector) in drawn.items():
        for folder in (out / "figures", out / "report"):
            write_bytes(folder / f"{slug}.png", bitmap)
            write_bytes(folder / f"{slug}.pdf", vector)
    return [Picture(slug, caption) for slug in drawn]


def _yaml(value: object) -> str:
    from ruamel.yaml import YAML

    buffer = io.StringIO()
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = None
    writer.width = 110
    writer.dump(json.loads(json.dumps(value)), buffer)
    return buffer.getvalue()


def _flat(facts: object, prefix: str = "") -> list[tuple[str, str]]:
    if not isinstance(facts, dict):
        return [(prefix, str(facts))]
    return [pair for key, value in facts.items() for pair in _flat(value, f"{prefix} {key}".strip())]
