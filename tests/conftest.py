"""Shared by all tests: small scenarios that run in seconds."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest_plugins = ["benchsuite.pytest_plugin"]  # an installation registers it itself

TINY = """\
schema: 1
name: tiny
phantom: {kind: core_shell, atoms: 19, shell_layers: 1}
simulation: {method: prism, sampling_A: 0.2, prism_interpolation: 2}
acquisition:
  tilts: {range_deg: [-90, 90], count: 8}
  scan: {step_A: 0.4, positions: [36, 36]}
  detector: {inner_mrad: 22, outer_mrad: 32}
reconstructors: [resire, wbp]
sweep: [{acquisition.dose_e_per_A2: [.inf, 1e7]}]
analysis: {species: [Cu, Au]}
"""


@pytest.fixture
def tiny_scenario():
    """The text of a scenario with two reconstructors and two doses on 19 atoms: seconds."""
    return TINY


class CommandLine:
    """`benchsuite` in a process, as a user starts it in a folder."""

    def __init__(self, python=sys.executable):
        self.python = python

    def words(self, *words):
        return [str(self.python), "-m", "benchsuite.cli", *map(str, words)]

    def __call__(self, folder, *words, status=0, env=None):
        """Run to the end, check the exit status, and return the finished process with what it wrote as text."""
        streams = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
        done = subprocess.run(self.words(*words), cwd=folder, env={**os.environ, **(env or {})}, timeout=300, **streams)
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        return done

    def start(self, folder, *words, env=None, **options):
        """Start a process and return it."""
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(self.words(*words), cwd=folder, env={**os.environ, **(env or {})}, **streams, **options)


@pytest.fixture(scope="session")
def cli_run():
    return CommandLine()


ODD = '''
import ctypes, os, signal, sys, time
import numpy as np
import psutil
from benchsuite.contract import Iterate, Reconstructor
from benchsuite.params import Params

leaked = []


class Odd(Reconstructor):
    title = "does what it is told"
    reference = "none"

    class Params(Params):
        how: str = "fine"
        number: int = 0
        seconds: float = 0.0

    def reconstruct(self, series, context):
        if "ODD_LOG" in os.environ:
            with open(os.environ["ODD_LOG"], "a") as log:
                log.write(f"{self.params.number}\\n")
        how = self.params.how
        if how == "by number":
            how = fate(self.params.number)
        if how == "leak":
            leaked.append(how)
            os.environ["LEAKED"] = "yes"
            np.zeros = None
        if how == "look" and (leaked or "LEAKED" in os.environ or np.zeros is None):
            raise RuntimeError("another cell was here")
        if how == "raise":
            raise RuntimeError(f"no such luck in {self.params.number}")
        if how == "segfault":
            ctypes.string_at(0)
        if how == "hang":
            time.sleep(1000)
        if how == "eat":
            hoard = []
            while True:
                hoard.append(np.ones(2_500_000))
                time.sleep(0.02)
        if how == "kill its Dask worker":
            dask_worker(psutil.Process()).kill()
            time.sleep(1000)
        time.sleep(self.params.seconds)
        rng = np.random.default_rng(self.params.number)
        volume = rng.random(context.grid.shape, dtype=np.float32)
        yield Iterate(1, float(self.params.number), volume=volume)


def dask_worker(process):
    """The process that watches over this one: the parent of its fork server."""
    return process.parent().parent()


def fate(number):
    """Of a hundred: 5 crash, 5 raise, 2 hang, 2 eat all memory; which ones is a matter of their number."""
    place = (number * 37 + 11) % 100
    for how, upper in (("segfault", 5), ("raise", 10), ("hang", 12), ("eat", 14)):
        if place < upper:
            return how
    return "fine"
'''

ODD_SCENARIO = """\
schema: 1
name: odd
phantom: {kind: core_shell, atoms: 13, shell_layers: 1}
simulation: {engine: incoherent, sampling_A: 0.2}
microscope: {semiangle_mrad: 20}
acquisition:
  tilts: {angles_deg: [0, 60]}
  scan: {step_A: 0.8, positions: [16, 16]}
  detector: {inner_mrad: 21, outer_mrad: 25}
reconstructors: [odd]
analysis: {species: [Cu, Au]}
"""


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """A folder with `odd.yaml`, whose cells cost nothing, and the plugin `odd.py`, which is loaded. It is the current folder."""
    from benchsuite import registry

    (tmp_path / "odd.py").write_text(ODD)
    (tmp_path / "odd.yaml").write_text(ODD_SCENARIO)
    registry.load_plugin(tmp_path / "odd.py")
    monkeypatch.chdir(tmp_path)
    return tmp_path
