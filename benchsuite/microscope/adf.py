"""ADF-STEM images by abTEM: direct multislice or PRISM, Kirkland or Lobato potentials, frozen phonons.

The multislice method: Cowley & Moodie, Acta Cryst. 10 (1957) 609, doi:10.1107/S0365110X57002194; PRISM: Ophus,
Adv. Struct. Chem. Imaging 3 (2017) 13, doi:10.1186/s40679-017-0046-1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from ase import Atoms

from benchsuite.microscope.cost import POSITIONS_AT_ONCE, PROBES_AT_ONCE
from benchsuite.microscope.scattering import (
    abtem_aberrations,
    abtem_aperture,
    in_the_box,
    sliced_potential,
    thermal_configurations,
    with_abtem,
)
from benchsuite.microscope.settings import AnnularDetector, FrozenPhonons, Microscope, Scan, Simulation
from benchsuite.microscope.tilts import field_of_view_A


def simulate_adf(
    atoms: Atoms,
    rotation: np.ndarray,
    microscope: Microscope,
    simulation: Simulation,
    scan: Scan,
    detector: AnnularDetector,
    phonons: FrozenPhonons | None,
    seed: int,
    device: str = "cpu",
) -> np.ndarray:
    """Return one noise-free tilt, float32 (n_focus, ny, nx): fractions of the incident electrons, averaged over phonons.

    The particle (positions about the origin) is rotated actively by `rotation` (3, 3) in a box whose side is the field of
    view. All focus images see the same phonon configurations; equal seeds give equal images. Raises PhysicsError where the
    particle does not fit with the margin, or where an element has no thermal displacement.
    """
    import abtem

    box, (ny, nx) = field_of_view_A(scan), scan.positions
    positions = in_the_box(atoms, rotation, simulation, scan)
    start = box / 2 - scan.step_A * np.array([nx // 2, ny // 2])
    grid = abtem.GridScan(start=tuple(start), end=tuple(start + scan.step_A * np.array([nx, ny])), gpts=(nx, ny), endpoint=False)
    annulus = abtem.AnnularDetector(inner=detector.inner_mrad, outer=detector.outer_mrad)

    def averaged() -> np.ndarray:
        total = np.zeros((len(microscope.defoci_A), ny, nx), dtype=np.float64)
        configurations = 0
        for displaced in thermal_configurations(atoms, positions, phonons, seed):
            sliced = sliced_potential(atoms, displaced, simulation, scan)
            defoci = [sliced.entrance_defocus_A(defocus, microscope) for defocus in microscope.defoci_A]
            scanned = _scan_prism if simulation.method == "prism" else _scan_directly
            images = scanned(sliced.potential, defoci, microscope, simulation, grid, annulus)
            for image, measured in zip(total, images, strict=True):
                image += measured.T  # abTEM's axes are (x, y)
            configurations += 1
        return (total / configurations).astype(np.float32)

    return with_abtem(device, averaged)


def _scan_directly(
    potential: Any, defoci: list[float], microscope: Microscope, simulation: Simulation, grid: Any, annulus: Any
) -> Iterator[np.ndarray]:
    import abtem

    for defocus in defoci:
        probe = abtem.Probe(**abtem_aperture(microscope), defocus=defocus, **abtem_aberrations(microscope))
        probe.grid.match(potential)
        measured: Any = probe.scan(potential, scan=grid, detectors=annulus, max_batch=PROBES_AT_ONCE, lazy=True)
        yield np.asarray(measured.compute().array)


def _scan_prism(
    potential: Any, defoci: list[float], microscope: Microscope, simulation: Simulation, grid: Any, annulus: Any
) -> Iterator[np.ndarray]:
    import abtem

    factor = simulation.prism_interpolation
    matrix = abtem.SMatrix(potential=potential, interpolation=factor, downsample=False, **abtem_aperture(microscope))
    scattered: Any = matrix.build(lazy=True, max_batch=PROBES_AT_ONCE).compute()
    for defocus in defoci:
        ctf = abtem.CTF(**abtem_aperture(microscope), defocus=defocus, **abtem_aberrations(microscope))
        measured: Any = scattered.reduce(scan=grid, ctf=ctf, detectors=annulus, max_batch_reduction=POSITIONS_AT_ONCE)
        yield np.asarray(measured.to_cpu().array)
