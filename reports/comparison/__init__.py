"""Comparison of two runs, or of a run with an accepted baseline: see docs/how-to/compare.md."""
