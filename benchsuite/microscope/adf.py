"""ADF-STEM images by abTEM: direct multislice or PRISM, Kirkland or Lobato potentials, frozen phonons.

The multislice method: Cowley & Moodie, Acta Cryst. 10 (1957) 609, doi:10.1107/S0365110X57002194; PRISM: Ophus,
Adv. Struct. Chem. Imaging 3 (2017) 13, doi:10.1186/s40679-017-0046-1; abTEM: Madsen & Susi, Open Research Europe 1 (2021) 24,
doi:10.12688/openreseurope.13015.2.

Only the slices that hold atoms are computed: the vacuum above is free propagation, which is a change of defocus, and the
vacuum below leaves the intensities in the detector plane as they are. Both are exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms

from benchsuite.backend import thread_count
from benchsuite.errors import PhysicsError
from benchsuite.microscope.cost import POSITIONS_AT_ONCE, PROBES_AT_ONCE
from benchsuite.microscope.limits import check_fits, grid_points
from benchsuite.microscope.tilts import field_of_view_A, specimen_box_A

if TYPE_CHECKING:
    from benchsuite.scenario.schema import AnnularDetector, FrozenPhonons, Microscope, Scan, Simulation

ABTEM_DEVICES = {"cpu": "cpu", "cuda": "gpu"}


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

    The particle (positions about the origin) is rotated actively by `rotation` (3, 3) in a cubic box whose side is the field of
    view. All focus images see the same phonon configurations; equal seeds give equal images. Raises PhysicsError where the
    particle does not fit with the margin, or where an element has no thermal displacement.
    """
    import abtem
    import dask

    box, (ny, nx) = field_of_view_A(scan), scan.positions
    check_fits(atoms, rotation, specimen_box_A(scan), simulation.margin_A)
    positions = atoms.positions @ np.asarray(rotation, dtype=np.float64).T + box / 2
    start = box / 2 - scan.step_A * np.array([nx // 2, ny // 2])
    grid = abtem.GridScan(start=tuple(start), end=tuple(start + scan.step_A * np.array([nx, ny])), gpts=(nx, ny), endpoint=False)
    annulus = abtem.AnnularDetector(inner=detector.inner_mrad, outer=detector.outer_mrad)
    total = np.zeros((len(microscope.defoci_A), ny, nx), dtype=np.float64)
    settings = {"fftw.threads": 1, "diagnostics.progress_bar": False, "device": ABTEM_DEVICES[device]}
    workers = dask.config.set(scheduler="threads", num_workers=thread_count())
    configurations = 0
    with abtem.config.set(settings), workers:
        for displaced in thermal_configurations(atoms, positions, phonons, seed):
            _check_inside(displaced, box)
            potential, depth = _potential(atoms, displaced, simulation, box)
            thickness = potential.slice_thickness[0]
            defoci = [entrance_defocus_A(defocus, microscope, box, depth, thickness) for defocus in microscope.defoci_A]
            scanned = _scan_prism if simulation.method == "prism" else _scan_directly
            for image, measured in zip(total, scanned(potential, defoci, microscope, simulation, grid, annulus), strict=True):
                image += measured.T  # abTEM's axes are (x, y)
            configurations += 1
    return (total / configurations).astype(np.float32)


def thermal_configurations(atoms: Atoms, positions: np.ndarray, phonons: FrozenPhonons | None, seed: int) -> Iterator[np.ndarray]:
    """Yield positions (n, 3) with independent Gaussian displacements per axis; the positions themselves without phonons."""
    if phonons is None:
        yield positions
        return
    symbols = atoms.get_chemical_symbols()
    missing = sorted({*symbols} - {*phonons.rms_A})
    if missing:
        raise PhysicsError(f"acquisition.frozen_phonons.rms_A: no thermal displacement for {', '.join(missing)}")
    rms = np.array([phonons.rms_A[symbol] for symbol in symbols])[:, None]
    rng = np.random.default_rng(seed)
    for _ in range(phonons.count):
        yield positions + rms * rng.standard_normal(positions.shape)


def entrance_defocus_A(defocus_A: float, microscope: Microscope, box_A: float, depth_A: float, slice_A: float) -> float:
    """Return the defocus where the first computed slice begins, `depth_A` below the top of the box.

    Positive defocus puts the crossover below. A slice scatters at its entrance face, on average half a slice above the atoms
    that it holds, so the focus is raised by as much.
    """
    reference = box_A / 2 if microscope.focal_plane == "centre" else 0.0
    return defocus_A + reference - depth_A - slice_A / 2


def _check_inside(positions: np.ndarray, box_A: float) -> None:
    if (positions < 0).any() or (positions >= box_A).any():
        raise PhysicsError(f"a thermal displacement carried an atom out of the box of {box_A:g} Å; raise simulation.margin_A")


def _potential(atoms: Atoms, positions: np.ndarray, simulation: Simulation, box_A: float) -> tuple[Any, float]:
    """Return the slices that hold atoms, computed, and the depth in Å of the first below the top of the box."""
    import abtem

    slices = math.ceil(box_A / simulation.slice_A - 1e-6)
    thickness = box_A / slices
    first, last = (int(z / thickness) for z in (positions[:, 2].min(), positions[:, 2].max()))
    depth = first * thickness
    held = Atoms(atoms.get_chemical_symbols(), positions - [0, 0, depth], cell=[box_A, box_A, (last + 1 - first) * thickness])
    pixels = grid_points(simulation, box_A)
    potential = abtem.Potential(
        held,
        gpts=(pixels, pixels),
        slice_thickness=(thickness,) * (last + 1 - first),
        parametrization=simulation.potential,
        projection="infinite",
    )
    return potential.build(lazy=False), depth


def _scan_directly(
    potential: Any, defoci: list[float], microscope: Microscope, simulation: Simulation, grid: Any, annulus: Any
) -> Iterator[np.ndarray]:
    import abtem

    for defocus in defoci:
        probe = abtem.Probe(**_optics(microscope), defocus=defocus, **_aberrations(microscope))
        probe.grid.match(potential)
        measured: Any = probe.scan(potential, scan=grid, detectors=annulus, max_batch=PROBES_AT_ONCE, lazy=True)
        yield np.asarray(measured.compute().array)


def _scan_prism(
    potential: Any, defoci: list[float], microscope: Microscope, simulation: Simulation, grid: Any, annulus: Any
) -> Iterator[np.ndarray]:
    import abtem

    factor = simulation.prism_interpolation
    matrix = abtem.SMatrix(potential=potential, interpolation=factor, downsample=False, **_optics(microscope))
    scattered: Any = matrix.build(lazy=True, max_batch=PROBES_AT_ONCE).compute()
    for defocus in defoci:
        ctf = abtem.CTF(**_optics(microscope), defocus=defocus, **_aberrations(microscope))
        measured: Any = scattered.reduce(scan=grid, ctf=ctf, detectors=annulus, max_batch_reduction=POSITIONS_AT_ONCE)
        yield np.asarray(measured.to_cpu().array)


def _optics(microscope: Microscope) -> dict[str, Any]:
    return {"energy": microscope.energy_keV * 1e3, "semiangle_cutoff": microscope.semiangle_mrad}


def _aberrations(microscope: Microscope) -> dict[str, Any]:
    """Return abTEM's polar coefficients: Å, and radians for the directions that a scenario gives in degrees."""
    return {
        name.removesuffix("_deg"): float(np.deg2rad(value)) if name.endswith("_deg") else value
        for name, value in microscope.aberrations_A.items()
    }
