"""ADF-STEM images by abTEM: direct multislice or PRISM, Kirkland or Lobato potentials, frozen phonons.

The multislice method: Cowley & Moodie, Acta Cryst. 10 (1957) 609, doi:10.1107/S0365110X57002194; PRISM: Ophus,
Adv. Struct. Chem. Imaging 3 (2017) 13, doi:10.1186/s40679-017-0046-1; abTEM: Madsen & Susi, Open Research Europe 1 (2021) 24.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms

from benchsuite.backend import thread_count
from benchsuite.microscope.limits import check_fits, grid_points
from benchsuite.microscope.tilts import field_of_view_A
from benchsuite.scenario.schema import AnnularDetector, FrozenPhonons, Microscope, Scan, Simulation


def simulate_adf(
    atoms: Atoms,
    rotation: np.ndarray,
    microscope: Microscope,
    simulation: Simulation,
    scan: Scan,
    detector: AnnularDetector,
    phonons: FrozenPhonons | None,
    seed: int,
) -> np.ndarray:
    """Return one noise-free tilt, float32 (n_focus, ny, nx): fractions of the incident electrons, averaged over phonons.

    The particle is rotated by `rotation` about the centre of a cubic box whose side is the field of view. Raises PhysicsError
    where it does not fit with the margin.
    """
    import abtem
    import dask

    box = field_of_view_A(scan)
    check_fits(atoms, rotation, box, simulation.margin_A)
    placed = Atoms(atoms.get_chemical_symbols(), atoms.positions @ np.asarray(rotation).T + box / 2, cell=[box] * 3)
    specimen: Any = placed
    if phonons is not None:
        specimen = abtem.FrozenPhonons(placed, phonons.count, dict(phonons.rms_A), seed=seed % 2**31)
    pixels = grid_points(simulation, box)
    ny, nx = scan.positions
    start = box / 2 - scan.step_A * np.array([nx // 2, ny // 2])
    end = start + scan.step_A * np.array([nx, ny])
    grid_scan = abtem.GridScan(start=tuple(start), end=tuple(end), gpts=(nx, ny), endpoint=False)
    annulus = abtem.AnnularDetector(inner=detector.inner_mrad, outer=detector.outer_mrad)
    images = []
    with abtem.config.set({"fftw.threads": 1, "diagnostics.progress_bar": False}), dask.config.set(num_workers=thread_count()):
        for defocus in microscope.defoci_A:
            potential = abtem.Potential(
                specimen,
                gpts=(pixels, pixels),
                slice_thickness=simulation.slice_A,
                parametrization=simulation.potential,
                projection="infinite",
            )
            aberrations = {"defocus": entrance_defocus_A(defocus, microscope, box), **microscope.aberrations_A}
            energy = {"energy": microscope.energy_keV * 1e3, "semiangle_cutoff": microscope.semiangle_mrad}
            if simulation.method == "prism":
                matrix = abtem.SMatrix(potential=potential, interpolation=simulation.prism_interpolation, downsample=False, **energy)
                measured = matrix.scan(scan=grid_scan, detectors=annulus, ctf=abtem.CTF(**energy, **aberrations))
            else:
                probe = abtem.Probe(**energy, **aberrations)
                probe.grid.match(potential)
                measured = probe.scan(potential, scan=grid_scan, detectors=annulus)
            images.append(np.asarray(measured.compute().array).T)
    return np.stack(images).astype(np.float32)


def entrance_defocus_A(defocus_A: float, microscope: Microscope, box_A: float) -> float:
    """Return the defocus at the entrance face: half the box more where the scenario counts from the centre."""
    return defocus_A + (box_A / 2 if microscope.focal_plane == "centre" else 0.0)
