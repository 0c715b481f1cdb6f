"""What the sweeps of a fit to patterns do, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconstructors.lot import LOTParams

CENSUS = (2, 4)  # sweeps before which atoms are born and die
COARSE_SWEEPS = 6  # at most, on the voxels


@dataclass(frozen=True)
class Turn:
    """One sweep. finer: pixels of the wave along a voxel; census: atoms die and are born before it; fresh: the curvature is
    measured; views, probes: these may follow.
    """

    finer: int
    fresh: bool
    census: bool = False
    views: bool = False
    probes: bool = False


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
                fresh=taken or number in (0, fine_from),
                census=taken,
                views=moving and number >= CENSUS[0],
                probes=params.refine_probe and number > settled,
            )
        )
    return order
