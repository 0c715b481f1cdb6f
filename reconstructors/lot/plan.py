"""The iteration plan: what each iteration of a fit moves and how far, and what precedes it, for images and for patterns."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from benchsuite.reconstructors.lot.params import LOTParams

WEIGHT_ITERATIONS = 4  # iterations over a grid, to begin with, in which positions are held
GATHERING_STAGES = ((0.25, 0.05), (0.4, 0.1), (0.55, 0.2), (0.75, 0.4), (1.0, 1.0))  # parts of merge_A and of weakest
GATHERING_ITERATIONS = 6  # iterations of each stage
WIDTHS_FROM_STAGE = 3  # first stage in which widths follow
GATHERING_STEP_A, GATHERING_WEIGHT_STEP = 0.06, 0.1  # steps while orbitals gather; of the weight, relative to the mean

SELECTION_ITERATIONS = (2, 4)  # iterations before which atoms are added and removed
MAX_COARSE_ITERATIONS = 6  # iterations with the voxels as pixels of the wave
INITIAL_PROBE_STEP = 0.3  # step of the aperture function, relative to that of ptychography


@dataclass(frozen=True)
class ImageStep:
    """One iteration over images. steps: first steps by x, y, z, W (relative to the mean), B.

    Before it weights are solved for with positions held (solve_weights), orbitals are joined and removed (merge_A, weakest), or
    added where the residual asks for an atom (add_orbitals). Views, probes and background may follow it.
    """

    steps: tuple[float, float, float, float, float]
    solve_weights: bool = False
    merge_A: float = 0.0
    weakest: float = 0.0
    add_orbitals: bool = False
    refine_views: bool = False
    refine_probes: bool = False
    refine_background: bool = False


@dataclass(frozen=True)
class PatternStep:
    """One iteration over patterns. oversampling: pixels of the wave along a voxel.

    Before it atoms are removed and added (select_atoms), and the curvature is measured. Views may follow it, and so may the
    aperture function, by the part `probe_step` of a full step.
    """

    oversampling: int
    measure_curvature: bool
    select_atoms: bool = False
    refine_views: bool = False
    probe_step: float = 0.0


def fading(number: int, count: int) -> float:
    """Return the factor of the step in iteration `number` of so many: from 1 to 0 as a cosine."""
    return 0.5 * (1 + math.cos(math.pi * number / count))


def gathering_iterations() -> int:
    """Return how many iterations orbitals of a grid take until they have gathered where the atoms are."""
    return WEIGHT_ITERATIONS + GATHERING_ITERATIONS * len(GATHERING_STAGES)


def image_plan(params: LOTParams, gathering: bool) -> list[ImageStep]:
    """Return what every iteration does; `gathering`: orbitals of a regular grid gather before the last `iterations`."""
    p, plan = params, list[ImageStep]()
    if gathering:
        plan += [ImageStep((0, 0, 0, 3 * GATHERING_WEIGHT_STEP, 0))] * WEIGHT_ITERATIONS
        step = GATHERING_STEP_A
        for stage, (part, weakest) in enumerate(GATHERING_STAGES):
            width = p.width_step_A2 if stage >= WIDTHS_FROM_STAGE else 0.0
            steps = (step, step, step, GATHERING_WEIGHT_STEP, width)
            plan.append(ImageStep(steps, merge_A=part * p.merge_A, weakest=weakest * p.weakest))
            plan += [ImageStep(steps)] * (GATHERING_ITERATIONS - 1)
    third = p.iterations // 3
    for number in range(p.iterations):
        steps_of_all = fading(number, p.iterations) * np.array([*[p.position_step_A] * 3, p.weight_step, p.width_step_A2])
        tidy = number in (0, third, 2 * third)
        plan.append(
            ImageStep(
                tuple(steps_of_all.tolist()),
                solve_weights=number == 0 and not gathering,
                merge_A=p.merge_A if tidy else 0.0,
                weakest=p.weakest if tidy else 0.0,
                add_orbitals=number in (0, third),
                refine_views=number >= third and (p.refine_drift or p.refine_angles),
                refine_probes=number >= third and p.interaction == "adaptive",
                refine_background=True,
            )
        )
    return plan


def pattern_plan(params: LOTParams) -> list[PatternStep]:
    """Return what every iteration does: on the voxels first, where atoms are added and removed twice, then on finer pixels."""
    oversampling, count = params.oversampling or 1, params.iterations
    settled = min(MAX_COARSE_ITERATIONS, count // 2)
    fine_from = settled if oversampling > 1 else count
    moving = params.refine_drift or params.refine_angles
    plan = []
    for number in range(count):
        fine, of_probe = number >= fine_from, number - settled
        selected = number in SELECTION_ITERATIONS and not fine
        plan.append(
            PatternStep(
                oversampling if fine else 1,
                measure_curvature=selected or number in (0, fine_from) or (moving and number == SELECTION_ITERATIONS[0]),
                select_atoms=selected,
                refine_views=moving and number >= SELECTION_ITERATIONS[0],
                probe_step=INITIAL_PROBE_STEP * fading(of_probe, count - settled) if params.refine_probe and of_probe > 0 else 0.0,
            )
        )
    return plan
