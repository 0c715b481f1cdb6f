"""The order in which local orbitals are released, in numbers: what each sweep of a fit moves and how far, and what precedes it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from benchsuite.reconstructors.lot.params import LOTParams

WEIGHT_SWEEPS = 4  # of a grid, to begin with, positions held
GATHERING = (
    (0.25, 0.05),
    (0.4, 0.1),
    (0.55, 0.2),
    (0.75, 0.4),
    (1.0, 1.0),
)  # parts of merge_A and of weakest, one stage after another
GATHERING_SWEEPS = 6  # of each stage
WIDTHS_FROM = 3  # stage of the gathering from which widths follow
GATHERING_STEP_A, GATHERING_WEIGHT = 0.06, 0.1  # steps while gathering; of the weight, relative to the mean


@dataclass(frozen=True)
class Phase:
    """What a sweep does: first steps by x, y, z, W (relative to the mean), B; and what happens before it.

    solve: weights are solved for, positions held. merge_A, weakest: orbitals are joined and removed. fill: they are added. views,
    probes, background: these may follow.
    """

    steps: tuple[float, float, float, float, float]
    solve: bool = False
    merge_A: float = 0.0
    weakest: float = 0.0
    fill: bool = False
    views: bool = False
    probes: bool = False
    background: bool = False


def phases(params: LOTParams, gathering: bool) -> list[Phase]:
    """Return what every sweep does; `gathering`: orbitals of a regular grid gather before the last sweeps."""
    p = params
    order: list[Phase] = []
    if gathering:
        order += [Phase((0, 0, 0, 3 * GATHERING_WEIGHT, 0))] * WEIGHT_SWEEPS
        step = GATHERING_STEP_A
        for stage, (part, weakest) in enumerate(GATHERING):
            width = p.width_step_A2 if stage >= WIDTHS_FROM else 0.0
            following = Phase((step, step, step, GATHERING_WEIGHT, width))
            first = Phase(following.steps, merge_A=part * p.merge_A, weakest=weakest * p.weakest)
            order += [first, *[following] * (GATHERING_SWEEPS - 1)]
    third = p.iterations // 3
    for number in range(p.iterations):
        fade = 0.5 * (1 + math.cos(math.pi * number / p.iterations))
        steps = fade * np.array([*[p.position_step_A] * 3, p.weight_step, p.width_step_A2])
        clean = number in (0, third, 2 * third)
        order.append(
            Phase(
                tuple(steps.tolist()),
                solve=number == 0 and not gathering,
                merge_A=p.merge_A if clean else 0.0,
                weakest=p.weakest if clean else 0.0,
                fill=number in (0, third),
                views=number >= third and (p.refine_drift or p.refine_angles),
                probes=number >= third and p.interaction == "adaptive",
                background=True,
            )
        )
    return order
