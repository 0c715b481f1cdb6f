"""A comparison for other programs: JSON, and JUnit XML as continuous integration reads it."""

from __future__ import annotations

import json
import math
from typing import Any
from xml.etree import ElementTree

from benchsuite.reports.comparison.compare import Comparison
from benchsuite.reports.comparison.verdicts import FAIL, Finding, Verdict
from benchsuite.reports.comparison.words import COLUMNS, row

SKIPPED = (Verdict.NOT_COMPARABLE, Verdict.INCONCLUSIVE, Verdict.NO_RESULT)


def as_json(comparison: Comparison) -> str:
    """Return everything as JSON; infinities as text, so that any reader takes it."""
    content = {
        "format": "benchsuite comparison 1",
        "base": comparison.base.name,
        "candidate": comparison.candidate.name,
        "exit_status": comparison.exit_status,
        "by": comparison.by,
        "same": comparison.same,
        "confidence": comparison.confidence,
        "counts": {verdict.value: count for verdict, count in comparison.counts.items()},
        "findings": [_finding(one) for one in comparison.findings],
        "costs": [{**vars(ratio), "column": ratio.column.name} for ratio in comparison.costs],
        "costs_not_comparable": comparison.no_costs,
        "changed_settings": [dict(zip(("key", "base", "candidate"), entry, strict=True)) for entry in comparison.changed],
    }
    return json.dumps(_strict(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _finding(one: Finding) -> dict[str, Any]:
    facts = {
        **vars(one),
        "column": one.metric,
        "verdict": one.verdict.value,
        "swept": None if one.swept is None else dict(one.swept),
    }
    return {**facts, "pooled": one.swept is None, "effect": None if one.effect is None else vars(one.effect)}


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def as_junit(comparison: Comparison) -> str:
    """Return JUnit XML: a suite per method, a test case per finding. Regressions, new failures and what is missing fail."""
    root = ElementTree.Element("testsuites", name="benchsuite compare")
    for method in dict.fromkeys(one.method for one in comparison.findings):
        found = [one for one in comparison.findings if one.method == method]
        failed, skipped = (sum(one.verdict in verdicts for one in found) for verdicts in (FAIL, SKIPPED))
        counts = {"tests": str(len(found)), "failures": str(failed), "errors": "0", "skipped": str(skipped)}
        suite = ElementTree.SubElement(root, "testsuite", {"name": _clean(method), **counts})
        for one in found:
            _add_case(suite, one)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _add_case(suite: ElementTree.Element, one: Finding) -> None:
    texts = dict(zip(COLUMNS, row(one), strict=True))
    name = ": ".join(text for text in (texts["Condition"], texts["Score"]) if text != "—") or "result"
    case = ElementTree.SubElement(suite, "testcase", classname=_clean(one.method), name=_clean(name), time="0")
    details = _clean("; ".join(f"{column} {text}" for column, text in texts.items() if text not in ("", "—")))
    if one.verdict in FAIL or one.verdict in SKIPPED:
        outcome = {"message": _clean(f"{one.verdict.value}: {one.reason or texts['Harm']}"), "type": one.verdict.value}
        ElementTree.SubElement(case, "failure" if one.verdict in FAIL else "skipped", outcome).text = details


def _clean(text: str) -> str:
    """Return text without the control characters that XML cannot hold."""
    return "".join(c if c.isprintable() or c in "\t\n\N{NO-BREAK SPACE}" else " " for c in text)
