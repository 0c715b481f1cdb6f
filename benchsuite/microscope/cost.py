"""What a simulated image will cost: counts of transforms, times what each was measured to take."""

from __future__ import annotations

import math

from benchsuite.contract.cost import Cost
from benchsuite.microscope.limits import grid_points
from benchsuite.microscope.settings import Acquisition, Microscope, Simulation
from benchsuite.microscope.tilts import box_depth_A, camera_field_A, field_of_view_A
from benchsuite.physics.electrons import wavelength_A

STARTING_S = 1.0  # importing abTEM and planning the transforms, shared by the tilts that one process computes
TRANSFORM_S = 5.0e-10  # per pixel, slice and log2(pixels): transmission, propagation and both transforms
REDUCTION_S = 1.4e-10  # per plane wave, pixel of the cropped region and probe
DETECTION_S = 1.5e-9  # per pixel of a probe's window and log2(pixels)
NATIVE_S = 2.2e-10  # per pixel, slice and log2(pixels) with the native engine
INCOHERENT_S, PRODUCT_S = 4.5e-10, 2e-11  # per fine pixel, slice and log2(pixels): three transforms and a cosine; a focus
BASE_BYTES = 5e8
PROBES_AT_ONCE = 16
POSITIONS_AT_ONCE = 64


def window_pixels(window_A: float | None, box_A: float, pixels: int) -> int:
    """Return the side of a probe's window in the native engine: a multiple of 8 pixels, or the whole field where none is given."""
    if window_A is None or window_A >= box_A:
        return pixels
    return min(math.ceil(window_A / box_A * pixels / 8) * 8, pixels)


def plane_waves(microscope: Microscope, simulation: Simulation, box_A: float) -> float:
    """Return about how many plane waves of the PRISM expansion lie in the aperture."""
    radius = microscope.semiangle_mrad * 1e-3 / wavelength_A(microscope.energy_keV) * box_A / simulation.prism_interpolation
    return math.pi * (radius + 0.5) ** 2


def simulate_cost(microscope: Microscope, simulation: Simulation, acquisition: Acquisition) -> Cost:
    """Predict one tilt: its focus images and phonon configurations, on one core; vacuum in the box makes it less."""
    scan, phonons = acquisition.scan, acquisition.frozen_phonons
    box = field_of_view_A(scan)
    side = grid_points(simulation, box)
    pixels = side**2
    positions = scan.positions[0] * scan.positions[1]
    slices = math.ceil(box_depth_A(scan, simulation) / simulation.slice_A)
    images, configurations = len(microscope.defoci_A), phonons.count if phonons else 1
    per_wave = TRANSFORM_S * slices * pixels * math.log2(pixels)
    sliced = 2 * 8.0 * slices * pixels
    if acquisition.mode == "4dstem" and simulation.engine == "native":
        field = camera_field_A(acquisition)
        full = field / box * side
        wave = window_pixels(simulation.window_A, field, round(full)) ** 2
        detection = NATIVE_S * full**2 * math.log2(full**2)
        seconds = configurations * images * positions * (NATIVE_S * slices * wave * math.log2(wave) + detection)
        return Cost(STARTING_S + seconds, BASE_BYTES + 2 * sliced + 8.0 * (8 * slices * wave + POSITIONS_AT_ONCE * full**2))
    if simulation.engine == "incoherent":
        fine = positions * math.ceil(scan.step_A / simulation.sampling_A - 1e-9) ** 2
        seconds = slices * fine * math.log2(fine) * (INCOHERENT_S + images * PRODUCT_S)
        return Cost(STARTING_S + seconds, BASE_BYTES + 4.0 * fine * slices * images + 30 * fine)
    if simulation.method == "multislice":
        seconds = configurations * images * positions * per_wave
        return Cost(STARTING_S + seconds, BASE_BYTES + sliced + 8.0 * pixels * PROBES_AT_ONCE * 8)
    waves = plane_waves(microscope, simulation, box)
    window = (side / simulation.prism_interpolation) ** 2
    block = math.sqrt(POSITIONS_AT_ONCE) * scan.step_A / box * side
    cropped = min((math.sqrt(window) + block) ** 2, pixels)
    reduction = positions * (REDUCTION_S * waves * cropped + DETECTION_S * window * math.log2(window))
    seconds = configurations * (waves * per_wave + images * reduction)
    held = 8.0 * waves * (2 * pixels + cropped) + 8.0 * POSITIONS_AT_ONCE * cropped
    return Cost(STARTING_S + seconds, BASE_BYTES + sliced + held)
