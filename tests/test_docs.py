"""The documentation's own code works: the example plugin keeps the contract and runs."""

from __future__ import annotations

from pathlib import Path

from benchsuite import contract_suite, registry
from benchsuite.contract import Context

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "docs" / "how-to" / "landweber.py"


def test_the_example_plugin_keeps_the_contract():
    assert registry.load_plugin(EXAMPLE) == ["landweber"]
    contract_suite.check_reconstructor(registry.reconstructor("landweber"))
    assert len(EXAMPLE.read_text().splitlines()) <= 45


def test_the_example_plugin_converges():
    import numpy as np

    registry.load_plugin(EXAMPLE)
    series, grid = contract_suite.small_problem()
    losses = [
        item.loss for item in registry.reconstructor("landweber")().reconstruct(series, Context(grid, np.random.default_rng(0)))
    ]
    assert losses[-1] < 0.1 * losses[0]


def test_pages_name_only_files_that_exist():
    import re

    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"
