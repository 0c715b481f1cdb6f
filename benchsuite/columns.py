"""Columns of the results table: declared once by what fills them, stored with a run, read by all that shows or compares them.

A name may hold placeholders: `recall_<El>_pct` stands for a column per element, `resolution_<axis>_A` for x, y and z. Titles and
descriptions hold the same ones.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Direction = Literal["lower", "higher", "neither"]
Role = Literal["headline", "score", "detail", "fact", "cost"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
PLACEHOLDERS = {"<El>": ("[A-Z][a-z]?", "Au"), "<axis>": ("[xyz]", "x")}  # pattern, and an example
_PLACEHOLDER = re.compile("|".join(PLACEHOLDERS))


@dataclass(frozen=True)
class Margin:
    """How much a value may get worse between two runs before it counts.

    relative: as a fraction of the base value. floor: at least so much, in the unit of the column. one_of: for percentages, the
    column with the number that is 100%; a change of exactly one of them lies within the margin.
    """

    relative: float = 0.02
    floor: float = 1e-12
    one_of: str = ""

    def about(self, base: float, count: float | None = None) -> float:
        """Return the margin about a base value, in the unit of the column. `count`: the value of the column `one_of`."""
        one = 100.0 / count if count else 0.0
        return max(self.relative * abs(base), self.floor, one * (1 + 1e-9))  # whatever the rounding of the percentage


@dataclass(frozen=True)
class Column:
    """A column of the results table.

    title: noun phrase without the unit, for headings, axes and lists. description: what `info` and `list` say beyond the title.
    direction: which values are better. margin: what `compare` allows; columns with a direction are compared.
    role: "headline", what a comparison tests as a family of its own; "score", shown in summaries, too; "detail", shown where all
        columns are; "fact", no score but what others rest on; "cost", compared as a ratio without a verdict.
    figure: of a detail, the figure with which a scenario asks for it in its summary.
    bound_of: columns that have this one as their lower bound; of the first, the ratio to the bound is shown.
    ranking: methods are ranked by the column of the least such number that a run has values of; 0: never by this one.
    """

    name: str
    title: str
    unit: str = ""
    direction: Direction = "neither"
    margin: Margin = Margin()
    role: Role = "score"
    description: str = ""
    figure: str = ""
    bound_of: tuple[str, ...] = ()
    ranking: int = 0

    @property
    def per_element(self) -> bool:
        """Whether there is one for each element."""
        return "<El>" in self.name

    @property
    def compared(self) -> bool:
        """Whether two runs are compared by it."""
        return self.direction != "neither" and self.role not in ("fact", "cost")

    @property
    def sign(self) -> float:
        """+1 where larger values are worse, -1 where they are better."""
        return -1.0 if self.direction == "higher" else 1.0

    @property
    def heading(self) -> str:
        """Title and unit: "RMSD (pm)"."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def of(self, name: str) -> Column | None:
        """Return the column that a name stands for, with its placeholders filled in; None where the name is another one's."""
        if name == self.name:
            return self
        found = _pattern(self.name).fullmatch(name)
        if found is None:
            return None
        fill = functools.partial(_filled, _PLACEHOLDER.findall(self.name), found.groups())
        bounded = tuple(map(fill, self.bound_of))
        return dataclasses.replace(self, name=name, title=fill(self.title), description=fill(self.description), bound_of=bounded)

    def clashes(self, other: Column) -> bool:
        """Whether some name would belong to both."""
        return self.of(_example(other.name)) is not None or other.of(_example(self.name)) is not None

    def to_json(self) -> dict[str, Any]:
        """Return plain values; those that are defaults are left out."""
        fields = dataclasses.fields(self)
        plain = {field.name: value for field in fields if (value := getattr(self, field.name)) != field.default}
        return plain | ({"margin": vars(self.margin)} if "margin" in plain else {})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Column:
        """Return the column that `to_json` described."""
        margin, bounded = Margin(**data.get("margin", {})), tuple(data.get("bound_of", ()))
        return cls(**{**data, "margin": margin, "bound_of": bounded})


@functools.cache
def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(_PLACEHOLDER.sub(lambda found: f"({PLACEHOLDERS[found[0]][0]})", name))


def _example(name: str) -> str:
    return _PLACEHOLDER.sub(lambda found: PLACEHOLDERS[found[0]][1], name)


def _filled(placeholders: list[str], values: tuple[str, ...], text: str) -> str:
    for placeholder, value in zip(placeholders, values, strict=True):
        text = text.replace(placeholder, value, 1) if placeholders.count(placeholder) > 1 else text.replace(placeholder, value)
    return text


class Columns:
    """Declared columns, in the order of tables."""

    def __init__(self, declared: Iterable[Column] = ()) -> None:
        self.declared = tuple({column.name: column for column in reversed(tuple(declared))}.values())[::-1]
        self._known: dict[str, Column | None] = {}

    def __iter__(self) -> Iterator[Column]:
        return iter(self.declared)

    def get(self, name: str) -> Column | None:
        """Return the column of a name, with its placeholders filled in; None where none is declared."""
        if name not in self._known:
            self._known[name] = next((found for column in self.declared if (found := column.of(name)) is not None), None)
        return self._known[name]

    def ordered(self, names: Iterable[str]) -> list[str]:
        """Return names in the order in which their columns are declared, those of a pattern by the alphabet, others last."""
        names = sorted(dict.fromkeys(names))
        found = [name for column in self.declared for name in names if column.of(name) is not None]
        return [*dict.fromkeys(found), *(name for name in names if name not in found)]

    def bound_of(self, name: str) -> str | None:
        """Return the name of the column that is the lower bound of another one; None where none is declared."""
        for column in self.declared:
            for bounded in column.bound_of:
                found = _pattern(bounded).fullmatch(name)
                if found is not None:
                    return _filled(_PLACEHOLDER.findall(bounded), found.groups(), column.name)
        return None

    def with_bounds(self, names: Iterable[str]) -> list[str]:
        """Return names with every bound right behind the first column that it bounds, where both are there."""
        names = list(names)
        bounds = {column.name: column.bound_of[0] for name in names if (column := self.get(name)) is not None and column.bound_of}
        found = [name for name in names if bounds.get(name) not in names]
        for bound, bounded in bounds.items():
            if bounded in names:
                found.insert(found.index(bounded) + 1, bound)
        return found

    def to_json(self) -> list[dict[str, Any]]:
        """Return plain values."""
        return [column.to_json() for column in self.declared]

    @classmethod
    def from_json(cls, data: Iterable[Mapping[str, Any]]) -> Columns:
        """Return what `to_json` described."""
        return cls(map(Column.from_json, data))
