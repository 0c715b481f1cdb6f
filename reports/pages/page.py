"""The page of one cell as HTML that stands alone beside the folder of assets."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from benchsuite.reports import labels
from benchsuite.reports.pages.atoms import NON_ATOM, OUTCOMES, UNSCORED, Scene, counts, packed
from benchsuite.reports.pages.content import Content, content
from benchsuite.reports.pages.slices import legend_symbol
from benchsuite.reports.pages.still import still
from benchsuite.reports.summary import SHARED_MODEL
from benchsuite.reports.templates import template
from benchsuite.results import Run

GOOD = ("ok",)


@dataclass(frozen=True)
class Place:
    """Where a page stands: the name of its run in the report, the way to the report's folder, its neighbours' files and its key."""

    run_name: str
    root: str
    before: str
    after: str
    key: str


def page(run: Run, cell_id: str, place: Place) -> str:
    """Return the HTML of a cell. Text of scenarios and logs is escaped; numbers of the atoms are base64."""
    cell = content(run.cell(cell_id), run.sweep_keys)
    method = str(cell.row["reconstructor"])
    atoms = cell.scene if cell.scene is not None and len(cell.scene) else None
    return template("cell.html.j2").render(
        cell=cell,
        key=place.key,
        root=place.root,
        before=place.before,
        after=place.after,
        run_name=place.run_name,
        scale=run.scale,
        title=run.scenario.get("title") or run.scenario["name"],
        method=method,
        condition=labels.condition(cell.swept),
        good=cell.row["status"] in GOOD,
        atoms=_json(packed(atoms)) if atoms else None,
        still=_picture(still(atoms)) if atoms else None,
        counts=counts(atoms) if atoms else [],
        marks=_marks(atoms) if atoms else [],
        taken=_taken(cell),
        facts=_facts(run, cell),
        shared=SHARED_MODEL.format(module=module, methods="") if (module := run.shared_forward_models.get(method)) else "",
    )


def _json(value: Any) -> Markup:
    """Return JSON that cannot end the script element that it stands in."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _marks(atoms: Scene) -> list[tuple[str, Markup]]:
    """Names and symbols of what may stand on a slice: all outcomes of judged atoms, or the one of atoms without a truth."""
    unscored = bool((atoms.outcome == UNSCORED).any())
    return [
        (name, legend_symbol(code))
        for code, (name, _) in enumerate(OUTCOMES)
        if code != NON_ATOM and (code == UNSCORED) == unscored
    ]


def _picture(pixels: np.ndarray) -> str:
    from matplotlib.image import imsave

    buffer = io.BytesIO()
    imsave(buffer, pixels, format="png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _taken(cell: Content) -> list[str]:
    names = dict.fromkeys(name for row in cell.confusion.values() for name in row if name != "missing")
    return [*names, "missing"]


def _facts(run: Run, cell: Content) -> list[tuple[str, str]]:
    row, provenance = cell.row, run.provenance
    commit = provenance.get("commit")
    changed = ", with uncommitted changes" if provenance.get("dirty") else ""
    hardware = ", ".join(
        str(text)
        for text in (
            provenance.get("processor"),
            f"{provenance['cores']} cores" if "cores" in provenance else None,
            f"{provenance['memory_GB']} GB" if "memory_GB" in provenance else None,
        )
        if text
    )
    libraries = ", ".join(f"{name} {version}" for name, version in (provenance.get("libraries") or {}).items())
    facts = [
        ("Seed", row.get("seed")),
        ("Repeat", row.get("repeat")),
        ("Device", row.get("device")),
        ("Engine of the images", row.get("engine")),
        ("Run folder", run.folder.name),
        ("Version", provenance.get("benchsuite")),
        ("Commit", f"{commit}{changed}" if commit else None),
        ("Python", provenance.get("python")),
        ("Platform", provenance.get("platform")),
        ("Hardware", hardware),
        ("Libraries", libraries),
    ]
    return [(name, str(value)) for name, value in facts if value not in (None, "")]
