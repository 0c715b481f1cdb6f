"""Public descriptions stand alone: a noun phrase or a sentence in the words of the field, for every option, parameter and title."""

from __future__ import annotations

import re
import typing
from pathlib import Path

import pytest
import typer.main
from pydantic import BaseModel

from benchsuite import catalogue, registry
from benchsuite.cli import app
from benchsuite.phantoms.substrate import Substrate
from benchsuite.scenario.schema import Scenario

FIRST = re.compile(r"[A-ZΑ-Ω]|[0-9Σσλ|‖⟨`]")  # a capital letter, or the number or symbol that a quantity begins with
BAD_STARTS = ("the same", "of ", "as often", "what ", "where ", "how ", "no two", "exactly ")
DIALECT = (
    "told", "tells", "somebody", "one's own", "asked", "asks", "born", "dies", "alive", "anew", "likewise", "as often", "in turn",
    "sought", "seek", "besides", "held against", "put through", "what there is",
)  # fmt: skip
SWEEP = re.compile(r"\bsweeps?\b", re.IGNORECASE)  # of parameters; one pass over the data is an iteration


def commands(group, path=()):
    """Yield (path, command) of every command of the command line."""
    for name, command in group.commands.items():
        yield (*path, name), command
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))


def of_command_line():
    for path, command in commands(typer.main.get_command(app)):
        yield "benchsuite " + " ".join(path), command.help
        for parameter in command.params:
            if parameter.name != "help":
                yield f"benchsuite {' '.join(path)} {parameter.name}", parameter.help


def of_model(model, where, described=True):
    """Yield the description of every field of a model, and of the models inside; without `described` fields without one, too."""
    for name, field in model.model_fields.items():
        if field.description is not None or not described:
            yield f"{where}.{name}", field.description
        for inner in _models_in(field.annotation):
            yield from of_model(inner, f"{where}.{name}", described)


def _models_in(annotation):
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in typing.get_args(annotation) for found in _models_in(argument)]


def of_plugins():
    """Yield titles, captions, parameters and columns of everything that is registered."""
    for kind in registry.BASES:
        for name in registry.names(kind):
            cls = registry.registered(kind, name)
            yield f"{kind} {name}", cls.title
            if hasattr(cls, "caption"):
                yield f"{kind} {name} caption", cls.caption
            if hasattr(cls, "Params"):
                yield from of_model(cls.Params, f"{kind} {name}")
            for column in cls.declared() if hasattr(cls, "declared") else ():
                yield f"{kind} {name} {column.name}", column.title
                yield f"{kind} {name} {column.name} description", column.description or column.title


TEXTS = {
    where: text
    for texts in (of_command_line(), of_model(Scenario, "scenario"), of_model(Substrate, "substrate"), of_plugins())
    for where, text in texts
}


@pytest.mark.parametrize("where", TEXTS)
def test_descriptions_stand_alone_in_words_of_the_field(where):
    text = TEXTS[where]
    assert text, "no description"
    assert FIRST.match(text), f"begins neither with a capital letter nor with a symbol: {text}"
    assert not text.lower().startswith(BAD_STARTS), f"leans on something outside: {text}"
    sentences = where.startswith("benchsuite ") or where.endswith("caption")
    assert text.endswith(".") == sentences, (
        f"a {'sentence ends' if sentences else 'noun phrase does not end'} with a full stop: {text}"
    )
    found = [word for word in DIALECT if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE)]
    assert not found, f"{found} in: {text}"


@pytest.mark.parametrize("where", [where for where in TEXTS if where.startswith(("reconstructor", "preprocessing"))])
def test_a_pass_over_the_data_is_an_iteration(where):
    assert not SWEEP.search(TEXTS[where]), TEXTS[where]


GLOSSARY = (Path(__file__).parents[1] / "docs" / "glossary.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"`([a-z_]+(?:\.[A-Za-z_0-9]+)+)(?:: [^`]*)?`", GLOSSARY)) - {"results.csv"})
)
def test_keys_in_the_glossary_are_keys_of_a_scenario(name):
    fields = {where.removeprefix("scenario.") for where, _ in of_model(Scenario, "scenario", described=False)}
    assert name in fields


@pytest.mark.parametrize(
    "name",
    sorted(
        set(re.findall(r"(?:\| |pm, |Å, |degrees, )`(\w+_(?:pct|pm|A|deg|fit|sigma)|n_\w+|recall_<El>_pct|r_factor)`", GLOSSARY))
    ),
)
def test_columns_in_the_glossary_are_described(name):
    assert catalogue.describe(name.replace("<El>", "Cu"))
