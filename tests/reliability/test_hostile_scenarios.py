"""Scenario files written to do harm, by hand and by a fuzzer: refused with the place, in little memory, and nothing is run."""

from __future__ import annotations

import os
import random
import re
import resource

import pytest

from benchsuite.errors import BenchsuiteError
from benchsuite.runner.plan import check_memory, check_specimens, plan
from benchsuite.scenario import library, load
from benchsuite.store import Store

GROWTH_BYTES = 200e6
LONGEST_MESSAGE = 20_000
SEEDS = range(150)

NOT_YAML = {
    "empty": "",
    "a number": "1",
    "nul bytes": "\0" * 100,
    "two documents": "schema: 1\n---\nschema: 1\n",
    "python object": "schema: !!python/object/apply:os.system ['touch pwned']\n",
    "python name": "name: !!python/name:os.system\n",
    "merge key": "schema: 1\n<<: {name: x}\n",
    "alias bomb": "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c]\n",
    "deep nesting": "a: " + "[" * 5000 + "]" * 5000,
    "deep mappings": "".join(" " * i + "a:\n" for i in range(500)),
    "half a line": "schema: 1\nname: [",
    "tabs": "schema: 1\n\tname: x\n",
    "not UTF-8": b"schema: 1\nname: \xff\xfe\n",
    "two megabytes": "# " + "x" * 2_000_000,
    "duplicate": "schema: 1\nschema: 1\n",
    "a thousand unknown keys": "schema: 1\n" + "".join(f"k{i}: 1\n" for i in range(1000)),
}
SETTINGS = (
    "name=../../outside",
    "name=/etc/outside",
    "name=a b",
    "schema=2",
    "seed=one",
    "repeats=1e9",
    "phantom={kind: core_shell, atoms: 1e12}",
    "phantom={kind: core_shell, diameter_A: 1e6}",
    "phantom={kind: core_shell, diameter_A: 2000}",
    "phantom={kind: core_shell, atoms: 19, lattice_A: 1e-9}",
    "phantom={kind: amorphous, atoms: 1e12}",
    "phantom={kind: amorphous, atoms: 2e7, density_per_A3: 1e-12}",
    "phantom={kind: spinel, edge_A: 1e6}",
    "phantom={kind: spinel, edge_A: 2000}",
    "phantom={kind: decahedron, p: 1e6}",
    "phantom={kind: stack, radius_A: 2000, cells: 200}",
    "phantom={kind: file, path: /dev/zero}",
    "phantom={kind: file, path: ../../../../../../etc/passwd}",
    "phantom={kind: os.system}",
    "phantom={kind: core_shell, atoms: 19, substrate: {radius_A: 2000}}",
    "acquisition.tilts.count=1e9",
    "acquisition.tilts={angles_deg: [.nan]}",
    "acquisition.tilts={matrices: [[[1, 0, 0], [0, 1, 0], [0, 0, -1]]]}",
    "acquisition.scan.positions=[100000, 100000]",
    "acquisition.scan.step_A=1e300",
    "acquisition.scan.step_A=1e-9",
    "acquisition.dose_e_per_A2=.nan",
    "acquisition.dose_e_per_A2=-1",
    "simulation.sampling_A=1e-6",
    "simulation.slice_A=1e-9",
    "grid.shape=[100000, 100000, 100000]",
    "grid.voxel_A=1e-6",
    "microscope.defocus_A=1e308",
    "microscope.energy_keV=1e-300",
    "microscope.aberrations_A={__class__: 1}",
    "reconstructors=[__import__('os')]",
    "reconstructors=[{use: lot, grid_A: 1e-9}]",
    "analysis.species=[Xx]",
    "sweep=[{seed: [1, 2], zip: {seed: [1]}}]",
    "sweep=[{nothing.like.this: [1]}]",
    "limits.memory_GB=1e-9",
)


def attempt(source, *settings):
    """Load and plan; return (the refusal or "", growth of memory in bytes)."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    message = ""
    try:
        loaded = load(str(source), "desk", list(settings))
        if settings:  # those of the fuzzer are as large as the library's
            check_specimens(loaded)
            check_memory(plan(loaded, Store(source.parent / "store")), 2)
    except BenchsuiteError as error:
        message = str(error)
    growth = 1024.0 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    return message, growth


@pytest.fixture
def scenario(tmp_path, tiny_scenario, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "tiny.yaml"
    file.write_text(tiny_scenario)
    assert attempt(file)[0] == ""
    return file


@pytest.mark.parametrize("name", NOT_YAML)
def test_malformed_scenarios_are_refused_with_their_place(scenario, name):
    text = NOT_YAML[name]
    scenario.write_bytes(text if isinstance(text, bytes) else text.encode())
    message, growth = attempt(scenario)
    assert "tiny.yaml" in message
    assert len(message) < LONGEST_MESSAGE
    assert growth < GROWTH_BYTES
    assert os.listdir(scenario.parent) == ["tiny.yaml"]


@pytest.mark.parametrize("setting", SETTINGS)
def test_impossible_specimens_are_refused_before_they_are_built(scenario, setting):
    message, growth = attempt(scenario, setting)
    assert message, f"{setting} was accepted"
    key = setting.split("=")[0]
    section = key.split(".")[0]
    assert any(word in message for word in (section, "GB", "cells")), f"{message!r} does not tell about {key}"
    assert growth < GROWTH_BYTES


def test_damaged_scenarios_are_valid_or_refused_with_their_place(tmp_path, monkeypatch):
    """Lines of the library's scenarios cut, repeated, moved, and their values replaced by hostile ones."""
    monkeypatch.chdir(tmp_path)
    texts = [library.resolve(name).read_text() for name in library.names()]
    refused = 0
    for seed in SEEDS:
        rng = random.Random(seed)
        file = tmp_path / "case.yaml"
        file.write_text(damaged(rng, rng.choice(texts)))
        message, growth = attempt(file)
        assert not message or "case.yaml" in message, f"seed {seed}: {message!r} does not name the file"
        assert len(message) < LONGEST_MESSAGE, f"seed {seed}: a message of {len(message)} characters"
        assert growth < GROWTH_BYTES, f"seed {seed}: {growth / 1e6:.0f} MB"
        refused += bool(message)
    assert refused > 0.5 * len(SEEDS)
    assert os.listdir(tmp_path) == ["case.yaml"]


VALUES = (
    "1e308", "-1", "0", ".nan", "-.inf", ".inf", "1e-300", "999999999999", "'x'", "[]", "{}", "[[[]]]", "null", "true",
    "../../etc/passwd", "/etc/passwd", '"\\0"', "!!python/object/apply:os.system ['touch pwned']", "*a", "&a 1", "1e400",
    "0x7fffffffffffffffffffffff", "[1,2,3]", "{a: b}", "'" + "A" * 10_000 + "'", "${HOME}", "__import__('os')", '"\\u202e"', "-0.0",
    "1_000", "2026-11-21", "'%s%n'", "[.nan, .nan, .nan]", "'<script>'",
)  # fmt: skip


def damaged(rng, text):
    """The text after one to four changes."""
    lines = text.split("\n")
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(lines))
        line = lines[at]
        words, numbers = list(re.finditer(r"[a-z_A]+", line)), list(re.finditer(r"-?\d+(\.\d+)?(e\d+)?", line))
        kind = rng.randrange(9)
        if kind == 0:
            lines[at] = line[: rng.randrange(len(line) + 1)]
        elif kind == 1:
            lines[at] = f"{line.split(':', 1)[0]}: {rng.choice(VALUES)}"
        elif kind == 2 and numbers:
            number = rng.choice(numbers)
            lines[at] = line[: number.start()] + rng.choice(VALUES) + line[number.end() :]
        elif kind == 3:
            lines[at] = " " * rng.randrange(8) + line
        elif kind == 4:
            lines.insert(at, rng.choice(lines))
        elif kind == 5:
            lines = [*lines[:at], *lines[at + 1 :]] or [""]
        elif kind == 6:
            column = rng.randrange(len(line) + 1)
            lines[at] = line[:column] + chr(rng.choice((0, 9, 13, 27, 34, 58, 91, 123, 0x2028, 0xFEFF, 0x1F600))) + line[column:]
        elif kind == 7 and words:
            word = rng.choice(words)
            lines[at] = line[: word.end() - 1] + line[word.end() :]
        elif kind == 8:
            lines[at] = line * rng.choice((2, 50))
    return "\n".join(lines)
