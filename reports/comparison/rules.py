"""Which scores are compared: those whose column declares which way is better, or those that are asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from benchsuite.columns import Column, Columns
from benchsuite.errors import BenchsuiteError, choices
from benchsuite.reports.labels import column_of


def chosen_columns(asked: Iterable[str], present: Iterable[str], columns: Columns) -> list[Column]:
    """Return the columns that are compared: all of those present that declare a direction, or those asked for.

    `asked`: names, or NAME:lower and NAME:higher for columns that declare none. Raises BenchsuiteError for an unknown one.
    """
    names, asked = list(dict.fromkeys(present)), list(asked)
    if asked:
        return [_asked(text, names, columns) for text in asked]
    return [column for name in columns.ordered(names) if (column := columns.get(name)) is not None and column.compared]


def _asked(text: str, names: list[str], columns: Columns) -> Column:
    name, colon, direction = text.partition(":")
    column = column_of(columns, name)
    if column.role == "cost":
        raise BenchsuiteError(f"--metric {text}: time and memory of separate runs are reported as ratios, without a verdict")
    if name not in names:
        known = [one for one in names if column_of(columns, one).compared]
        raise BenchsuiteError(f"--metric {text}: no cell of the base has this score; {choices(name, known)}")
    if direction == "lower":
        return replace(column, direction="lower")
    if direction == "higher":
        return replace(column, direction="higher")
    if colon or column.direction == "neither":
        raise BenchsuiteError(f"--metric {text}: say which way is better: {name}:lower or {name}:higher")
    return column
