"""The project's own multislice kernel on the potential that abTEM makes: diffraction patterns.

Band limits are those of abTEM: potential, transmission and propagator keep two thirds of the Nyquist frequency. Unlike there, the
specimen is not repeated beyond the box: a probe at the edge of the scan has vacuum outside. Where the scenario gives
`simulation.window_A`, each probe is computed in a window of that size instead of the whole box;
`benchsuite.physics.multislice.model` says what that neglects.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

import numpy as np
from ase import Atoms

from benchsuite.contract.plug import Cost
from benchsuite.contract.settings import Acquisition, Microscope, Simulation
from benchsuite.contract.simulator import Allocate, Simulator, in_memory
from benchsuite.data import Modality, Optics
from benchsuite.microscope.cost import NATIVE_SLICE_S, PROCESS_BYTES, STARTUP_S, work_of
from benchsuite.microscope.limits import grid_points, multislice_problems, probe_spread_A
from benchsuite.microscope.scattering import POSITIONS_AT_ONCE, Detect, Sliced, scanned_patterns, with_abtem
from benchsuite.microscope.tilts import camera_field_A, field_of_view_A
from benchsuite.params import Params
from benchsuite.physics.backend import fft_module, thread_count
from benchsuite.physics.electrons import interaction_per_VA, wavelength_A
from benchsuite.physics.multislice.model import Multislice
from benchsuite.physics.multislice.waves import WaveGrid, band_limit, window_pixels
from benchsuite.physics.probe import aperture_function

ANTIALIASING = 2 / 3


class Native(Simulator[Params]):
    title = "Multislice simulation of 4D-STEM by the kernel of benchsuite"
    reference = "Cowley & Moodie, Acta Cryst. 10 (1957) 609, doi:10.1107/S0365110X57002194"
    modalities = ("4dstem",)
    substitute = "abtem"
    libraries = ("abtem",)
    forward_model = "multislice.model"
    unread = ("method", "prism_interpolation")

    def check(self, microscope: Microscope, simulation: Simulation, acquisition: Acquisition) -> list[str]:
        problems = multislice_problems(microscope, simulation, acquisition)
        field, box = camera_field_A(acquisition), field_of_view_A(acquisition.scan)
        pixels = grid_points(simulation, box)
        exact = field * pixels / box
        if field > box or abs(exact - round(exact)) > 1e-6 * exact:
            problems.append(
                f"acquisition.camera.field_A: {field:g} Å is not a whole number of the simulation's pixels of "
                f"{box / pixels:.6g} Å within its box of {box:g} Å; choose another field or simulation.sampling_A"
            )
        spread = probe_spread_A(microscope, simulation, acquisition.scan)
        if simulation.window_A is not None and simulation.window_A < spread <= field:
            problems.append(
                f"simulation.window_A: {simulation.window_A:g} Å is less than the {spread:.1f} Å over which the probe spreads"
            )
        return problems

    def cost(self, microscope: Microscope, simulation: Simulation, acquisition: Acquisition) -> Cost:
        work, field = work_of(microscope, simulation, acquisition), camera_field_A(acquisition)
        pixel = work.box_A / work.side
        field_px = field / pixel
        wave = window_pixels(simulation.window_A, pixel, round(field_px)) ** 2
        per_probe = NATIVE_SLICE_S * (work.slices * wave * math.log2(wave) + field_px**2 * math.log2(field_px**2))
        seconds = work.configurations * work.foci * work.positions * per_probe
        held = 2 * work.potential_bytes + 8.0 * (8 * work.slices * wave + POSITIONS_AT_ONCE * field_px**2)
        return Cost(STARTUP_S + seconds, PROCESS_BYTES + held)

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
        scatter = functools.partial(_scattered, microscope=microscope, simulation=simulation, acquisition=acquisition)
        specimen = (atoms, rotation, microscope, simulation, acquisition, seed, drift_A, allocate)
        return with_abtem(device, lambda: scanned_patterns(scatter, *specimen))


def _scattered(
    sliced: Sliced, defocus_A: float, microscope: Microscope, simulation: Simulation, acquisition: Acquisition
) -> Detect:
    """Return what each detector records, as a function of the probe positions."""
    box_A = field_of_view_A(acquisition.scan)
    projected = np.asarray(sliced.potential.array)
    pixels = projected.shape[-1]
    wavelength, pixel = wavelength_A(microscope.energy_keV), box_A / pixels
    field_A = camera_field_A(acquisition)
    field_px = round(field_A / pixel)  # `check` has seen to it that it is whole
    qy, qx = acquisition.camera.pixels
    annulus = acquisition.detector
    angle = 1e3 * wavelength / field_A  # mrad per pixel of the pattern
    beyond = 2 * (int(annulus.outer_mrad / angle) + 1) + 1 if annulus is not None else 0
    recorded = (min(max(qy, beyond), field_px), min(max(qx, beyond), field_px))
    grid = WaveGrid(
        wavelength,
        pixel,
        sliced.slice_A,
        len(projected),
        field_px,
        recorded,
        window_pixels(simulation.window_A, pixel, field_px),
        ANTIALIASING,
        margin_A=box_A / 8,  # for drift
    )
    kernel = Multislice(grid, threads=thread_count())
    q = np.fft.fftfreq(pixels, pixel)
    mask = band_limit(q[:, None] ** 2 + q**2, pixel, ANTIALIASING).astype(np.float32)
    phase = interaction_per_VA(microscope.energy_keV) * projected.swapaxes(1, 2)  # abTEM's axes are (x, y)
    fft, threads = fft_module(np), thread_count()
    unlimited = np.exp(1j * phase.astype(np.complex64))
    transmission = kernel.padded(fft.ifft2(fft.fft2(unlimited, workers=threads) * mask, workers=threads))
    optics = Optics(microscope.energy_keV, microscope.semiangle_mrad, dict(microscope.aberrations_A))
    aperture = aperture_function(optics, defocus_A, field_px, pixel, wavelength)
    along_y, along_x = (1e3 * wavelength * grid.frequencies(field_px)[grid.detector_frequencies(count)] for count in recorded)
    radius = np.hypot(along_y[:, None], along_x)
    ring = (radius >= annulus.inner_mrad) & (radius < annulus.outer_mrad) if annulus is not None else None

    def detect(positions: np.ndarray) -> Mapping[Modality, np.ndarray]:
        origins, shifts = grid.window_origins(positions - pixel * (pixels // 2), (pixels, pixels))
        intensities = kernel.intensities(transmission, origins, kernel.waves(aperture, shifts))
        found: dict[Modality, np.ndarray] = {"4dstem": central(intensities, (qy, qx))}
        if ring is not None:
            found["adf"] = intensities[:, ring].sum(axis=1, dtype=np.float64)
        return found

    return detect


def central(patterns: np.ndarray, pixels: tuple[int, int]) -> np.ndarray:
    """Return the lowest frequencies of (n, rows, columns) patterns in the order of the FFT, the undiffracted beam in the middle."""
    rows, columns = (np.fft.fftshift(np.fft.fftfreq(n, 1 / n).astype(int)) for n in pixels)
    return patterns[:, rows[:, None] % patterns.shape[1], columns % patterns.shape[2]]
