"""How far the shifts and rotations of an alignment are from the truth, where only what images can tell counts.

A translation t of the specimen moves image i by the xy part of R_i t, and a rotation Q of it turns every R_i into R_i Q: both leave
all images as they are, and are fitted and removed. For the shifts of an aligned specimen the residual rotations matter in second
order only, as long as it is centred.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchsuite.columns import Column, Margin
from benchsuite.contract.metric import Metric, Scored
from benchsuite.params import Params
from benchsuite.physics.rotations import common_rotation, common_translation, vector_from_rotation


class AlignmentErrors(Metric[Params]):
    title = "Errors of alignments, against the drifts and rotations that the series hides"
    reference = "docs/theory.md: root mean square residuals after a common translation and rotation are removed"
    default = True
    order = 72
    columns = (
        Column(
            "alignment_error_px", "Alignment error", "pixels", "lower", Margin(0.05, 0.02),
            description="Root mean square error per axis of the shifts that the alignment found, a common translation removed",
        ),
        Column(
            "alignment_error_deg", "Alignment error of the rotations", "°", "lower", Margin(0.05, 0.02),
            description="Root mean square angle between true and aligned rotations, a common rotation removed",
        ),
    )  # fmt: skip

    def measure(self, scored: Scored) -> Mapping[str, float]:
        alignments = [(one.shifts_A, one.series) for one in scored.preprocessed if one.shifts_A is not None]
        if scored.motion is None or not alignments:
            return {}
        shifts_A, last = np.sum([shifts_A for shifts_A, _ in alignments], axis=0), alignments[-1][1]
        error = alignment_error(shifts_A, last.rotations, scored.motion.drift_A.mean(axis=1), scored.motion.rotations)
        return {"alignment_error_px": error.shift_A / last.scan_step_A, "alignment_error_deg": error.angle_deg}


@dataclass(frozen=True)
class AlignmentError:
    """shift_A: RMS over the images and both axes (√2 less than that of the length). angle_deg: RMS angle of R_true (R Q)ᵀ."""

    shift_A: float
    angle_deg: float


def alignment_error(
    shifts_A: np.ndarray, rotations: np.ndarray, true_shifts_A: np.ndarray, true_rotations: np.ndarray
) -> AlignmentError:
    """Compare shifts (n, 2) = (x, y) that images are said to have, and rotations (n, 3, 3), with the true ones.

    Raises ValueError where the numbers of images differ.
    """
    counts = {len(values) for values in (shifts_A, rotations, true_shifts_A, true_rotations)}
    if len(counts) != 1:
        raise ValueError(f"shifts and rotations of different numbers of images: {sorted(counts)}")
    difference = np.asarray(shifts_A, np.float64) - true_shifts_A
    translation = common_translation(true_rotations, difference)
    shift = difference - (true_rotations @ translation)[:, :2]
    turned = rotations @ common_rotation(rotations, true_rotations)
    angles = [np.linalg.norm(vector_from_rotation(true @ found.T)) for true, found in zip(true_rotations, turned, strict=True)]
    return AlignmentError(float(np.sqrt((shift**2).mean())), float(np.rad2deg(np.sqrt(np.mean(np.square(angles))))))
