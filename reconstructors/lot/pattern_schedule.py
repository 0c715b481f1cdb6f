"""What the sweeps of a fit to patterns do, one after the other."""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchsuite.reconstructors.lot.params import LOTParams

CENSUS = (2, 4)  # sweeps before which atoms are born and die
COARSE_SWEEPS = 6  # at most, on the voxels
FIRST_PROBE_STEP = 0.3  # of the aperture function, relative to that of ptychography


@dataclass(frozen=True)
class Turn:
    """One sweep. finer: pixels of the wave along a voxel; census: atoms die and are born before it; fresh: the curvature is
    measured; views: they may follow; probe_step: so does the aperture function, by this part of a full step.
    """

    finer: int
    fresh: bool
    census: bool = False
    views: bool = False
    probe_step: float = 0.0


def turns(params: LOTParams) -> list[Turn]:
    """Return what every sweep does: on the voxels first, with two censuses, then on finer pixels."""
    finer, count = params.oversampling or 1, params.iterations
    settled = min(COARSE_SWEEPS, count // 2)
    fine_from = settled if finer > 1 else count
    moving = params.refine_drift or params.refine_angles
    order = []
    for number in range(count):
        fine = number >= fine_from
        taken = number in CENSUS and not fine
        order.append(
            Turn(
                finer if fine else 1,
                fresh=taken or number in (0, fine_from) or (moving and number == CENSUS[0]),
                census=taken,
                views=moving and number >= CENSUS[0],
                probe_step=probe_step(number - settled, count - settled) if params.refine_probe else 0.0,
            )
        )
    return order


def probe_step(number: int, count: int) -> float:
    """Return the step of the aperture function in a sweep of so many: none in the first, then fading to nothing."""
    return 0.5 * FIRST_PROBE_STEP * (1 + math.cos(math.pi * number / count)) if number > 0 else 0.0
