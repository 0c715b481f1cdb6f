"""Views and steps of atoms and views: how far they may go at once, and what of them is only a motion of the specimen."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchsuite.data import TiltSeries
from benchsuite.physics.gaussians.atoms import Orbitals, View

MAX_STEP_A, MAX_WEIGHT_FACTOR, MAX_WIDENING_A2 = 0.15, 2.0, 0.1  # changes of an atom in one step
MIN_WIDTH_A2, MIN_WEIGHT = 1e-3, 1e-4


def nominal_views(series: TiltSeries) -> list[View]:
    """Return the views of all images, tilt by tilt, as the series states them."""
    foci = range(series.data.shape[1])
    return [View(rotation, focus, np.zeros(3), np.zeros(2)) for rotation in series.rotations for focus in foci]


def corrections(views: list[View]) -> dict[str, np.ndarray]:
    """Return the corrections of views as fields of a `Fit`."""
    drift, correction = views_snapshot(views).values()
    return {"drift_A": drift, "angle_corrections_deg": np.rad2deg(correction)}


def views_snapshot(views: list[View], prefix: str = "") -> dict[str, np.ndarray]:
    """Return the corrections of views as arrays from which `views_resumed` makes them again."""
    drift, correction = (np.array([getattr(view, name) for view in views]) for name in ("drift", "correction"))
    return {f"{prefix}drift": drift, f"{prefix}correction": correction}


def views_resumed(nominal: list[View], saved: Mapping[str, np.ndarray], prefix: str = "") -> list[View]:
    """Return nominal views with the corrections of a snapshot."""
    moves = zip(nominal, saved[f"{prefix}drift"], saved[f"{prefix}correction"], strict=True)
    return [view.moved(drift, correction) for view, drift, correction in moves]


def moved_atoms(atoms: Orbitals, step: np.ndarray) -> Orbitals:
    """Return atoms a step (n, 5) in x, y, z, W, B further, none farther than a linear model holds."""
    tiny = np.finfo(float).tiny
    shortened = np.minimum(1, MAX_STEP_A / np.maximum(np.linalg.norm(step[:, :3], axis=1), tiny))
    weight = np.clip(atoms.weight + step[:, 3], atoms.weight / MAX_WEIGHT_FACTOR, MAX_WEIGHT_FACTOR * atoms.weight)
    width = atoms.width + np.clip(step[:, 4], -MAX_WIDENING_A2, MAX_WIDENING_A2)
    positions = atoms.positions + shortened[:, None] * step[:, :3]
    return Orbitals(positions, np.maximum(weight, MIN_WEIGHT), np.maximum(width, MIN_WIDTH_A2))


def moved_views(views: list[View], step: np.ndarray, foci: int) -> list[View]:
    """Return views a step (m, 5) in drift and turns further; `foci` in a row are those of a tilt, and turn as the first does.

    A shift of all of them is one of the specimen, and is left to it.
    """
    turns = np.repeat(step[::foci, 2:], foci, axis=0)
    axes = np.concatenate([view.rotation[:2] for view in views])
    common = np.linalg.lstsq(axes, step[:, :2].ravel(), rcond=None)[0]
    shifts = step[:, :2] - (axes @ common).reshape(-1, 2)
    return [view.moved(shift, turn) for view, shift, turn in zip(views, shifts, turns, strict=True)]


def by_tilt(by_view: np.ndarray, foci: int) -> np.ndarray:
    """Return sums (m, 5) over views with those of the turns of a tilt gathered in its first view."""
    result = by_view.copy()
    result[:, 2:] = 0
    result[::foci, 2:] = by_view[:, 2:].reshape(-1, foci, 3).sum(axis=1)
    return result


def difference(atoms: Orbitals, views: list[View], before: Orbitals, views_before: list[View]) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps (n, 5) and (m, 5) from one state to another."""
    of_atoms = _table(atoms) - _table(before)
    of_views = [
        np.concatenate([now.drift - then.drift, now.correction - then.correction])
        for now, then in zip(views, views_before, strict=True)
    ]
    return of_atoms, np.array(of_views)


def between(atoms: Orbitals, views: list[View], back: Orbitals, views_back: list[View], part: float) -> tuple[Orbitals, list[View]]:
    """Return the state that part of the way from `back`."""
    table = _table(back) + part * (_table(atoms) - _table(back))
    closer = [
        then.moved(part * (now.drift - then.drift), part * (now.correction - then.correction))
        for now, then in zip(views, views_back, strict=True)
    ]
    return Orbitals(table[:, :3], table[:, 3], table[:, 4]), closer


def _table(atoms: Orbitals) -> np.ndarray:
    return np.column_stack([atoms.positions, atoms.weight, atoms.width])
