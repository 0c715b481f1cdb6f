"""What simulations take: the size of the work, and times per unit of work as they were measured.

Seconds are of one core of the reference machine. The logarithm is to base 2, of the number of pixels that are transformed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchsuite.contract.settings import Acquisition, Microscope, Simulation
from benchsuite.microscope.limits import grid_points
from benchsuite.microscope.tilts import box_depth_A, field_of_view_A

STARTUP_S = 1.0  # per process: importing abTEM and planning the transforms
ABTEM_SLICE_S = 5.0e-10  # per pixel, slice and logarithm: transmission, propagation and both transforms
PRISM_REDUCTION_S = 1.4e-10  # per plane wave, pixel of the cropped region and probe position
PRISM_DETECTION_S = 1.5e-9  # per pixel of a probe's window, probe position and logarithm
NATIVE_SLICE_S = 2.2e-10  # per pixel, slice and logarithm
INCOHERENT_SLICE_S = 4.5e-10  # per fine pixel, slice and logarithm: three transforms and a cosine
INCOHERENT_FOCUS_S = 2e-11  # per fine pixel, slice, focus and logarithm
PROCESS_BYTES = 5e8  # abTEM, numba and their libraries


@dataclass(frozen=True)
class Work:
    """The size of one tilt.

    box_A, side: side of the box across the beam, in Å and in pixels.
    """

    box_A: float
    side: int
    slices: int
    positions: int
    foci: int
    configurations: int

    @property
    def pixels(self) -> int:
        return self.side**2

    @property
    def potential_bytes(self) -> float:
        """The sliced potential and its transmission function."""
        return 2 * 8.0 * self.slices * self.pixels


def work_of(microscope: Microscope, simulation: Simulation, acquisition: Acquisition) -> Work:
    """Return the size of one tilt; vacuum in the box makes it less."""
    scan, phonons = acquisition.scan, acquisition.frozen_phonons
    box = field_of_view_A(scan)
    slices = math.ceil(box_depth_A(scan, simulation) / simulation.slice_A)
    positions = scan.positions[0] * scan.positions[1]
    return Work(box, grid_points(simulation, box), slices, positions, len(microscope.defoci_A), phonons.count if phonons else 1)
