"""Tables, figures and the HTML report, made from a finished run alone."""

from reports.html import write_report

__all__ = ["write_report"]
