"""Tables, figures and the HTML report, made from finished runs alone."""

from benchsuite.reports.html import write_report
from benchsuite.reports.overview import write_overview

__all__ = ["write_overview", "write_report"]
