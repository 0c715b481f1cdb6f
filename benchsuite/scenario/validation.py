"""From pydantic's errors to problems in a user's words: the place, the key, what is wrong, what is allowed."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from benchsuite import registry
from benchsuite.errors import BenchsuiteError, Problem, choices
from benchsuite.scenario.positions import Document, KeyPath

M = TypeVar("M", bound=BaseModel)
NAMED = "a name, or name: {...}"

_WORDING = {
    "missing": "is missing",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping of keys",
    "model_type": "must be a mapping of keys",
    "model_attributes_type": "must be a mapping of keys",
    "tuple_type": "must be a list",
    "finite_number": "must be finite",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "allowed: {expected}",
    "too_short": "needs at least {min_length} entries",
    "too_long": "may have at most {max_length} entries",
    "value_error": "{error}",
}


def validate(model: type[M], value: Any, document: Document, base: KeyPath, problems: list[Problem]) -> M | None:
    """Return the validated model, or None after adding every problem found to `problems`."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found: dict[KeyPath, tuple[Any, list[str]]] = {}
        for item in error.errors():
            path = _existing(value, item["loc"], item["type"] == "missing")
            found.setdefault(path, (item, []))[1].append(_message(model, item))
        for path, (item, messages) in found.items():
            message = "; or ".join(dict.fromkeys(messages))
            shown = "" if item["type"] in ("missing", "extra_forbidden", "value_error") else f"{_short(item['input'])} "
            problems.append(document.problem((*base, *path), f"{shown}{message}"))
        return None


def registered(kind: str, entry: Any, document: Document, path: KeyPath, problems: list[Problem], form: str = NAMED) -> Any:
    """Return the registered class that an entry {use: name, ...} names, or None after adding the problem with it."""
    message = f"{entry!r} must be {form}"
    if isinstance(entry, dict) and isinstance(entry.get("use"), str):
        try:
            return registry.registered(kind, entry["use"])
        except BenchsuiteError as error:
            message = str(error)
    problems.append(document.problem(path, message))
    return None


def _existing(value: Any, location: tuple[int | str, ...], missing: bool) -> KeyPath:
    """Drop what pydantic adds to a location (names of union members, dict markers) but keep a missing key's name."""
    path: list[str | int] = []
    for part in location:
        inside = isinstance(value, Mapping) and part in value
        inside = inside or (isinstance(value, (list, tuple)) and isinstance(part, int) and part < len(value))
        if inside:
            path.append(part)
            value = value[part]
        elif missing and part == location[-1]:
            path.append(part)
    return tuple(path)


def _message(model: type[BaseModel], item: Any) -> str:
    if item["type"] == "extra_forbidden":
        allowed = _fields_at(model, item["loc"][:-1])
        return f"unknown key; {choices(str(item['loc'][-1]), allowed)}"
    wording = _WORDING.get(item["type"])
    return wording.format(**item.get("ctx", {})) if wording else str(item["msg"])


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    for part in location:
        named = {field.alias or name: field for name, field in model.model_fields.items()}
        if isinstance(part, int) or part not in named:
            continue
        inner = _models_in(named[part].annotation)
        if inner:
            model = inner[0]
    return [field.alias or name for name, field in model.model_fields.items()]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in typing.get_args(annotation) for found in _models_in(argument)]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
