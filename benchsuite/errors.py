"""Errors that a user sees as one clear message, each with the exit status of the command line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

EXIT_OK = 0
EXIT_REGRESSION = 1
EXIT_USAGE = 2
EXIT_CELLS_FAILED = 3
EXIT_NOTHING_COMPARABLE = 4
EXIT_INTERRUPTED = 130
MOST_SHOWN = 50


class BenchsuiteError(Exception):
    """A failure that the user can act on: shown as its message, without a traceback."""

    exit_status = EXIT_USAGE


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a scenario: where (file:line:column), which key, and what is allowed."""

    where: str
    key: str
    message: str

    def __str__(self) -> str:
        parts = [part for part in (self.where, self.key, self.message) if part]
        return ": ".join(parts)


class ScenarioError(BenchsuiteError):
    """A scenario is unusable. Carries every problem found, and tells the first MOST_SHOWN."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        more = len(self.problems) - MOST_SHOWN
        told = [str(problem) for problem in self.problems[:MOST_SHOWN]]
        super().__init__("\n".join([*told, f"… and {more} more problems"] if more > 0 else told))


class UnknownNameError(BenchsuiteError):
    """A name that is in no registry; the message lists what there is and the nearest name."""

    def __init__(self, kind: str, name: str, allowed: Iterable[str]) -> None:
        self.kind, self.name = kind, name
        super().__init__(f"unknown {kind} {name!r}; {choices(name, allowed)}")


class StoreError(BenchsuiteError):
    """The store cannot be read or written (read-only folder, full disk)."""


class PhysicsError(BenchsuiteError):
    """Parameters that are well-formed but describe an impossible experiment."""


def choices(name: str, allowed: Iterable[str]) -> str:
    """Return "allowed: a, b, c", preceded by the nearest allowed name where one is near."""
    names = sorted(allowed)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}allowed: {', '.join(names) if names else '(none)'}"
