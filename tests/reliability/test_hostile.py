"""Scenario files that mean no good, written by hand and by chance: refused with a place, cheaply, and nothing of them is done.

Hostile data files: `tests/measured/test_hostile_files.py`.
"""

from __future__ import annotations

import os
import random
import resource
import time
from pathlib import Path

import pytest

from benchsuite.errors import BenchsuiteError, ScenarioError
from benchsuite.runner.plan import check_specimens
from benchsuite.scenario import load

pytestmark = pytest.mark.slow
FUZZED = 2000
GOOD = """\
schema: 1
name: good
phantom: {kind: core_shell, atoms: 55}
simulation: {method: prism, sampling_A: 0.2}
acquisition:
  tilts: {range_deg: [-90, 90], count: 5}
  scan: {step_A: 0.4, positions: [40, 40]}
  detector: {inner_mrad: 22, outer_mrad: 30}
reconstructors: [resire, {use: sirt, label: slow, iterations: 7}]
sweep: [{acquisition.dose_e_per_A2: [.inf, 1e7]}]
analysis: {species: [Cu, Au]}
"""
HUGE = "9" * 5000
BY_HAND = {  # what is put in the place of what
    "name: good": [
        "name: !!python/object/apply:os.system ['touch owned']",
        "name: !!python/name:os.system",
        "name: !<tag:yaml.org,2002:python/module:os> x",
        "name: &a [*a]",
        "name: &a x\ntitle: *a",
        "name: {<<: {a: 1}}",
        "name: ../../owned",
        "name: /tmp/owned",
        "name: 'a/b'",
        "name: ..",
        "name: ''",
        'name: "a\\0b"',
        "name: null",
        "name: [x]",
        "name: {a: b}",
        "name: 1e400",
        "name: good\nname: good",
        "name: good\n? [a]: b",
        'name: good\n"__class__": x',
        "name: good\nseed: " + HUGE,
        "name: good\nseed: 1.5",
        "name: good\nrepeats: 1e9",
        'name: "\\ud800"',
        "name: good\n--- \nname: other",
        "name: good\n%YAML 9.9",
        "name: \t",
        "name: good\n" + "[" * 3000,
        "name: good\nfigures: [../../x]",
        "name: good\nredraw: everything",
    ],
    "atoms: 55": [
        "atoms: 1e30",
        "atoms: -1",
        "atoms: .nan",
        "atoms: .inf",
        "atoms: '55'",
        "atoms: 0x7fffffffffffffffff",
        "atoms: 55, file: /etc/passwd",
    ],
    "kind: core_shell, atoms: 55": [
        "kind: file, path: /etc/passwd",
        "kind: file, path: ../../../etc/shadow",
        "kind: file, path: /dev/zero",
        "kind: os.system",
    ],
    "count: 5": ["count: 1e15", "count: 0", "count: .nan", "count: 5, axis: [0, 0, 0]"],
    "positions: [40, 40]": ["positions: [1e9, 1e9]", "positions: [40]", "positions: [-1, 40]"],
    "sweep: [{acquisition.dose_e_per_A2: [.inf, 1e7]}]": [
        "sweep: [{__class__.__init__: [1]}]",
        "sweep: [{reconstructors.0.use: [os]}]",
        "sweep: [" + ", ".join(f"{{seed: {list(range(100))}}}" for _ in range(5)) + "]",
        "sweep: {a: b}",
        "sweep: [{zip: {seed: [1], repeats: [1, 2]}}]",
    ],
    "[resire,": ["[{use: resire, preprocess: [{use: ../x}]},", "[__import__,", "[{resire: {iterations: .nan}},"],
}
HOSTILE = [GOOD.replace(old, new, 1) for old, news in BY_HAND.items() for new in news]


class Refusals:
    """Loads files; how long each took, on the clock and of the processor, and how much memory all of them."""

    def __init__(self, folder: Path) -> None:
        self.file, self.accepted, self.placeless = folder / "hostile.yaml", 0, list[str]()
        self.seconds, self.cpu_seconds = [0.0], [0.0]
        load(self._written(GOOD))
        self.before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def _written(self, text: str | bytes) -> Path:
        self.file.write_bytes(text if isinstance(text, bytes) else text.encode(errors="surrogatepass"))
        return self.file

    def load(self, text: str | bytes) -> None:
        """Load a file and build its particle; nothing but an error that names the place may come out."""
        started, cpu_started = time.perf_counter(), time.process_time()
        try:
            check_specimens(load(self._written(text)))
            self.accepted += 1
        except ScenarioError as error:
            self.placeless += [str(problem) for problem in error.problems if str(self.file) not in problem.where]
        except BenchsuiteError as error:  # of a particle's file: it names that file
            self.placeless += [str(error)] * ("/" not in str(error))
        self.seconds.append(time.perf_counter() - started)
        self.cpu_seconds.append(time.process_time() - cpu_started)

    def memory_MB(self) -> float:
        return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - self.before) / 1e3


@pytest.fixture
def untouched(tmp_path, monkeypatch):
    """A folder, the current one, in which nothing may appear besides what the test writes."""
    inside = tmp_path / "inside"
    inside.mkdir()
    monkeypatch.chdir(inside)
    yield inside
    assert {path.name for path in tmp_path.iterdir()} == {"inside"}
    assert {path.name for path in inside.iterdir()} <= {"hostile.yaml"}
    assert not os.path.exists("/tmp/owned")


def told(refusals: Refusals, count: int) -> str:
    return (
        f"{count - refusals.accepted} refused by a message with the place, {refusals.accepted} are scenarios; at most "
        f"{max(refusals.seconds):.2f} s each, {max(refusals.cpu_seconds):.2f} s of CPU time, "
        f"{refusals.memory_MB():.0f} MB more memory; no code run, no file written"
    )


def test_written_by_hand(untouched, shown):
    assert len(HOSTILE) >= 50
    refusals = Refusals(untouched)
    for text in HOSTILE:
        refusals.load(text)
        assert refusals.accepted == 0, text[:300]
    assert refusals.placeless == []
    assert refusals.memory_MB() < 200
    shown(f"{len(HOSTILE)} hostile scenarios written by hand", told(refusals, len(HOSTILE)))


def test_fuzzed(untouched, shown):
    rng, refusals = random.Random(0), Refusals(untouched)
    for _ in range(FUZZED):
        refusals.load(fuzzed(rng))
    assert refusals.placeless == []
    assert refusals.memory_MB() < 200
    shown(f"{FUZZED} scenarios fuzzed", told(refusals, FUZZED))


PIECES = [
    b"[",
    b"]",
    b"{",
    b"}",
    b": ",
    b"- ",
    b"&a ",
    b"*a",
    b"!!x ",
    b"\n",
    b"\x00",
    b"\xff",
    b"\t",
    b"'",
    b'"',
    b"#",
    b"|",
    b"1e999",
    b".nan",
    b"../",
    b"-",
]


def fuzzed(rng: random.Random) -> bytes:
    """The good scenario with a few random changes: bytes replaced, pieces put in, parts cut out, doubled or swapped."""
    text = bytearray(GOOD.encode())
    for _ in range(rng.randint(1, 6)):
        at, length = rng.randrange(len(text)), rng.randint(1, 30)
        change = rng.randrange(5)
        if change == 0:
            text[at] = rng.randrange(256)
        elif change == 1:
            text[at:at] = rng.choice(PIECES) * rng.choice([1, 1, 1, 50])
        elif change == 2:
            del text[at : at + length]
        elif change == 3:
            text[at:at] = text[at : at + length]
        else:
            other = rng.randrange(len(text))
            text[at : at + length] = text[other : other + length]
        text = text or bytearray(b" ")
    return bytes(text)
