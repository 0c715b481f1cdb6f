"""A whole tilt series: what it is, what is drawn at random for it, and its simulation in memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ase import Atoms

from benchsuite import seeds
from benchsuite.contract.settings import Acquisition, Microscope, Simulation
from benchsuite.data import Modality, Optics, TiltSeries
from benchsuite.errors import PhysicsError
from benchsuite.microscope.recording import dose_generator, record, true_drift_A, true_rotations
from benchsuite.microscope.simulation import check_physics, simulate
from benchsuite.microscope.tilts import box_depth_A, camera_field_A, rotations
from benchsuite.physics.probe import centred_defocus_A


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
