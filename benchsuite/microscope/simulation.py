"""From the section `simulation` of a scenario to the engine that it names, and what the engine says of an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms

from benchsuite import registry
from benchsuite.contract.cost import Cost
from benchsuite.contract.settings import Acquisition, Microscope, Simulation
from benchsuite.contract.simulator import AnySimulator
from benchsuite.data import Modality
from benchsuite.errors import PhysicsError
from benchsuite.microscope.limits import common_problems, common_warnings, too_many_pixels

IN_WORDS: dict[Modality, str] = {"adf": "images", "4dstem": "patterns"}


def engine_name(simulation: Simulation, mode: Modality) -> str:
    """Return the name of the engine that simulates: the one asked for, or its substitute where it does not make the modality."""
    cls = registry.simulator(simulation.engine)
    return simulation.engine if mode in cls.modalities or cls.substitute is None else cls.substitute


def simulator_of(simulation: Simulation, mode: Modality) -> AnySimulator:
    """Return the engine that simulates, with its own parameters."""
    name = engine_name(simulation, mode)
    cls = registry.simulator(name)
    return cls(cls.Params.model_validate(simulation.params)) if name == simulation.engine else cls()


def simulate(
    atoms: Atoms, rotation: np.ndarray, microscope: Microscope, simulation: Simulation, acquisition: Acquisition, **more: Any
) -> Mapping[Modality, np.ndarray]:
    """Return one noise-free tilt by the engine that the simulation names; arguments and result as of `Simulator.simulate`.

    Raises PhysicsError where the specimen does not fit its box, or the engine breaks its contract.
    """
    simulator = simulator_of(simulation, acquisition.mode)
    result = simulator.simulate(atoms, rotation, microscope, simulation, acquisition, **more)
    _check_result(result, type(simulator).__name__, len(microscope.defoci_A), acquisition)
    return result


def simulate_cost(microscope: Microscope, simulation: Simulation, acquisition: Acquisition) -> Cost:
    """Predict one tilt: its focus images and phonon configurations, on one core."""
    return simulator_of(simulation, acquisition.mode).cost(microscope, simulation, acquisition)


def check_physics(microscope: Microscope, simulation: Simulation, acquisition: Acquisition) -> list[str]:
    """Return every reason why this experiment cannot be simulated, each as "section.key: message"."""
    if problem := too_many_pixels(simulation, acquisition.scan):
        return [problem]
    simulator, mode = simulator_of(simulation, acquisition.mode), acquisition.mode
    problems = common_problems(microscope, simulation, acquisition)
    if mode in simulator.modalities:
        return [*problems, *simulator.check(microscope, simulation, acquisition)]
    makes = " and ".join(IN_WORDS[modality] for modality in simulator.modalities)
    others = " or ".join(name for name in registry.names("simulator") if mode in registry.simulator(name).modalities)
    return [*problems, f"simulation.engine: {simulation.engine} makes {makes} only; mode {mode} needs {others}"]


def warnings_physics(microscope: Microscope, simulation: Simulation, acquisition: Acquisition) -> list[str]:
    """Return what is possible but unusual about an experiment, each as "section.key: message"."""
    simulator = simulator_of(simulation, acquisition.mode)
    own = simulator.warnings(microscope, simulation, acquisition)
    return [*common_warnings(microscope, simulation, acquisition), *own]


def _check_result(result: object, name: str, foci: int, acquisition: Acquisition) -> None:
    """Raise PhysicsError where what an engine returned is not what its contract says."""
    image = (foci, *acquisition.scan.positions)
    expected: dict[str, tuple[int, ...]] = {"adf": image} if acquisition.detector is not None else {}
    if acquisition.mode == "4dstem":
        expected["4dstem"] = (*image, *acquisition.camera.pixels)
    if not isinstance(result, Mapping) or {*result} != {*expected}:
        found = sorted(map(str, result)) if isinstance(result, Mapping) else type(result).__name__
        raise PhysicsError(f"{name} returned {found} instead of arrays for {sorted(expected)}")
    for modality, array in result.items():
        if array.shape != expected[modality] or array.dtype != np.float32:
            raise PhysicsError(
                f"{name} returned {modality} data of shape {array.shape} and type {array.dtype}; expected shape "
                f"{expected[modality]} and type float32"
            )
        if not all(np.isfinite(row).all() for focus in array for row in focus):
            raise PhysicsError(f"{name} returned {modality} data that are not finite")
