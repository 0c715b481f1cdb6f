"""The steps of `preprocess:`, validated against the parameters of each, and against one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from benchsuite import registry
from benchsuite.data import Modality
from benchsuite.errors import Problem
from benchsuite.measured.settings import NO_PHANTOM
from benchsuite.scenario.cells import StepSpec
from benchsuite.scenario.expand import PREPROCESS
from benchsuite.scenario.positions import Document, KeyPath
from benchsuite.scenario.validation import registered, validate


def preprocessed_by(entry: Mapping[str, Any], document: Document, path: KeyPath, problems: list[Problem]) -> tuple[StepSpec, ...]:
    """Return the steps of an entry of `reconstructors`. Adds a problem for each that is unknown, or does not take what there is."""
    raw, path = entry.get(PREPROCESS, []), (*path, PREPROCESS)
    if not isinstance(raw, list):
        problems.append(document.problem(path, f"{raw!r} must be a list of steps"))
        return ()
    simulated = document.value.get("phantom") != NO_PHANTOM
    steps, possible, maker = list[StepSpec](), frozenset[str](get_args(Modality)) - ({"phase"} if simulated else set()), ""
    for number, step in enumerate(raw):
        here: KeyPath = (*path, number)
        if (cls := registered("preprocessing", step, document, here, problems)) is None:
            continue
        name = step["use"]
        if misfit := _misfit(name, cls.modalities, possible, maker):
            problems.append(document.problem(here, misfit))
        possible, maker = frozenset({cls.makes} if cls.makes else possible & {*cls.modalities}), name
        params = validate(cls.Params, {key: value for key, value in step.items() if key != "use"}, document, here, problems)
        if params is not None:
            steps.append(StepSpec(name=name, params=params))
    takes = registry.reconstructor(entry["use"]).modalities
    if steps and (misfit := _misfit(entry["use"], takes, possible, maker)):
        problems.append(document.problem(path, misfit))
    return tuple(steps)


def _misfit(name: str, takes: Sequence[str], possible: frozenset[str], maker: str) -> str | None:
    """Why something cannot take what a step makes; None where it can, or where an earlier misfit leaves nothing to compare."""
    if not possible or possible & {*takes}:
        return None
    given = f"{maker} makes {' or '.join(sorted(possible))}" if maker else f"there is {' or '.join(sorted(possible))}"
    return f"{name} takes {' or '.join(takes)} series, but {given}"
