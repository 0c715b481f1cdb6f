"""What multislice engines share: the specimen in its box, frozen phonons, sliced potentials, the scan, and abTEM's settings.

Frozen phonons: Loane, Xu & Silcox, Acta Cryst. A 47 (1991) 267, doi:10.1107/S0108767391000375. abTEM: Madsen & Susi, Open Research
Europe 1 (2021) 24, doi:10.12688/openreseurope.13015.2.

Only the slices that hold atoms are computed: the vacuum above is free propagation, which is a change of defocus, and the
vacuum below leaves the intensities in the detector plane as they are. Both are exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from ase import Atoms

from benchsuite.contract.settings import Acquisition, FrozenPhonons, Microscope, Scan, Simulation
from benchsuite.contract.simulator import Allocate
from benchsuite.data import Modality
from benchsuite.errors import PhysicsError
from benchsuite.microscope.limits import grid_points
from benchsuite.microscope.tilts import box_depth_A, field_of_view_A
from benchsuite.physics.backend import thread_count
from benchsuite.physics.fft.plans import MEASURED, with_kept_plans
from benchsuite.physics.probe import centred_defocus_A

PROBES_AT_ONCE = 16
POSITIONS_AT_ONCE = 64
ABTEM_DEVICES = {"cpu": "cpu", "cuda": "gpu"}
Detect = Callable[[np.ndarray], Mapping[Modality, np.ndarray]]  # of positions (n, 2) in Å from the corner of the box
_T = TypeVar("_T")


def with_abtem(device: str, compute: Callable[[], _T]) -> _T:
    """Return what `compute` returns, with abTEM on the device; called once more where its FFT plans were not settled."""

    def planned(effort: str) -> _T:
        with abtem_session(device, effort):
            return compute()

    return with_kept_plans(planned)


@contextmanager
def abtem_session(device: str, effort: str = MEASURED) -> Iterator[None]:
    """Let abTEM compute on the device, with one thread per FFT and all threads of this process over batches."""
    import abtem
    import dask

    settings = {
        "fftw.threads": 1, "fftw.planning_effort": effort, "diagnostics.progress_bar": False, "device": ABTEM_DEVICES[device],
    }  # fmt: skip
    workers = dask.config.set(scheduler="threads", num_workers=thread_count())
    with abtem.config.set(settings), workers:
        yield


def in_the_box(atoms: Atoms, rotation: np.ndarray, simulation: Simulation, scan: Scan) -> np.ndarray:
    """Return positions (n, 3) of the rotated specimen with the origin in a corner of its box."""
    field = field_of_view_A(scan)
    centre = np.array([field, field, box_depth_A(scan, simulation)]) / 2
    return atoms.positions @ np.asarray(rotation, dtype=np.float64).T + centre


def probe_positions_A(scan: Scan, box_A: float) -> np.ndarray:
    """Return (ny, nx, 2) positions (x, y) of the probe, with the origin in a corner of the box."""
    ny, nx = scan.positions
    x, y = (box_A / 2 + scan.step_A * (np.arange(n) - n // 2) for n in (nx, ny))
    return np.stack(np.broadcast_arrays(x[None, :], y[:, None]), axis=-1)


def thermal_configurations(atoms: Atoms, positions: np.ndarray, phonons: FrozenPhonons | None, seed: int) -> Iterator[np.ndarray]:
    """Yield positions (n, 3) with independent Gaussian displacements per axis; the positions themselves without phonons.

    Of antithetic ones every second is displaced as the one before, but the other way (Hammersley & Morton, Proc. Camb. Phil.
    Soc. 52 (1956) 449, doi:10.1017/S0305004100031455): each is as likely as any, and the mean displacement is zero.
    """
    if phonons is None:
        yield positions
        return
    rms = np.array([phonons.rms_A[symbol] for symbol in atoms.get_chemical_symbols()])[:, None]
    rng = np.random.default_rng(seed)
    drawn = np.zeros(positions.shape)
    for number in range(phonons.count):
        drawn = -drawn if phonons.antithetic and number % 2 else rms * rng.standard_normal(positions.shape)
        yield positions + drawn


@dataclass(frozen=True)
class Sliced:
    """The slices of a potential that hold atoms: abTEM's array of projected potentials (V·Å), their thickness, where they begin.

    box_A: the height of the box.
    """

    potential: Any
    slice_A: float
    depth_A: float
    box_A: float

    def entrance_defocus_A(self, defocus_A: float, microscope: Microscope) -> float:
        """Return the defocus where the first slice begins, `depth_A` below the top of the box.

        Positive defocus puts the crossover below. A slice scatters at its entrance face, on average half a slice above the
        atoms that it holds, so the focus is raised by as much.
        """
        centred = centred_defocus_A(defocus_A, microscope.focal_plane, self.box_A)
        return centred + self.box_A / 2 - self.depth_A - self.slice_A / 2


def sliced_potential(atoms: Atoms, positions: np.ndarray, simulation: Simulation, scan: Scan) -> Sliced:
    """Return the computed slices that hold atoms. Raises PhysicsError where an atom is out of the box."""
    import abtem

    box_A, height = field_of_view_A(scan), box_depth_A(scan, simulation)
    if (positions < 0).any() or (positions >= [box_A, box_A, height]).any():
        raise PhysicsError(f"a thermal displacement carried an atom out of the box of {box_A:g} Å; raise simulation.margin_A")
    slices = math.ceil(height / simulation.slice_A - 1e-6)
    thickness = height / slices
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
    return Sliced(potential.build(lazy=False), thickness, depth, height)


def scanned_patterns(
    scatter: Callable[[Sliced, float], Detect],
    atoms: Atoms,
    rotation: np.ndarray,
    microscope: Microscope,
    simulation: Simulation,
    acquisition: Acquisition,
    seed: int,
    drift_A: np.ndarray | None,
    allocate: Allocate,
) -> Mapping[Modality, np.ndarray]:
    """Return the patterns of one tilt, and its virtual images where there is an annular detector, averaged over phonons.

    `scatter(sliced, defocus_A)` gives what the detectors record of a sliced potential, the defocus counted from its entrance.
    Beyond the arrays that `allocate` gives, memory is bounded whatever the number of positions.
    """
    scan, camera, phonons = acquisition.scan, acquisition.camera, acquisition.frozen_phonons
    (ny, nx), foci = scan.positions, len(microscope.defoci_A)
    positions = in_the_box(atoms, rotation, simulation, scan)
    probes = probe_positions_A(scan, field_of_view_A(scan)).reshape(-1, 2)
    shifts = np.zeros((foci, 2)) if drift_A is None else np.asarray(drift_A)
    configurations = phonons.count if phonons else 1
    results: dict[Modality, np.ndarray] = {"4dstem": allocate("4dstem", (foci, ny, nx, *camera.pixels))}
    if acquisition.detector is not None:
        results["adf"] = allocate("adf", (foci, ny, nx))
    for displaced in thermal_configurations(atoms, positions, phonons, seed):
        sliced = sliced_potential(atoms, displaced, simulation, scan)
        for focus, defocus in enumerate(microscope.defoci_A):
            detect = scatter(sliced, sliced.entrance_defocus_A(defocus, microscope))
            flat = {modality: array[focus].reshape(ny * nx, *array.shape[3:]) for modality, array in results.items()}
            for first in range(0, len(probes), POSITIONS_AT_ONCE):
                batch = slice(first, first + POSITIONS_AT_ONCE)
                for modality, measured in detect(probes[batch] - shifts[focus]).items():
                    flat[modality][batch] += measured / np.float32(configurations)
    return results


def abtem_aperture(microscope: Microscope) -> dict[str, Any]:
    """Return energy and aperture as abTEM names them: eV and mrad."""
    return {"energy": microscope.energy_keV * 1e3, "semiangle_cutoff": microscope.semiangle_mrad}


def abtem_aberrations(microscope: Microscope) -> dict[str, Any]:
    """Return abTEM's polar coefficients: Å, and radians for the directions that a scenario gives in degrees."""
    return {
        name.removesuffix("_deg"): float(np.deg2rad(value)) if name.endswith("_deg") else value
        for name, value in microscope.aberrations_A.items()
    }
