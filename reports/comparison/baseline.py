"""Accepted results as a small text file for version control: what later runs are held against, and why it was accepted.

One line per score, sorted, floats by their shortest exact form, so that a difference of two files reads as what changed. A checksum
covers all of it: a file that was edited by hand, cut off, or merged by a tool is refused.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchsuite.atomic import write_text
from benchsuite.columns import Columns
from benchsuite.errors import BenchsuiteError
from benchsuite.reports.comparison.side import CellFacts, Side
from benchsuite.results import COSTS

FORMAT = "benchsuite baseline 1"


def accept(side: Side, file: Path, reason: str, *, when: str, metrics: Sequence[str] = (), failures: bool = False) -> None:
    """Write a side as a baseline. `when`: the date. `metrics`: columns to keep besides the known scores.

    Raises BenchsuiteError without a reason, for a side without cells, for metrics that no cell has, and, unless `failures` says
    that they are accepted, where a cell has no result.
    """
    if not reason.strip():
        raise BenchsuiteError("--reason: state why these results are accepted; it is recorded in the file")
    if not side.cells:
        raise BenchsuiteError(f"{side.name}: has no finished cell to accept")
    failed = [cell for cell in side.cells if cell.status not in ("ok", "skipped")]
    if failed and not failures:
        listed = "\n".join(f"  {' '.join(map(str, one.identity))}: {one.status}: {one.reason}" for one in failed[:10])
        message = f"{side.name}: {len(failed)} of {len(side.cells)} cells have no result; accept them by --with-failures"
        raise BenchsuiteError(f"{message}\n{listed}")
    absent = [name for name in metrics if name not in side.scores]
    if absent:
        raise BenchsuiteError(f"--metric {absent[0]}: no cell of {side.name} has this score")
    kept = _kept(side, metrics)
    body = {
        "reason": " ".join(reason.split()),
        "accepted": when,
        "scenario": side.scenario,
        "scale": side.scale,
        "about": dict(side.about),
        "machine": dict(side.machine),
        "columns": Columns(column for name in kept if (column := side.columns.get(name)) is not None).to_json(),
        "cells": [_cell(cell, kept) for cell in sorted(side.cells, key=lambda cell: cell.identity)],
    }
    body = _finite(body)
    text = json.dumps({"format": FORMAT, "checksum": _checksum(body), **body}, indent=1, ensure_ascii=False, allow_nan=False)
    write_text(file, text + "\n")


def _kept(side: Side, metrics: Sequence[str]) -> list[str]:
    """Return the scores that are compared, what margins and ratios need beside them, and those asked for, in order."""
    found = [column for name in side.scores if (column := side.columns.get(name)) is not None]
    compared = [column for column in found if column.compared]
    needed = {column.margin.one_of for column in compared} | {column.name for column in COSTS}
    return side.columns.ordered({column.name for column in compared} | (needed & set(side.scores)) | set(metrics))


def _cell(cell: CellFacts, kept: Sequence[str]) -> dict[str, Any]:
    scores = {name: cell.scores[name] for name in sorted(cell.scores) if name in kept}
    facts = {**vars(cell), "swept": dict(cell.swept), "scores": scores}
    return {key: value for key, value in facts.items() if value not in ("", {}) or key in ("swept", "scores")}


def _finite(value: Any) -> Any:
    """Replace infinities by the text that stands for them: other tools than ours may read the file."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:32]


def read_baseline(file: Path) -> Side:
    """Return the side that a baseline file holds. Raises BenchsuiteError for a damaged, edited or foreign file."""
    content = read_file(file)
    try:
        cells = tuple(_read_cell(entry) for entry in content["cells"])
        about = {**content["about"], "reason": content["reason"], "accepted": content["accepted"]}
        return Side(
            str(file),
            content["scenario"],
            content["scale"],
            cells,
            content["machine"],
            {},
            about,
            Columns.from_json(content["columns"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BenchsuiteError(f"{file}: not as `baseline accept` writes it ({type(error).__name__}: {error})") from error


def read_file(file: Path) -> dict[str, Any]:
    """Return the content of a baseline file after checking format and checksum. Raises BenchsuiteError."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BenchsuiteError(f"{file}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise BenchsuiteError(f"{file}: not a whole baseline file: damaged, cut off or merged ({error})") from error
    if not isinstance(content, dict) or not str(content.get("format", "")).startswith("benchsuite baseline "):
        raise BenchsuiteError(f"{file}: not a baseline file (`benchsuite baseline accept RUN --reason ...` writes one)")
    if content["format"] != FORMAT:
        raise BenchsuiteError(f"{file}: format {content['format']!r}; this version reads {FORMAT!r}")
    body = {key: value for key, value in content.items() if key not in ("format", "checksum")}
    if content.get("checksum") != _checksum(body):
        raise BenchsuiteError(f"{file}: changed since it was accepted (checksum); accept another run instead of editing the file")
    return content


def _read_cell(entry: Mapping[str, Any]) -> CellFacts:
    swept = {key: math.inf if value == "inf" else value for key, value in entry["swept"].items()}
    texts = {key: str(entry.get(key, "")) for key in ("method", "device", "status", "reason", "experiment", "series", "content")}
    scores = {str(name): float(value) for name, value in entry["scores"].items()}
    return CellFacts(**texts, swept=swept, repeat=int(entry["repeat"]), seed=int(entry["seed"]), scores=scores)
