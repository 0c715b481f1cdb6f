"""The fixtures as a project that develops a reconstructor uses them, in a pytest of its own."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

SCENARIO = """\
schema: 1
name: small
seed: 4
phantom: {kind: amorphous, atoms: 6}
microscope: {semiangle_mrad: 40}
simulation: {engine: incoherent, sampling_A: 0.12, slice_A: 4.0}
acquisition:
  tilts: {range_deg: [-70, 70], count: 4}
  scan: {step_A: 0.5, positions: [20, 20]}
  detector: {inner_mrad: 45, outer_mrad: 150}
reconstructors: [mine]
analysis: {species: [Si]}
"""
MINE = """
from benchsuite.reconstructors.wbp import WBP

class Mine(WBP):
    def reconstruct(self, series, context):
        for item in super().reconstruct(series, context):
            volume = item.volume.copy()
            volume[:, :, ::2] *= QUALITY
            yield type(item)(item.iteration, item.loss, volume=volume)
"""
TESTS = """
def test_mine(benchsuite_run, assert_no_regression):
    run = benchsuite_run("small.yaml", plugins=["mine.py"], in_process=True, workers=1)
    assert_no_regression(run, "mine.baseline.json", metrics=["resolution_fsc_A", "r_factor"])
"""


@pytest.fixture
def project(pytester):
    (pytester.path / "small.yaml").write_text(SCENARIO)
    (pytester.path / "test_mine.py").write_text(TESTS)

    def session(quality, *words):
        (pytester.path / "mine.py").write_text(MINE.replace("QUALITY", str(quality)))
        return pytester.runpytest_subprocess("-p", "benchsuite.pytest_plugin", *words)

    return session


@pytest.mark.slow
def test_accept_then_pass_then_fail(project):
    first = project(1.0)
    first.assert_outcomes(failed=1)
    first.stdout.fnmatch_lines(["*no such baseline; pytest --benchsuite-accept*"])
    project(1.0, "--benchsuite-accept", "first results").assert_outcomes(passed=1)
    project(1.0).assert_outcomes(passed=1)
    worse = project(0.5)
    worse.assert_outcomes(failed=1)
    worse.stdout.fnmatch_lines(["*regressed*MINE*R-factor*"])


def test_the_plugin_is_light_to_load(pytester):
    code = """
import sys
import benchsuite.pytest_plugin
heavy = {"numpy", "pandas", "numba", "abtem", "distributed", "matplotlib", "ase"} & set(sys.modules)
assert not heavy, heavy
"""
    assert pytester.runpython_c(code).ret == 0


def test_options_are_described(pytester):
    result = pytester.runpytest_inprocess("-p", "benchsuite.pytest_plugin", "--help")
    result.stdout.fnmatch_lines(["*--benchsuite-accept=REASON*"])
