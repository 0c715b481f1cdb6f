"""4D-STEM: a diffraction pattern per probe position, and the virtual images that the same electrons give.

Patterns are cropped, never binned: the camera keeps the central pixels of the simulated pattern, whose step is 1/box. An annular
and a bright-field detector record the same waves, so that methods for images see the same particle and the same electrons.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ase import Atoms

from benchsuite.microscope.cost import POSITIONS_AT_ONCE, PROBES_AT_ONCE
from benchsuite.microscope.native import scattered_natively
from benchsuite.microscope.scattering import (
    ADF,
    PATTERNS,
    Detect,
    Sliced,
    abtem_aberrations,
    abtem_aperture,
    in_the_box,
    probe_positions_A,
    sliced_potential,
    thermal_configurations,
    with_abtem,
)
from benchsuite.microscope.settings import Acquisition, Microscope, Simulation
from benchsuite.microscope.tilts import field_of_view_A
from benchsuite.physics.electrons import wavelength_A

Allocate = Callable[[str, tuple[int, ...]], np.ndarray]


def in_memory(_name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return zeros, float32: the plain way to hold the results of `simulate_diffraction`."""
    return np.zeros(shape, dtype=np.float32)


def simulate_diffraction(
    atoms: Atoms,
    rotation: np.ndarray,
    microscope: Microscope,
    simulation: Simulation,
    acquisition: Acquisition,
    seed: int,
    drift_A: np.ndarray | None = None,
    device: str = "cpu",
    allocate: Allocate = in_memory,
) -> Mapping[str, np.ndarray]:
    """Return one noise-free tilt: fractions of the incident electrons, averaged over phonons, float32.

    patterns (n_focus, ny, nx, q_y, q_x), the zero beam at index q//2; adf (n_focus, ny, nx) where the scenario has an annulus.
    `drift_A` (n_focus, 2) moves the specimen in each scan by (x, y). `allocate(name, shape)` gives zeroed arrays to fill, which may
    live on disk: beyond them, memory is bounded whatever the number of positions. Errors as for `simulate_adf`.
    """
    scan, camera = acquisition.scan, acquisition.camera
    box, (ny, nx), foci = field_of_view_A(scan), scan.positions, len(microscope.defoci_A)
    positions = in_the_box(atoms, rotation, simulation, scan)
    probes = probe_positions_A(scan, box).reshape(-1, 2)
    shifts = np.zeros((foci, 2)) if drift_A is None else np.asarray(drift_A)
    configurations = acquisition.frozen_phonons.count if acquisition.frozen_phonons else 1
    scatter = scattered_natively if simulation.engine == "native" else _scattered_by_abtem

    def averaged() -> Mapping[str, np.ndarray]:
        results = {PATTERNS: allocate(PATTERNS, (foci, ny, nx, *camera.pixels))}
        if acquisition.detector is not None:
            results[ADF] = allocate(ADF, (foci, ny, nx))
        for displaced in thermal_configurations(atoms, positions, acquisition.frozen_phonons, seed):
            sliced = sliced_potential(atoms, displaced, simulation, scan)
            for focus, defocus in enumerate(microscope.defoci_A):
                entrance = sliced.entrance_defocus_A(defocus, microscope)
                detect = scatter(sliced, entrance, microscope, simulation, acquisition, box)
                flat = {name: array[focus].reshape(ny * nx, *array.shape[3:]) for name, array in results.items()}
                for first in range(0, len(probes), POSITIONS_AT_ONCE):
                    some = slice(first, first + POSITIONS_AT_ONCE)
                    for name, measured in detect(probes[some] - shifts[focus]).items():
                        flat[name][some] += measured / np.float32(configurations)
        return results

    return with_abtem(device, averaged)


def _scattered_by_abtem(
    sliced: Sliced, defocus_A: float, microscope: Microscope, _simulation: Simulation, acquisition: Acquisition, box_A: float
) -> Detect:
    """Return a function of positions (n, 2) in Å from the corner of the box, to what each detector records there."""
    import abtem

    probe = abtem.Probe(**abtem_aperture(microscope), defocus=defocus_A, **abtem_aberrations(microscope))
    probe.grid.match(sliced.potential)
    qy, qx = acquisition.camera.pixels
    step_mrad = 1e3 * wavelength_A(microscope.energy_keV) / box_A
    detectors: list[Any] = [abtem.PixelatedDetector(max_angle=(max(qy, qx) // 2 + 1) * step_mrad)]
    if acquisition.detector is not None:
        detectors.append(abtem.AnnularDetector(inner=acquisition.detector.inner_mrad, outer=acquisition.detector.outer_mrad))

    def detect(positions: np.ndarray) -> Mapping[str, np.ndarray]:
        scan = abtem.CustomScan(positions)
        measured: Any = probe.scan(sliced.potential, scan=scan, detectors=detectors, max_batch=PROBES_AT_ONCE, lazy=True)
        computed: Any = measured.compute()
        recorded = computed if isinstance(computed, list) else [computed]  # abTEM returns one measurement without a list
        patterns = np.asarray(recorded[0].array).swapaxes(1, 2)  # abTEM's axes are (x, y)
        found = {PATTERNS: cropped(patterns, (qy, qx))}
        if len(recorded) > 1:
            found[ADF] = np.asarray(recorded[1].array)
        return found

    return detect


def cropped(patterns: np.ndarray, pixels: tuple[int, int]) -> np.ndarray:
    """Return the central pixels of (n, q_y, q_x) patterns; the zero beam goes from index q//2 to index pixels//2."""
    start = [have // 2 - want // 2 for have, want in zip(patterns.shape[1:], pixels, strict=True)]
    return patterns[:, start[0] : start[0] + pixels[0], start[1] : start[1] + pixels[1]]
