"""From the section `simulation` of a scenario to the engine that it names, and what the engine says of an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms

from benchsuite import registry
from benchsuite.contract.cost import Cost
from benchsuite.contract.settings import Acquisition, Microscope, Simulation
from benchsuite.contract.simulator import AnySimulator, simulation_misfit
from benchsuite.data import Modality
from benchsuite.errors import PhysicsError
from benchsuite.microscope.limits import check_specimen, common_problems, common_warnings, too_many_pixels

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

    Raises PhysicsError where `check_specimen` does, or where the engine breaks its contract.
    """
    check_specimen(atoms, rotation, simulation, acquisition)
    simulator = simulator_of(simulation, acquisition.mode)
    result = simulator.simulate(atoms, rotation, microscope, simulation, acquisition, **more)
    misfit = simulation_misfit(result, len(microscope.defoci_A), acquisition)
    if misfit is not None:
        raise PhysicsError(f"{type(simulator).__name__} {misfit}")
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
