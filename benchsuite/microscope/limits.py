"""What can be simulated: wavelength, band limit, room for the probe and for the particle; with the numbers where it cannot.

The grid: the field of view is divided into an even number of pixels of small prime factors, no wider than `sampling_A`.
Antialiasing keeps two thirds of its Nyquist angle λ/(2s) (Kirkland, Advanced Computing in Electron Microscopy, 2020); a detector
that reaches beyond would be truncated silently, so it is refused here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from ase import Atoms

from benchsuite.contract.settings import Acquisition, Microscope, Scan, Simulation
from benchsuite.errors import PhysicsError, choices
from benchsuite.microscope.tilts import box_depth_A, camera_field_A, field_of_view_A, rotations, specimen_box_A
from benchsuite.physics.electrons import wavelength_A
from benchsuite.physics.probe import AIRY_RADIUS, PROBE_TAILS, centred_defocus_A

MIN_OVERLAP = 0.5  # of the diameters of neighbouring probes
MAX_SIDE_PX = 100_000
MAX_ELECTRONS_PER_POSITION = 1e15  # beyond it counting noise is far below single precision

ABERRATION_ORDERS = (12, 21, 23, 30, 32, 34, 41, 43, 45, 50, 52, 54, 56)
ABERRATION_NAMES = (*(f"C{n}" for n in ABERRATION_ORDERS), *(f"phi{n}_deg" for n in ABERRATION_ORDERS if n % 10))


def grid_points(simulation: Simulation, box_A: float) -> int:
    """Return the pixels along one side: at least box/sampling, even, of small prime factors, a multiple of the PRISM factor."""
    multiple = math.lcm(2, prism_factor(simulation))
    pixels = multiple * max(1, math.ceil(box_A / simulation.sampling_A / multiple - 1e-6))
    odd = _without_small_factors(multiple)
    while _without_small_factors(pixels) != odd:
        pixels += multiple
    return pixels


def prism_factor(simulation: Simulation) -> int:
    """Return the interpolation factor f in use: 1 for direct multislice."""
    return simulation.prism_interpolation if simulation.method == "prism" else 1


def band_limit_mrad(energy_keV: float, pixels: int, box_A: float) -> float:
    """Return the largest scattering angle that survives antialiasing, in whole pixels of the diffraction pattern.

    About λ/(3s) for a sampling s = box/pixels.
    """
    across = 2 * pixels // 3
    across += (across - pixels) % 2
    return across // 2 * 1e3 * wavelength_A(energy_keV) / box_A


def too_many_pixels(simulation: Simulation, scan: Scan) -> str | None:
    """Return that the box has more pixels than any engine should be asked about, as "section.key: message", or None."""
    side = field_of_view_A(scan) / simulation.sampling_A
    if side <= MAX_SIDE_PX:
        return None
    return f"simulation.sampling_A: a box (acquisition.scan) of {side:.2g} pixels on a side; at most {MAX_SIDE_PX:,}"


def common_problems(microscope: Microscope, simulation: Simulation, acquisition: Acquisition) -> list[str]:
    """Return every reason why no engine can simulate this experiment, each as "section.key: message"."""
    problems = [
        *_check_room(microscope, simulation, acquisition),
        *_check_aberrations(microscope),
        *_check_dose(acquisition),
        *_check_tilts(acquisition),
    ]
    if acquisition.mode == "adf" and acquisition.detector is None:
        problems.append("acquisition.detector: images need an annulus (inner_mrad, outer_mrad); null is for mode 4dstem")
    return problems


def common_warnings(microscope: Microscope, simulation: Simulation, acquisition: Acquisition) -> list[str]:
    """Return what is possible but unusual about an experiment, each as "section.key: message"."""
    found = []
    nyquist = wavelength_A(microscope.energy_keV) / (4 * microscope.semiangle_mrad * 1e-3)
    if acquisition.mode == "4dstem":
        found += _warnings_overlap(microscope, acquisition.scan)
    elif acquisition.scan.step_A > nyquist * 1.001:
        found.append(
            f"acquisition.scan.step_A: {acquisition.scan.step_A:g} Å undersamples the image, whose finest detail requires "
            f"steps of λ/(4α) = {nyquist:.3f} Å"
        )
    if acquisition.detector is not None and acquisition.detector.inner_mrad < microscope.semiangle_mrad:
        found.append(
            f"acquisition.detector.inner_mrad: {acquisition.detector.inner_mrad:g} mrad lies inside the bright-field disk of "
            f"{microscope.semiangle_mrad:g} mrad"
        )
    phonons = acquisition.frozen_phonons
    widest = max(phonons.rms_A.values(), default=0.0) if phonons else 0.0
    if 5 * widest > simulation.margin_A:
        found.append(f"simulation.margin_A: {simulation.margin_A:g} Å is less than 5 × the thermal displacement of {widest:g} Å")
    return found


def check_specimen(atoms: Atoms, rotations: np.ndarray, simulation: Simulation, acquisition: Acquisition) -> None:
    """Raise PhysicsError where an element has no thermal displacement, or the specimen does not fit its box at some tilt."""
    phonons = acquisition.frozen_phonons
    missing = sorted({*atoms.get_chemical_symbols()} - {*phonons.rms_A}) if phonons else []
    if missing:
        raise PhysicsError(
            f"acquisition.frozen_phonons.rms_A: no thermal displacement for {', '.join(missing)}, which the phantom holds; give "
            "each its RMS displacement per axis in Å, or set acquisition.frozen_phonons to null"
        )
    check_fits(atoms, rotations, specimen_box_A(acquisition.scan, simulation), simulation.margin_A)


def check_fits(atoms: Atoms, rotations: np.ndarray, box_A: float | Sequence[float], margin_A: float) -> None:
    """Raise PhysicsError unless, at every tilt, every atom is at least the margin inside the faces of the box.

    `rotations` is (n, 3, 3) or (3, 3); `box_A` the side of a cube or (x, y, z) sides. A specimen is never wrapped round.
    """
    sides = np.broadcast_to(np.asarray(box_A, dtype=np.float64), 3)
    room = sides / 2 - margin_A
    for tilt, rotation in enumerate(np.asarray(rotations).reshape(-1, 3, 3)):
        beyond = np.abs(atoms.positions @ rotation.T) - room
        if len(atoms) and beyond.max() > 0:
            atom, axis = np.unravel_index(np.argmax(beyond), beyond.shape)
            where = float((rotation @ atoms.positions[atom])[axis])
            raise PhysicsError(
                f"the particle does not fit its box: at tilt {tilt} the {atoms.symbols[int(atom)]} atom {atom} is at "
                f"{'xyz'[int(axis)]} = {where:.2f} Å, but a box of {sides[axis]:.2f} Å with a margin of {margin_A:g} Å ends at "
                f"±{room[axis]:.2f} Å; enlarge acquisition.scan (step_A × positions) or take a smaller particle"
            )


def probe_spread_A(microscope: Microscope, simulation: Simulation, scan: Scan) -> float:
    """Return the largest diameter that the probe has in the box, over all foci."""
    depth = box_depth_A(scan, simulation)
    semiangle = microscope.semiangle_mrad * 1e-3
    defoci = [centred_defocus_A(defocus, microscope.focal_plane, depth) for defocus in microscope.defoci_A]
    out_of_focus = max(depth / 2 + abs(defocus) for defocus in defoci)
    return 2 * (semiangle * out_of_focus + PROBE_TAILS * wavelength_A(microscope.energy_keV) / semiangle)


def multislice_problems(microscope: Microscope, simulation: Simulation, acquisition: Acquisition) -> list[str]:
    """Return why a multislice calculation on the grid of `grid_points` cannot simulate this: angles beyond its band limit."""
    patterns, detector = acquisition.mode == "4dstem", acquisition.detector
    if patterns and simulation.method == "prism":
        return ["simulation.method: prism has no patterns of the full field; mode 4dstem needs multislice"]
    box, factor = field_of_view_A(acquisition.scan), prism_factor(simulation)
    pixels, wavelength = grid_points(simulation, box), wavelength_A(microscope.energy_keV)
    # PRISM detects on the pixels of its window, which are f times coarser in angle
    limit = min(band_limit_mrad(microscope.energy_keV, p, b) for p, b in ((pixels, box), (pixels // factor, box / factor)))
    pixel = 1e3 * wavelength / (camera_field_A(acquisition) if patterns else box / factor)
    problems = []
    camera = max(acquisition.camera.pixels) / 2 * pixel if patterns else 0.0
    if camera > limit:
        problems.append(
            f"acquisition.camera.pixels: {max(acquisition.camera.pixels)} pixels of {pixel:.3g} mrad reach {camera:.1f} mrad, "
            f"beyond the band limit of the simulation, {limit:.1f} mrad; at most {2 * int(limit / pixel)} pixels"
        )
    if detector is not None and detector.outer_mrad > limit:
        problems.append(
            f"acquisition.detector.outer_mrad: {detector.outer_mrad:g} mrad is beyond the band limit of the simulation, "
            f"{limit:.1f} mrad for pixels of {box / pixels:.4g} Å; simulation.sampling_A must be about "
            f"{1e3 * wavelength / 3 / detector.outer_mrad:.4f} or less"
        )
    if microscope.semiangle_mrad > limit:
        problems.append(
            f"microscope.semiangle_mrad: {microscope.semiangle_mrad:g} mrad is beyond the band limit of the simulation, "
            f"{limit:.1f} mrad"
        )
    if detector is not None and detector.outer_mrad - detector.inner_mrad < pixel:
        problems.append(
            f"acquisition.detector.inner_mrad: an annulus of {detector.outer_mrad - detector.inner_mrad:g} mrad is narrower than "
            f"a pixel of the diffraction pattern, {pixel:.2f} mrad"
        )
    return problems


def _warnings_overlap(microscope: Microscope, scan: Scan) -> list[str]:
    """Neighbouring probes must share much of the specimen, or the phases between them are not determined."""
    semiangle, found = microscope.semiangle_mrad * 1e-3, []
    for defocus in microscope.defoci_A:
        diameter = 2 * (semiangle * abs(defocus) + AIRY_RADIUS * wavelength_A(microscope.energy_keV) / semiangle)
        overlap = 1 - scan.step_A / diameter
        if overlap < MIN_OVERLAP:
            found.append(
                f"acquisition.scan.step_A: steps of {scan.step_A:g} Å leave probes of {diameter:.1f} Å (defocus {defocus:g} Å) an "
                f"overlap of {100 * max(overlap, 0):.0f}%; ptychographic methods want {100 * MIN_OVERLAP:.0f}% and more"
            )
    return found


def _check_room(microscope: Microscope, simulation: Simulation, acquisition: Acquisition) -> list[str]:
    """The probe must fit the box at the entrance, at the exit and at its waist; atoms need room, too."""
    scan = acquisition.scan
    box = field_of_view_A(scan)
    problems = []
    depth = box_depth_A(scan, simulation)
    if 2 * simulation.margin_A >= min(box, depth):
        least = min(box, depth)
        problems.append(f"simulation.margin_A: {simulation.margin_A:g} Å on both sides leaves no room in a box of {least:g} Å")
    spread = probe_spread_A(microscope, simulation, scan)
    if spread > box:
        problems.append(
            f"microscope.defocus_A: the probe spreads over {spread:.1f} Å, more than the box of {box:g} Å; "
            "enlarge acquisition.scan (step_A × positions) or reduce the defocus"
        )
    elif acquisition.mode == "4dstem" and spread > (field := camera_field_A(acquisition)):
        problems.append(f"acquisition.camera.field_A: {field:g} Å is less than the {spread:.1f} Å over which the probe spreads")
    return problems


def _check_aberrations(microscope: Microscope) -> list[str]:
    problems = []
    for name in microscope.aberrations_A:
        if name in ("C10", "C1", "defocus"):
            problems.append(f"microscope.aberrations_A.{name}: the defocus is given by microscope.defocus_A")
        elif name not in ABERRATION_NAMES:
            problems.append(f"microscope.aberrations_A.{name}: unknown coefficient; {choices(name, ABERRATION_NAMES)}")
        elif (match := re.fullmatch(r"phi(\d\d)_deg", name)) and f"C{match[1]}" not in microscope.aberrations_A:
            problems.append(f"microscope.aberrations_A.{name}: the direction of an aberration C{match[1]} that is not given")
    return problems


def _check_dose(acquisition: Acquisition) -> list[str]:
    electrons = acquisition.dose_e_per_A2 * acquisition.scan.step_A**2
    if math.isfinite(electrons) and electrons > MAX_ELECTRONS_PER_POSITION:
        return [f"acquisition.dose_e_per_A2: {acquisition.dose_e_per_A2:g} is beyond any noise; say .inf for noise-free data"]
    return []


def _check_tilts(acquisition: Acquisition) -> list[str]:
    try:
        rotations(acquisition.tilts)
    except PhysicsError as error:
        return [f"acquisition.tilts: {error}"]
    return []


def _without_small_factors(number: int) -> int:
    for prime in (2, 3, 5, 7):
        while number % prime == 0:
            number //= prime
    return number
