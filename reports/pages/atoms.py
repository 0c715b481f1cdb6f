"""The atoms of a cell as the page's view in three dimensions reads them, with the outcome of each.

Positions are those in the volume: missed atoms are true ones, moved by the common shift that matching found.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from benchsuite.reports.style import BLACK, BLUE, GREY, ORANGE, SKY, VERMILLION, element_colors

OUTCOMES = (  # name, colour; assets/atoms_view.js chooses shapes by the order
    ("correct", SKY),
    ("misclassified", ORANGE),
    ("false positive", VERMILLION),
    ("missed", BLACK),
    ("non-atom", GREY),
    ("traced, ground truth unknown", BLUE),
)
CORRECT, MISCLASSIFIED, FALSE, MISSED, NON_ATOM, UNSCORED = range(6)
_CODES = {"true": CORRECT, "false_class": MISCLASSIFIED, "false_positive": FALSE, "non_atom": NON_ATOM, "traced": UNSCORED}
RADIUS_A = 0.7
STEP_PM = 0.01  # of displacements; 16 bits reach to 655 pm, farther than any match
NO_DISPLACEMENT = 65535
RAMP = 32  # colours of the displacement bar


@dataclass(frozen=True)
class Scene:
    """Atoms: positions_A (n, 3) x, y, z; symbols (n,); outcome (n,), a place in OUTCOMES; displacement_pm (n,) or nan."""

    positions_A: np.ndarray
    symbols: np.ndarray
    outcome: np.ndarray
    displacement_pm: np.ndarray

    def __len__(self) -> int:
        return len(self.outcome)

    @property
    def largest_pm(self) -> float:
        """Where the colour bar ends: the 98th percentile of the displacements."""
        moved = self.displacement_pm[np.isfinite(self.displacement_pm)]
        return max(float(np.percentile(moved, 98)), 0.1) if len(moved) else 1.0


def scene(traced: Atoms, truth: Atoms | None, row: Mapping[str, Any]) -> Scene:
    """Return traced atoms and, where there is a truth, its missed ones at the shift of a row of the results table."""
    shift = np.array([float(row.get(f"shift_{axis}_A") or 0.0) for axis in "xyz"])
    known = truth if truth is not None else Atoms()
    lost = known[known.arrays["outcome"] == "missing"] if len(known) else known
    positions = np.concatenate(
        [traced.positions.reshape(-1, 3), lost.positions.reshape(-1, 3) + np.where(np.isfinite(shift), shift, 0.0)]
    )
    codes = [_CODES[name] for name in traced.arrays["outcome"]] if len(traced) else []
    moved = traced.arrays["displacement_A"] if len(traced) else np.empty(0)
    return Scene(
        positions,
        np.array([*traced.get_chemical_symbols(), *lost.get_chemical_symbols()], dtype="U2"),
        np.array([*codes, *[MISSED] * len(lost)], dtype=np.uint8),
        np.concatenate([100.0 * moved, np.full(len(lost), np.nan)]),
    )


def packed(atoms: Scene) -> dict[str, Any]:
    """Return what assets/atoms_view.js decodes: numbers of 8 and 16 bits as base64, names and colours as text."""
    elements = list(dict.fromkeys(sorted(atoms.symbols.tolist(), key=lambda name: (name == "X", name))))
    colors = element_colors([name for name in elements if name != "X"]) | {"X": GREY}
    step_A = max(float(np.abs(atoms.positions_A).max(initial=0.0)), 1.0) / 32000
    moved = np.nan_to_num(np.minimum(atoms.displacement_pm / STEP_PM, NO_DISPLACEMENT - 1), nan=NO_DISPLACEMENT)
    place = {name: number for number, name in enumerate(elements)}
    return {
        "positions": _text(np.round(atoms.positions_A / step_A).astype("<i2")),
        "step_A": step_A,
        "element": _text(np.array([place[name] for name in atoms.symbols.tolist()], np.uint8)),
        "outcome": _text(atoms.outcome),
        "displacement": _text(np.round(moved).astype("<u2")),
        "displacement_step_pm": STEP_PM,
        "largest_pm": atoms.largest_pm,
        "elements": [{"name": "non-atom" if name == "X" else name, "color": colors[name]} for name in elements],
        "outcomes": [{"name": name, "color": color} for name, color in OUTCOMES],
        "ramp": ramp(),
        "radius_A": RADIUS_A,
    }


def counts(atoms: Scene) -> list[tuple[str, str, int]]:
    """Return (name, colour, number of atoms) of every outcome that occurs."""
    found = np.bincount(atoms.outcome, minlength=len(OUTCOMES))
    return [(name, color, int(count)) for (name, color), count in zip(OUTCOMES, found, strict=True) if count]


@functools.cache
def ramp() -> list[str]:
    """Return the colours of the displacement bar, from small to large: viridis, safe for the colour-blind."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colormaps["viridis"](0.97 * i / (RAMP - 1))) for i in range(RAMP)]


def _text(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
