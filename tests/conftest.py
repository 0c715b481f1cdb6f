"""Shared by all tests: small scenarios that run in seconds."""

from __future__ import annotations

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
