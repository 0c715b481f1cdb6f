"""YAML 1.2 to plain Python, with the place of every key, and without what does not belong in a scenario.

`1e5` is a number and `no` a string, as YAML 1.2 has it. Anchors, aliases, tags, duplicate keys, several documents, deep nesting
and large files are refused, every one with its line and column.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchsuite.errors import Problem, ScenarioError

MAX_BYTES = 1_000_000
MAX_DEPTH = 32

KeyPath = tuple[str | int, ...]

_INTEGER = re.compile(r"[-+]?[0-9]{1,300}|0o[0-7]{1,300}|0x[0-9a-fA-F]{1,300}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}


@dataclass
class Document:
    """Plain values and where each stands: `places` maps a key path to "file:line:column"."""

    value: Any
    source: str
    places: dict[KeyPath, str] = field(default_factory=dict)

    def place(self, path: KeyPath) -> str:
        """Return the place of the nearest enclosing key that was written down."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, self.source)

    def problem(self, path: KeyPath, message: str) -> Problem:
        """Return what is wrong with the key at a path."""
        return Problem(self.place(path), dotted(path), message)


def read_document(file: Path) -> Document:
    """Read one scenario file. Raises ScenarioError that says what is wrong with it, and where."""
    source = str(file)
    try:
        if file.is_dir():
            raise _error(source, "is a folder; a scenario is a YAML file")
        size = file.stat().st_size
        if size > MAX_BYTES:
            raise _error(source, f"has {size:,} bytes; a scenario file may have at most {MAX_BYTES:,}")
        data = file.read_bytes()
    except FileNotFoundError:
        raise _error(source, "no such file") from None
    except (OSError, ValueError) as error:
        raise _error(source, f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _error(source, f"is not UTF-8 text (byte {error.start})") from None
    return parse(text, source)


def parse(text: str, source: str) -> Document:
    """Parse YAML text. Raises ScenarioError with every problem found (a syntax error ends the search)."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    reader = _Reader(Document(None, source))
    try:
        reader.read(iter(YAML(typ="safe", pure=True).parse(text)))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
        what = " ".join(part for part in (error.context, error.problem) if part)
        reader.problems.append(Problem(place, "", f"not valid YAML: {what}"))
    except (YAMLError, ValueError, RecursionError) as error:
        reader.problems.append(Problem(source, "", f"not valid YAML: {str(error).splitlines()[0] if str(error) else error!r}"))
    if reader.problems:
        raise ScenarioError(reader.problems)
    return reader.document


class _Reader:
    """Builds values from the parser's events, one nesting level per call."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []

    def read(self, events: Iterator[Any]) -> None:
        documents = 0
        for event in events:
            kind = type(event).__name__
            if kind == "DocumentStartEvent":
                documents += 1
                if documents > 1:
                    self._problem(event, (), "a second document; a scenario file holds one")
                    return
            elif kind not in ("StreamStartEvent", "StreamEndEvent", "DocumentEndEvent"):
                self.document.value = self._node(event, events, (), 0)
        if documents == 0 or self.document.value is None:
            self.problems.append(Problem(self.document.source, "", "is empty; a scenario is a mapping of keys"))

    def _node(self, event: Any, events: Iterator[Any], path: KeyPath, depth: int) -> Any:
        self.document.places.setdefault(path, self._place(event))
        kind = type(event).__name__
        if kind == "AliasEvent":
            self._problem(
                event,
                path,
                f"alias *{event.anchor}: anchors and aliases are not allowed; define the block by name",
            )
            return None
        if getattr(event, "anchor", None):
            self._problem(event, path, f"anchor &{event.anchor}: anchors and aliases are not allowed; define the block by name")
        if getattr(event, "tag", None) not in (None, "!"):
            self._problem(event, path, f"tag {event.tag}: tags are not allowed")
        if kind == "ScalarEvent":
            return _scalar(event.value) if event.style in (None, "") else event.value
        if depth >= MAX_DEPTH:
            self._problem(event, path, f"nested deeper than {MAX_DEPTH} levels")
            raise ScenarioError(self.problems)
        return (self._mapping if kind == "MappingStartEvent" else self._sequence)(events, path, depth)

    def _sequence(self, events: Iterator[Any], path: KeyPath, depth: int) -> list[Any]:
        items: list[Any] = []
        for event in events:
            if type(event).__name__ == "SequenceEndEvent":
                break
            items.append(self._node(event, events, (*path, len(items)), depth + 1))
        return items

    def _mapping(self, events: Iterator[Any], path: KeyPath, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for event in events:
            if type(event).__name__ == "MappingEndEvent":
                break
            if type(event).__name__ != "ScalarEvent":
                self._problem(event, path, "a key must be a plain word")
                self._node(event, events, (*path, "?"), depth + 1)
                self._node(next(events), events, (*path, "?"), depth + 1)
                continue
            key = str(event.value)
            if key == "<<":
                self._problem(event, path, "merge keys (<<) are not allowed; write the values out")
            if key in result:
                self._problem(event, (*path, key), f"duplicate key, first given at {self.document.places[(*path, key)]}")
            self.document.places.setdefault((*path, key), self._place(event))
            result[key] = self._node(next(events), events, (*path, key), depth + 1)
        return result

    def _place(self, event: Any) -> str:
        mark = event.start_mark
        return f"{self.document.source}:{mark.line + 1}:{mark.column + 1}"

    def _problem(self, event: Any, path: KeyPath, message: str) -> None:
        self.problems.append(Problem(self._place(event), dotted(path), message))


def dotted(path: KeyPath) -> str:
    """Return the path as a user writes it: acquisition.tilts.count."""
    return ".".join(str(part) for part in path)


def _scalar(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _error(source: str, message: str) -> ScenarioError:
    return ScenarioError([Problem(source, "", message)])
