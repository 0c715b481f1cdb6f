"""What `list` and `info` show of everything registered, and of scenarios: titles, references, parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchsuite import registry
from benchsuite.columns import Column
from benchsuite.contract.metric import AnyMetric
from benchsuite.contract.settings import Simulation
from benchsuite.errors import UnknownNameError
from benchsuite.params import Params
from benchsuite.phantoms.substrate import Substrate
from benchsuite.results import COSTS, LEADING, SETTING
from benchsuite.scenario import library
from benchsuite.scenario.metrics import ordered_metrics
from benchsuite.scenario.positions import read_document

KINDS = {registry.GROUPS[kind].removeprefix("benchsuite."): kind for kind in registry.BASES}  # as a user writes it


def entries(what: str) -> Sequence[tuple[str, str]]:
    """Return (name, title) of everything of a kind: phantoms, simulators, ..., metrics (with their columns), or scenarios."""
    if what == "metrics":
        return [entry for name, cls in ordered_metrics() for entry in _of_metric(name, cls)]
    if what in KINDS:
        return [(name, registry.registered(KINDS[what], name).title) for name in registry.names(KINDS[what])]
    if what == "scenarios":
        return [(name, _title(name)) for name in library.names()]
    raise UnknownNameError("list", what, [*KINDS, "scenarios"])


def _of_metric(name: str, cls: type[AnyMetric]) -> Iterator[tuple[str, str]]:
    yield name, cls.title if cls.default else f"{cls.title} (on request: analysis.metrics)"
    for column in cls.declared():
        yield f"  {column.name}", _explained(column)


def _explained(column: Column) -> str:
    return f"{column.heading}: {column.description}" if column.description else column.heading


def describe(name: str) -> str:
    """Return the description of anything that has a name, columns of the results table included. Raises UnknownNameError."""
    found = [_describe_class(kind, name) for kind in registry.BASES if name in registry.names(kind)]
    if found:
        return "\n\n".join(found)
    metrics = [(f" (metric {metric})", column) for metric, cls in ordered_metrics() for column in cls.declared()]
    columns = [*metrics, *(("", column) for column in (*LEADING, *COSTS, *SETTING))]
    for owner, column in columns:
        if (concrete := column.of(name)) is not None:
            return f"{name}{owner}: {_explained(concrete)}{_better(concrete)}"
    if name in library.names():
        value = read_document(library.resolve(name)).value
        return f"{name}: {value.get('title', '')}\n{value.get('description', '')}".rstrip()
    everything = [name for kind in registry.BASES for name in registry.names(kind)]
    raise UnknownNameError("name", name, [*everything, *(column.name for _, column in columns), *library.names()])


def _better(column: Column) -> str:
    return "" if column.direction == "neither" else f"; {column.direction} is better"


def _describe_class(kind: str, name: str) -> str:
    cls = registry.registered(kind, name)
    lines = [f"{name} ({kind}): {cls.title}", f"reference: {cls.reference}"]
    if kind == "reader":
        written = [what for what, format in (("stacks and volumes", "stack"), ("whole series", "series")) if cls.writes(format)]
        return "\n".join([*lines, f"suffixes: {' '.join(cls.suffixes)}", f"can be written: {', '.join(written) or 'no'}"])
    if kind == "metric":
        lines += ["columns:", *(f"  {column.name:<28} {_explained(column)}{_better(column)}" for column in cls.declared())]
    if kind == "simulator":
        lines.append(f"makes: {', '.join(cls.modalities)}")
    if kind == "figure":
        needs = ", ".join(sorted(cls.needs)) or "nothing in particular"
        return "\n".join([*lines[: 2 if cls.reference else 1], cls.caption, f"drawn where a run has: {needs}"])
    lines += ["parameters:", *_described(cls.Params)] if cls.Params.model_fields else ["parameters: none"]
    if kind == "simulator":
        lines += [
            "settings of all engines that it reads (simulation: {...}):",
            *_described(Simulation, ("engine", "params", *cls.unread)),
        ]
    if kind == "phantom":
        lines += ["on a film, of any phantom (substrate: {...}):", *_described(Substrate)]
    return "\n".join(lines)


def _described(params: type[Params], hidden: Sequence[str] = ()) -> list[str]:
    lines = []
    for key, field in params.model_fields.items():
        if key in hidden:
            continue
        default = "required" if field.is_required() else f"default {field.default!r}"
        lines.append(f"  {key:<22} {default:<24} {field.description or ''}".rstrip())
    return lines


def _title(name: str) -> str:
    value = read_document(library.resolve(name)).value
    return str(value.get("title", "")) if isinstance(value, dict) else ""
