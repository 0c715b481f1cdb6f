"""Comparison of two runs, or of a run with an accepted baseline: see docs/how-to/compare.md."""

from reports.comparison.baseline import accept, read_baseline
from reports.comparison.compare import Comparison, compare
from reports.comparison.machine_readable import as_json, as_junit
from reports.comparison.open import open_side
from reports.comparison.page import as_page
from reports.comparison.side import Side, side_of
from reports.comparison.text import as_markdown, print_baseline, print_comparison
from reports.comparison.verdicts import Finding, Verdict

__all__ = [
    "Comparison", "Finding", "Side", "Verdict", "accept", "as_json", "as_junit", "as_markdown", "as_page", "compare",
    "open_side", "print_baseline", "print_comparison", "read_baseline", "side_of",
]  # fmt: skip
