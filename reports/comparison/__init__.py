"""Comparison of two runs, or of a run with an accepted baseline: see docs/how-to/compare.md."""

from benchsuite.reports.comparison.baseline import accept, read_baseline
from benchsuite.reports.comparison.compare import Comparison, compare
from benchsuite.reports.comparison.machine_readable import as_json, as_junit
from benchsuite.reports.comparison.open import open_side
from benchsuite.reports.comparison.page import as_page
from benchsuite.reports.comparison.side import Side, side_of
from benchsuite.reports.comparison.text import as_markdown, print_baseline, print_comparison
from benchsuite.reports.comparison.verdicts import Finding, Verdict

__all__ = [
    "Comparison", "Finding", "Side", "Verdict", "accept", "as_json", "as_junit", "as_markdown", "as_page", "compare",
    "open_side", "print_baseline", "print_comparison", "read_baseline", "side_of",
]  # fmt: skip
