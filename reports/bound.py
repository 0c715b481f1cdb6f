"""The Cramér–Rao bound of the RMSD: the least that any unbiased method could reach with the electrons that were counted.

It is of the series, hence one for all methods of a condition; without noise there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from benchsuite.reports.groups import Group
from benchsuite.reports.labels import mean_and_spread

BOUND, RATIO = "bound_rmsd_pm", "rmsd_to_bound"
BOUNDED = ("rmsd_pm", "ospa_pm")  # scores that it bounds: an atom that is missing or false only adds to the OSPA distance


def bound_of(groups: Iterable[Group]) -> float:
    """Return the bound of a condition in pm: the median over its cells, nan where none has it."""
    found = [pd.to_numeric(group.rows[BOUND], errors="coerce") for group in groups if BOUND in group.rows]
    values = np.concatenate(found) if found else np.empty(0)
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else float("nan")


def ratio_of(group: Group) -> tuple[float, float, int]:
    """Return (mean, sample standard deviation, count) of RMSD / bound over the cells that are ok and have both."""
    if BOUND not in group.rows or "rmsd_pm" not in group.rows:
        return mean_and_spread([])
    rmsd, bound = (pd.to_numeric(group.ok[name], errors="coerce") for name in ("rmsd_pm", BOUND))
    return mean_and_spread(rmsd / bound)


def beside_rmsd(names: Sequence[str]) -> list[str]:
    """Return the names of columns with the bound right after the RMSD, where there are both."""
    if BOUND not in names or "rmsd_pm" not in names:
        return list(names)
    others = [name for name in names if name != BOUND]
    place = others.index("rmsd_pm") + 1
    return [*others[:place], BOUND, *others[place:]]
