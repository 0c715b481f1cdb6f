"""The registry of compared metrics: which way is better, and how large a change has to be to matter."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from benchsuite.errors import BenchsuiteError, choices
from benchsuite.reports.statistics import Direction


@dataclass(frozen=True)
class Rule:
    """How one metric is judged.

    relative: the margin as a fraction of the base value. floor: the least margin, in the metric's own unit (its name's suffix).
    one_atom: the margin is at least what one atom of `n_true` makes, in percent.
    """

    direction: Direction
    relative: float
    floor: float
    one_atom: bool = False

    def margin(self, base: float, n_true: float | None) -> float:
        """Return the margin about a base value, in the metric's unit."""
        atom = 100.0 / n_true if self.one_atom and n_true else 0.0
        # a change of exactly one atom lies inside its margin, whatever the rounding of the percentage
        return max(self.relative * abs(base), self.floor, atom * (1 + 1e-9))

    @property
    def sign(self) -> float:
        """+1 where larger values are worse, -1 where they are better."""
        return 1.0 if self.direction == "lower" else -1.0


POSITION = Rule("lower", 0.02, 0.5)
SHARE = Rule("higher", 0.0, 0.1, one_atom=True)
RESOLUTION = Rule("lower", 0.02, 0.01)
CORRELATION = Rule("higher", 0.0, 0.005)
HEADLINE = ("rmsd_pm", "tracing_error_pct", "classification_rate_pct")  # what papers report; tested apart from the others
RULES = {
    "rmsd_pm": POSITION,
    "ospa_pm": POSITION,
    "tracing_error_pct": Rule("lower", 0.02, 0.1, one_atom=True),
    "classification_rate_pct": SHARE,
    "r_factor": Rule("lower", 0.02, 0.002),
    "resolution_fsc_A": RESOLUTION,
    "resolution_x_A": RESOLUTION,
    "resolution_y_A": RESOLUTION,
    "resolution_z_A": RESOLUTION,
    "bond_length_error_pm": POSITION,
    "site_displacement_pm": POSITION,
    "lattice_rotation_deg": Rule("lower", 0.05, 0.05),
    "lattice_strain_pct": Rule("lower", 0.05, 0.05),
    "phase_correlation": CORRELATION,
    "slice_correlation": CORRELATION,
    "slice_confusion": Rule("lower", 0.0, 0.01),
    "alignment_error_px": Rule("lower", 0.05, 0.02),
    "alignment_error_deg": Rule("lower", 0.05, 0.02),
    "focus_error_A": Rule("lower", 0.05, 1.0),
}
BY_ELEMENT = {
    re.compile(r"recall_[A-Z][a-z]?_pct"): SHARE,
    re.compile(r"identified_[A-Z][a-z]?_pct"): SHARE,
    re.compile(r"sites_found_[A-Z][a-z]?_pct"): SHARE,
    re.compile(r"rmsd_[A-Z][a-z]?_pm"): POSITION,
}
COSTS = ("reconstruct_s", "peak_memory_mb")  # of the machine as much as of the method: compared apart, as ratios
RELATIVE_OF_OTHERS = 0.02


def rule_of(metric: str) -> Rule | None:
    """Return the rule of a column of results.csv; None where the column is no score."""
    return RULES.get(metric) or next((rule for pattern, rule in BY_ELEMENT.items() if pattern.fullmatch(metric)), None)


def chosen_rules(asked: Iterable[str], present: Iterable[str]) -> dict[str, Rule]:
    """Return the rules of the metrics that are compared: all known ones of those present, or those asked for.

    `asked`: names, or NAME:lower and NAME:higher for columns of one's own. Raises BenchsuiteError for an unknown one.
    """
    columns, asked = list(dict.fromkeys(present)), list(asked)
    if not asked:
        return {name: rule for name in columns if (rule := rule_of(name)) is not None}
    return dict(_asked(text, columns) for text in asked)


def _asked(text: str, columns: list[str]) -> tuple[str, Rule]:
    name, colon, direction = text.partition(":")
    if name in COSTS:
        raise BenchsuiteError(f"--metric {text}: time and memory of separate runs are told as ratios, without a verdict")
    if name not in columns:
        known = [column for column in columns if rule_of(column) is not None]
        raise BenchsuiteError(f"--metric {text}: no cell of the base has this score; {choices(name, known)}")
    if direction == "lower":
        return name, rule_of(name) or Rule("lower", RELATIVE_OF_OTHERS, 1e-12)
    if direction == "higher":
        return name, rule_of(name) or Rule("higher", RELATIVE_OF_OTHERS, 1e-12)
    rule = rule_of(name)
    if colon or rule is None:
        raise BenchsuiteError(f"--metric {text}: say which way is better: {name}:lower or {name}:higher")
    return name, rule
