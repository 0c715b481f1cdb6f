"""Whether a simulation and the methods applied to it share a forward model: their agreement then proves less than it seems to."""

from __future__ import annotations

from typing import Any

from benchsuite import registry
from benchsuite.code_version import code_version, file_version
from benchsuite.contract.algorithm import Algorithm
from benchsuite.contract.simulator import Simulator


def shared_forward_model(simulator: type[Simulator[Any]], *methods: Algorithm[Any]) -> str | None:
    """Return the module of `benchsuite.physics` by which data are simulated and that one of the methods computes with, or None.

    methods: preprocessing steps and the reconstructor, with their parameters. What a method computes with is what its source
    imports, however deep, so plugins need not declare it; a method that cannot take what the simulator makes does not count.
    """
    if not simulator.forward_model:
        return None
    module = f"benchsuite.physics.{simulator.forward_model}"
    for method in methods:
        sources = code_version([type(method).__module__]) or file_version(registry.source_file(type(method)))
        if module in sources and set(method.takes()) & set(simulator.modalities):
            return module
    return None
