"""What can be simulated: wavelength, band limit, PRISM window, room in the box; and what it will cost.

Antialiasing keeps two thirds of the Nyquist angle λ/(2s) of a grid with sampling s (Kirkland, Advanced Computing in Electron
Microscopy, 2020). A detector beyond that would be truncated silently, so it is refused here.
"""

from __future__ import annotations

import math

import numpy as np
from ase import Atoms

from benchsuite.contract import Cost
from benchsuite.errors import PhysicsError
from benchsuite.microscope.tilts import field_of_view_A, rotations
from benchsuite.scenario.schema import Acquisition, FrozenPhonons, Microscope, Scan, Simulation

PLANCK_C_EV_A = 12398.419843320026
REST_ENERGY_EV = 510998.95


def wavelength_A(energy_keV: float) -> float:
    """Return the relativistic electron wavelength in Å."""
    energy = energy_keV * 1e3
    return PLANCK_C_EV_A / math.sqrt(energy * (2 * REST_ENERGY_EV + energy))


def grid_points(simulation: Simulation, box_A: float) -> int:
    """Return the pixels along one side: at least box/sampling, even, of small prime factors, a multiple of the PRISM factor."""
    multiple = math.lcm(2, simulation.prism_interpolation if simulation.method == "prism" else 1)
    pixels = multiple * math.ceil(box_A / simulation.sampling_A / multiple - 1e-6)
    while not _has_small_factors(pixels):
        pixels += multiple
    return pixels


def band_limit_mrad(energy_keV: float, sampling_A: float) -> float:
    """Return the largest scattering angle that survives antialiasing: 2/3 of λ/(2 sampling)."""
    return 1e3 * wavelength_A(energy_keV) / (3 * sampling_A)


def check_physics(microscope: Microscope, simulation: Simulation, acquisition: Acquisition) -> list[str]:
    """Return every reason why this experiment cannot be simulated, each as "section.key: message"."""
    problems = []
    box = field_of_view_A(acquisition.scan)
    limit = band_limit_mrad(microscope.energy_keV, box / grid_points(simulation, box))
    finest = 1e3 * wavelength_A(microscope.energy_keV) / 3
    if acquisition.detector.outer_mrad > limit:
        problems.append(
            f"acquisition.detector.outer_mrad: {acquisition.detector.outer_mrad:g} mrad is beyond the band limit of "
            f"{limit:.1f} mrad; at most {limit:.1f}, or simulation.sampling_A of "
            f"{finest / acquisition.detector.outer_mrad:.4f} or less"
        )
    if microscope.semiangle_mrad > limit:
        problems.append(f"microscope.semiangle_mrad: {microscope.semiangle_mrad:g} mrad is beyond the band limit of {limit:.1f} mrad")
    if simulation.method == "prism":
        window = box / simulation.prism_interpolation
        reach = max(abs(defocus) for defocus in microscope.defoci_A) + box / 2
        spread = 2 * reach * microscope.semiangle_mrad * 1e-3 + 1.22 * wavelength_A(microscope.energy_keV) / (
            microscope.semiangle_mrad * 1e-3
        )
        if spread > window:
            problems.append(
                f"simulation.prism_interpolation: {simulation.prism_interpolation} gives a probe window of {window:.1f} Å, but the "
                f"probe spreads over {spread:.1f} Å; at most {max(1, math.floor(box / spread))}"
            )
    try:
        rotations(acquisition.tilts)
    except PhysicsError as error:
        problems.append(f"acquisition.tilts: {error}")
    return problems


def check_fits(atoms: Atoms, rotation: np.ndarray, box_A: float, margin_A: float) -> None:
    """Raise PhysicsError unless every atom, rotated, is at least the margin inside the faces of the cubic box."""
    reach = float(np.abs(atoms.positions @ np.asarray(rotation).T).max()) if len(atoms) else 0.0
    if reach > box_A / 2 - margin_A:
        raise PhysicsError(
            f"the tilted particle reaches {reach:.2f} Å from the centre; the box of {box_A:.2f} Å with a margin of {margin_A:g} Å "
            f"holds {box_A / 2 - margin_A:.2f} Å: enlarge acquisition.scan (step_A × positions) or take a smaller particle"
        )


def simulate_cost(microscope: Microscope, simulation: Simulation, scan: Scan, phonons: FrozenPhonons | None) -> Cost:
    """Predict one image: transforms of the waves through the slices, and for PRISM the reduction to probes."""
    box = field_of_view_A(scan)
    pixels = grid_points(simulation, box) ** 2
    probes = scan.positions[0] * scan.positions[1]
    slices = math.ceil(box / simulation.slice_A)
    passes = len(microscope.defoci_A) * (phonons.count if phonons else 1)
    per_wave = 8.3e-10 * slices * pixels * math.log2(pixels)
    if simulation.method == "multislice":
        return Cost(seconds=4.0 + passes * probes * per_wave, bytes=6e8 + 64 * 8 * pixels)
    window = pixels / simulation.prism_interpolation**2
    radius = microscope.semiangle_mrad * 1e-3 / wavelength_A(microscope.energy_keV) * box / simulation.prism_interpolation
    waves = math.pi * radius**2
    reduction = probes * window * (waves * 1.0e-9 + 4e-8)
    return Cost(seconds=4.0 + passes * (waves * per_wave + reduction), bytes=6e8 + waves * pixels * 16)


def _has_small_factors(number: int) -> bool:
    for prime in (2, 3, 5, 7):
        while number % prime == 0:
            number //= prime
    return number == 1
