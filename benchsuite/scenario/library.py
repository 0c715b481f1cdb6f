"""The scenario library: names such as `quickstart` and `mset_2023/fig3`."""

from __future__ import annotations

from pathlib import Path

from benchsuite import scenarios
from benchsuite.errors import Problem, ScenarioError, choices

ROOT = Path(next(iter(scenarios.__path__)))


def names() -> list[str]:
    """Return the sorted names of all scenarios in the library."""
    return sorted(str(file.relative_to(ROOT).with_suffix("")) for file in ROOT.rglob("*.yaml"))


def resolve(source: str | Path) -> Path:
    """Return the file of a library name, or the path itself. Raises ScenarioError with the nearest name."""
    text = str(source)
    if text in names():
        return ROOT / f"{text}.yaml"
    path = Path(source)
    if not path.exists() and path.suffix not in (".yaml", ".yml"):
        raise ScenarioError([Problem("", text, f"neither a file nor a scenario of the library; {choices(text, names())}")])
    return path
