"""Central slices of a cell along the three axes, with the traced atoms that lie in them, as bitmaps under drawn symbols."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from benchsuite.data import Volume
from benchsuite.reports.pages.atoms import CORRECT, FALSE, MISSED, NON_ATOM, OUTCOMES, UNSCORED, Scene
from benchsuite.reports.style import GREY, ORANGE, SKY, VERMILLION
from benchsuite.reports.traced_atoms import LARGEST_REACH_A, SLICE_A, Slice, scale_bar_A, slice_of, slice_of_atoms

SIDE = 240  # user units of a panel
AXES = ((2, 0, 1), (1, 0, 2), (0, 1, 2))  # (across, right, up) as places in x, y, z


@dataclass(frozen=True)
class Panel:
    """A slice: what it shows and its picture as SVG."""

    title: str
    picture: Markup


def panels(volume: Volume | None, atoms: Scene | None) -> list[Panel]:
    """Return the three slices through the centre; of an answer without a volume, its atoms drawn as equally wide blobs."""
    if volume is None and (atoms is None or not len(atoms)):
        return []
    reach = _reach(volume, atoms)
    return [_panel(volume, atoms, reach, *axes) for axes in AXES]


def _reach(volume: Volume | None, atoms: Scene | None) -> float:
    """How far from the centre the panels reach: over the atoms, within the volume."""
    kept = atoms.positions_A[atoms.outcome != NON_ATOM] if atoms is not None else np.empty((0, 3))
    found = float(np.abs(kept).max()) + 2.0 if len(kept) else LARGEST_REACH_A
    within = min(volume.data.shape) * volume.voxel_A / 2 if volume is not None else LARGEST_REACH_A
    return min(found, within, LARGEST_REACH_A)


def _panel(volume: Volume | None, atoms: Scene | None, reach: float, across: int, right: int, up: int) -> Panel:
    image, low, pixel = _slice(volume, atoms, reach, across, right, up)
    scale = SIDE / (2 * reach)
    height, width = image.shape
    x, y = (low[0] + reach) * scale, SIDE - (low[1] + reach + height * pixel) * scale
    names = "xyz"
    title = f"{names[right]} to the right, {names[up]} up"
    parts = [
        f'<svg class="slice" viewBox="0 0 {SIDE} {SIDE}" role="img" aria-label="Slice: {title}">',
        f'<rect width="{SIDE}" height="{SIDE}"/><image href="data:image/png;base64,{_png(image)}" x="{x:.2f}" y="{y:.2f}" '
        f'width="{width * pixel * scale:.2f}" height="{height * pixel * scale:.2f}" preserveAspectRatio="none"/>',
        *(_marks(atoms, reach, scale, across, right, up) if atoms is not None else ()),
        _scale_bar(reach, scale),
        "</svg>",
    ]
    return Panel(title, Markup("".join(parts)))  # numbers and names of axes only


def _slice(volume: Volume | None, atoms: Scene | None, reach: float, across: int, right: int, up: int) -> Slice:
    if volume is not None:
        return slice_of(volume, across, right, up)
    kept = atoms.positions_A[~np.isin(atoms.outcome, (MISSED, NON_ATOM))] if atoms is not None else np.empty((0, 3))
    return slice_of_atoms(kept, None, reach, across, right, up)


def _png(image: np.ndarray) -> str:
    from matplotlib.image import imsave

    top = float(np.percentile(image, 99.7)) or 1.0
    buffer = io.BytesIO()
    imsave(buffer, np.clip(image, 0, top), cmap="gray", vmin=0.0, vmax=top, origin="lower", format="png")
    return base64.b64encode(buffer.getvalue()).decode()


def _marks(atoms: Scene, reach: float, scale: float, across: int, right: int, up: int) -> list[str]:
    """Symbols of the atoms in the slice, a path per outcome: circle true, with a dot wrong element, diamond, cross."""
    at = atoms.positions_A
    inside = (np.abs(at[:, across]) <= SLICE_A / 2) & (np.abs(at[:, [right, up]]).max(axis=1) <= reach)
    parts = []
    for code, (name, _) in enumerate(OUTCOMES):
        chosen = np.flatnonzero(inside & (atoms.outcome == code))
        if code == NON_ATOM or not len(chosen):
            continue
        path = "".join(_mark(code, (at[i, right] + reach) * scale, SIDE - (at[i, up] + reach) * scale) for i in chosen)
        color = ON_BLACK[code]
        parts.append(f'<path d="{path}" fill="none" stroke="{color}" stroke-width="1.4"><title>{name}</title></path>')
    return parts


ON_BLACK = (SKY, ORANGE, VERMILLION, "#FFFFFF", GREY, SKY)  # by outcome: black would vanish on a dark image
RADIUS = 5.0


def _mark(code: int, x: float, y: float) -> str:
    r = RADIUS
    if code == MISSED:
        return f"M{x - r:.1f} {y - r:.1f}l{2 * r} {2 * r}m0 {-2 * r}l{-2 * r} {2 * r}"
    if code == FALSE:
        return f"M{x:.1f} {y - r:.1f}l{r} {r}l{-r} {r}l{-r} {-r}z"
    circle = f"M{x - r:.1f} {y:.1f}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0"
    return circle if code in (CORRECT, UNSCORED) else f"{circle}m{r - 1} 0h2"


def legend_symbol(code: int) -> Markup:
    """Return the symbol of an outcome as it is on the slices, on black, as a small SVG."""
    path = _mark(code, 8.0, 8.0)
    return Markup(
        f'<svg class="mark" viewBox="0 0 16 16" aria-hidden="true"><rect width="16" height="16"/>'
        f'<path d="{path}" fill="none" stroke="{ON_BLACK[code]}" stroke-width="1.6"/></svg>'
    )


def _scale_bar(reach: float, scale: float) -> str:
    length = scale_bar_A(reach)
    x, y, long = 12, SIDE - 14, length * scale
    return (
        f'<path d="M{x} {y}h{long:.1f}" stroke="#fff" stroke-width="4"/>'
        f'<text x="{x + long / 2:.1f}" y="{y - 6}" text-anchor="middle" fill="#fff">{length} Å</text>'
    )
