"""The engine that a section `simulation` names: what it says of an experiment, one tilt by it, or a whole series in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from ase import Atoms

from benchsuite import registry, seeds
from benchsuite.contract.plug import Cost
from benchsuite.contract.settings import Acquisition, Microscope, Simulation
from benchsuite.contract.simulator import AnySimulator, simulation_misfit
from benchsuite.data import Modality, Optics, TiltSeries
from benchsuite.errors import PhysicsError
from benchsuite.microscope.limits import check_specimen, common_problems, common_warnings, too_many_pixels
from benchsuite.microscope.recording import dose_generator, record, true_drift_A, true_rotations
from benchsuite.microscope.tilts import box_depth_A, camera_field_A, rotations
from benchsuite.physics.probe import centred_defocus_A

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


def empty_series(microscope: Microscope, simulation: Simulation, acquisition: Acquisition, modality: Modality) -> TiltSeries:
    """Return the series that these settings record, its data zeros that take no memory."""
    patterns = acquisition.camera.pixels if modality == "4dstem" else ()
    nominal, annulus, depth = rotations(acquisition.tilts), acquisition.detector, box_depth_A(acquisition.scan, simulation)
    return TiltSeries(
        modality=modality,
        data=np.broadcast_to(np.float32(0), (len(nominal), len(microscope.defoci_A), *acquisition.scan.positions, *patterns)),
        rotations=nominal,
        scan_step_A=acquisition.scan.step_A,
        optics=Optics(
            energy_keV=microscope.energy_keV,
            semiangle_mrad=microscope.semiangle_mrad,
            aberrations_A=dict(microscope.aberrations_A),
        ),
        defocus_A=np.array([centred_defocus_A(defocus, microscope.focal_plane, depth) for defocus in microscope.defoci_A]),
        dose_e_per_A2=acquisition.dose_e_per_A2,
        detector_mrad=(annulus.inner_mrad, annulus.outer_mrad) if modality == "adf" and annulus else None,
        reciprocal_step_per_A=1 / camera_field_A(acquisition) if modality == "4dstem" else None,
    )


def simulate_series(
    atoms: Atoms, microscope: Microscope, simulation: Simulation, acquisition: Acquisition, seed: int = 0, device: str = "cpu"
) -> TiltSeries:
    """Return the recorded series of a specimen (positions in Å about the centre of the box), held in memory.

    Equal to what a scenario with these sections and this seed records. Raises PhysicsError with every reason why these settings
    cannot be simulated, or where the specimen does not fit its box.
    """
    if problems := check_physics(microscope, simulation, acquisition):
        raise PhysicsError("\n".join(problems))
    modality = acquisition.mode
    drift_A = true_drift_A(microscope, acquisition, seed)
    noise_free = [
        simulate(
            atoms,
            rotation,
            microscope,
            simulation,
            acquisition,
            seed=seeds.seed_for(seed, "phonons", 0, tilt),
            drift_A=drift_A[tilt],
            device=device,
        )[modality]
        for tilt, rotation in enumerate(true_rotations(acquisition, seed))
    ]
    shifts_A = drift_A if modality == "adf" else np.zeros_like(drift_A)  # patterns were shifted when they were simulated
    brightest = max(float(tilt.max()) for tilt in noise_free)
    rng = dose_generator(modality, seed)
    recorded = np.stack(list(record(noise_free, len(noise_free), acquisition, shifts_A, rng, brightest)))
    return replace(empty_series(microscope, simulation, acquisition, modality), data=recorded)
