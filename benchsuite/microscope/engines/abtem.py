"""Multislice by abTEM: ADF images (directly or by PRISM) and diffraction patterns, Kirkland or Lobato potentials, frozen phonons.

The multislice method: Cowley & Moodie, Acta Cryst. 10 (1957) 609, doi:10.1107/S0365110X57002194; PRISM: Ophus,
Adv. Struct. Chem. Imaging 3 (2017) 13, doi:10.1186/s40679-017-0046-1.

Patterns are cropped, never binned: the camera keeps the central pixels of the simulated pattern, whose step is 1/box. The annular
detector records the same waves, so that methods for images get the same particle and the same electrons.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from ase import Atoms

from benchsuite.contract.plug import Cost
from benchsuite.contract.settings import Acquisition, Microscope, Simulation
from benchsuite.contract.simulator import Allocate, Simulator, in_memory
from benchsuite.data import Modality
from benchsuite.microscope.cost import (
    ABTEM_SLICE_S,
    PRISM_DETECTION_S,
    PRISM_REDUCTION_S,
    PROCESS_BYTES,
    STARTUP_S,
    work_of,
)
from benchsuite.microscope.limits import multislice_problems, prism_factor, probe_spread_A
from benchsuite.microscope.scattering import (
    POSITIONS_AT_ONCE,
    PROBES_AT_ONCE,
    Detect,
    Sliced,
    abtem_aberrations,
    abtem_aperture,
    in_the_box,
    scanned_patterns,
    sliced_potential,
    thermal_configurations,
    with_abtem,
)
from benchsuite.microscope.tilts import field_of_view_A
from benchsuite.params import Params
from benchsuite.physics.electrons import wavelength_A


class AbTEM(Simulator[Params]):
    title = "Multislice or PRISM simulation by abTEM"
    reference = "Madsen & Susi, Open Research Europe 1 (2021) 24, doi:10.12688/openreseurope.13015.2"
    modalities = ("adf", "4dstem")
    libraries = ("abtem",)
    unread = ("window_A",)

    def check(self, microscope: Microscope, simulation: Simulation, acquisition: Acquisition) -> list[str]:
        problems = multislice_problems(microscope, simulation, acquisition)
        if acquisition.mode == "4dstem" and acquisition.camera.field_A is not None:
            problems.append("acquisition.camera.field_A: abtem has patterns of the whole field of view; use engine: native")
        box, factor = field_of_view_A(acquisition.scan), prism_factor(simulation)
        spread = probe_spread_A(microscope, simulation, acquisition.scan)
        if acquisition.mode == "adf" and box / factor < spread <= box:
            problems.append(
                f"simulation.prism_interpolation: {factor} gives a probe window of {box / factor:.1f} Å, but the probe spreads "
                f"over {spread:.1f} Å; at most {math.floor(box / spread)}"
            )
        return problems

    def cost(self, microscope: Microscope, simulation: Simulation, acquisition: Acquisition) -> Cost:
        work = work_of(microscope, simulation, acquisition)
        per_wave = ABTEM_SLICE_S * work.slices * work.pixels * math.log2(work.pixels)
        if simulation.method == "multislice":
            seconds = work.configurations * work.foci * work.positions * per_wave
            return Cost(STARTUP_S + seconds, PROCESS_BYTES + work.potential_bytes + 8.0 * work.pixels * PROBES_AT_ONCE * 8)
        waves = plane_waves(microscope, simulation, work.box_A)
        window = (work.side / simulation.prism_interpolation) ** 2
        block = math.sqrt(POSITIONS_AT_ONCE) * acquisition.scan.step_A / work.box_A * work.side
        cropped = min((math.sqrt(window) + block) ** 2, work.pixels)
        reduction = work.positions * (PRISM_REDUCTION_S * waves * cropped + PRISM_DETECTION_S * window * math.log2(window))
        seconds = work.configurations * (waves * per_wave + work.foci * reduction)
        held = 8.0 * waves * (2 * work.pixels + cropped) + 8.0 * POSITIONS_AT_ONCE * cropped
        return Cost(STARTUP_S + seconds, PROCESS_BYTES + work.potential_bytes + held)

    def simulate(
        self,
        atoms: Atoms,
        rotation: np.ndarray,
        microscope: Microscope,
        simulation: Simulation,
        acquisition: Acquisition,
        *,
        seed: int = 0,
        drift_A: np.ndarray | None = None,
        device: str = "cpu",
        allocate: Allocate = in_memory,
    ) -> Mapping[Modality, np.ndarray]:
        specimen = (atoms, rotation, microscope, simulation, acquisition, seed)
        if acquisition.mode == "adf":
            return {"adf": with_abtem(device, lambda: _images(*specimen))}
        scatter = functools.partial(_scattered, microscope=microscope, acquisition=acquisition)
        return with_abtem(device, lambda: scanned_patterns(scatter, *specimen, drift_A, allocate))


def plane_waves(microscope: Microscope, simulation: Simulation, box_A: float) -> float:
    """Return about how many plane waves of the PRISM expansion lie in the aperture."""
    radius = microscope.semiangle_mrad * 1e-3 / wavelength_A(microscope.energy_keV) * box_A / simulation.prism_interpolation
    return math.pi * (radius + 0.5) ** 2


def _images(
    atoms: Atoms, rotation: np.ndarray, microscope: Microscope, simulation: Simulation, acquisition: Acquisition, seed: int
) -> np.ndarray:
    """Return (n_focus, ny, nx) images of an annular detector; all of them of the same phonon configurations."""
    import abtem

    scan, detector = acquisition.scan, acquisition.detector
    assert detector is not None  # the checks of an experiment have seen to it
    box, (ny, nx) = field_of_view_A(scan), scan.positions
    positions = in_the_box(atoms, rotation, simulation, scan)
    start = box / 2 - scan.step_A * np.array([nx // 2, ny // 2])
    grid = abtem.GridScan(start=tuple(start), end=tuple(start + scan.step_A * np.array([nx, ny])), gpts=(nx, ny), endpoint=False)
    annulus = abtem.AnnularDetector(inner=detector.inner_mrad, outer=detector.outer_mrad)
    total = np.zeros((len(microscope.defoci_A), ny, nx), dtype=np.float64)
    configurations = 0
    for displaced in thermal_configurations(atoms, positions, acquisition.frozen_phonons, seed):
        sliced = sliced_potential(atoms, displaced, simulation, scan)
        defoci = [sliced.entrance_defocus_A(defocus, microscope) for defocus in microscope.defoci_A]
        scanned = _scan_prism if simulation.method == "prism" else _scan_directly
        images = scanned(sliced.potential, defoci, microscope, simulation, grid, annulus)
        for image, measured in zip(total, images, strict=True):
            image += measured.T  # abTEM's axes are (x, y)
        configurations += 1
    return (total / configurations).astype(np.float32)


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


def _scattered(sliced: Sliced, defocus_A: float, microscope: Microscope, acquisition: Acquisition) -> Detect:
    """Return what each detector records, as a function of the probe positions."""
    import abtem

    probe = abtem.Probe(**abtem_aperture(microscope), defocus=defocus_A, **abtem_aberrations(microscope))
    probe.grid.match(sliced.potential)
    qy, qx = acquisition.camera.pixels
    step_mrad = 1e3 * wavelength_A(microscope.energy_keV) / field_of_view_A(acquisition.scan)
    detectors: list[Any] = [abtem.PixelatedDetector(max_angle=(max(qy, qx) // 2 + 1) * step_mrad)]
    if acquisition.detector is not None:
        detectors.append(abtem.AnnularDetector(inner=acquisition.detector.inner_mrad, outer=acquisition.detector.outer_mrad))

    def detect(positions: np.ndarray) -> Mapping[Modality, np.ndarray]:
        scan = abtem.CustomScan(positions)
        measured: Any = probe.scan(sliced.potential, scan=scan, detectors=detectors, max_batch=PROBES_AT_ONCE, lazy=True)
        computed: Any = measured.compute()
        recorded = computed if isinstance(computed, list) else [computed]  # abTEM returns one measurement without a list
        patterns = np.asarray(recorded[0].array).swapaxes(1, 2)  # abTEM's axes are (x, y)
        found: dict[Modality, np.ndarray] = {"4dstem": cropped(patterns, (qy, qx))}
        if len(recorded) > 1:
            found["adf"] = np.asarray(recorded[1].array)
        return found

    return detect


def cropped(patterns: np.ndarray, pixels: tuple[int, int]) -> np.ndarray:
    """Return the central pixels of (n, q_y, q_x) patterns; the undiffracted beam goes from index q//2 to index pixels//2."""
    start = [have // 2 - want // 2 for have, want in zip(patterns.shape[1:], pixels, strict=True)]
    return patterns[:, start[0] : start[0] + pixels[0], start[1] : start[1] + pixels[1]]
