"""Alignment of a tilt series of projections: coarse steps on the images, then shifts and angles together with a volume.

Coarse to fine, as Romanov et al. do: shifts first, on strongly blurred images, then shifts and angles at a finer resolution. At
every resolution volume, shifts and angles are one least-squares problem

    minimise  ½ Σ_i ‖G A(ω_i R_i) V − G T(−s_i) b_i‖²   over V ≥ 0, shifts s_i and rotations ω_i

with projections A, a Gaussian G and translations T, solved in rounds (`refinement`). What comes out worse than it went in, or too
far from it, is refused.

A. Romanov et al., J. Phys. Mater. 8 (2025) 015005, section 2.2 (the order of levels).
P. Pelz et al., Nat. Commun. 14 (2023) 7906 (volume and alignment together).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from benchsuite.data import Grid, TiltSeries
from benchsuite.params import AsTuple, Count, Params, Positive, Vector3
from benchsuite.physics.backend import thread_count
from benchsuite.physics.rotations import common_translation
from benchsuite.reconstructors.alignment.centre_of_mass import centre_of_mass
from benchsuite.reconstructors.alignment.common_line import common_line
from benchsuite.reconstructors.alignment.cross_correlation import cross_correlation
from benchsuite.reconstructors.alignment.refinement import Pose, Views, misfit, refine_level
from benchsuite.reconstructors.alignment.result import Alignment
from benchsuite.reconstructors.alignment.shifting import frame_level, moved
from benchsuite.reconstructors.alignment.tilt_axis import tilt_axis
from benchsuite.reconstructors.checks import projections, reason_to_skip

Widths = Annotated[tuple[Positive, ...], AsTuple]
CoarseStep = Literal["centre_of_mass", "common_line", "cross_correlation", "stretched_correlation"]
Notify = Callable[[int, float], None]


class AlignParams(Params):
    coarse: Annotated[tuple[CoarseStep, ...], AsTuple] = Field(
        ("centre_of_mass",),
        description="Coarse alignment steps on the images, in order; each is kept if a coarse volume fits better",
    )
    angles: Literal["none", "tilt", "all"] = Field(
        "tilt", description="Angles to refine: none, about the tilt axis, or about all three axes"
    )
    axis: Vector3 | None = Field(None, description="Tilt axis in the laboratory; default: that of the rotations")
    shift_blur_A: Widths = Field((3.0, 1.2), description="Standard deviation of the blur on each level that refines shifts only")
    angle_blur_A: Widths = Field(
        (0.3,),
        description="Standard deviation of the blur on each further level, which refines shifts and angles; finer than atoms",
    )
    rounds: Count = Field(3, description="Shift corrections on each level that refines shifts only")
    iterations: Count = Field(40, description="Iterations of the volume per shift correction, and in comparisons of two alignments")
    angle_rounds: Count = Field(2, description="Corrections of shifts and angles on each further level")
    angle_iterations: Count = Field(160, description="Iterations of the volume per correction of shifts and angles")
    hold_distortions: bool = Field(
        True, description="Exclude angle changes that a stretch or shear of the specimen explains as well"
    )
    background: bool = Field(True, description="Subtract the median along the edges of each image before alignment")
    threshold: float = Field(
        0.0, ge=0, lt=1, description="Intensity, relative to the maximum of an image, below which pixels are set to zero"
    )
    max_shift: float = Field(0.25, gt=0, le=1, description="Largest accepted shift, relative to the field of view")
    max_angle_deg: Positive = Field(3.0, description="Largest accepted angle correction")


def align(
    series: TiltSeries,
    grid: Grid,
    params: AlignParams | None = None,
    xp: ModuleType = np,
    threads: int | None = None,
    notify: Notify | None = None,
) -> Alignment:
    """Return shifts and rotations of the images of an adf series; equal bit for bit for any number of threads.

    grid: that of the reconstruction at full resolution. notify: called with the number of each round and its relative squared
    residual. Focal series are averaged over focus. Raises ValueError for what is not a series of images.
    """
    p = params or AlignParams()
    reason = reason_to_skip("align", series)
    if reason is not None:
        raise ValueError(reason)
    images = _cleaned(projections(series, np), p)
    axes = _axes(series.rotations, p)
    views = Views(xp.asarray(images), series.scan_step_A, series.rotations, axes, grid, p.hold_distortions, xp, threads)
    nothing = Pose(np.zeros((len(images), 2)), np.zeros((len(images), len(axes))))
    if not (images.max(axis=(1, 2)) > 0).all():
        return _alignment(views, nothing, [], "an image shows nothing")
    with _workers(xp, threads):
        try:
            start = _started(views, nothing, images, p)
        except ValueError as error:  # a coarse step that has nothing to hold on to
            return _alignment(views, nothing, [], str(error))
        found, losses = _refined(views, start, p, notify)
        reason = _refusal(views, start, found, p)
    return _alignment(views, start if reason else found, losses, reason)


def coarse_shifts(images: np.ndarray, pixel_A: float, rotations: np.ndarray, steps: tuple[CoarseStep, ...]) -> np.ndarray:
    """Return the (n, 2) shifts in Å that coarse steps find one after another in images (n, ny, nx)."""
    methods = {
        "centre_of_mass": lambda b: centre_of_mass(b, pixel_A),
        "common_line": lambda b: common_line(b, pixel_A, rotations),
        "cross_correlation": lambda b: cross_correlation(b, pixel_A, rotations),
        "stretched_correlation": lambda b: cross_correlation(b, pixel_A, rotations, stretch=True),
    }
    shifts = np.zeros((len(images), 2))
    for step in steps:
        shifts = shifts + methods[step](moved(images, -shifts, pixel_A))
    return shifts


@contextmanager
def _workers(xp: ModuleType, threads: int | None) -> Iterator[None]:
    """Transforms on the CPU use as many threads as the projector."""
    if xp is np:
        import scipy.fft

        with scipy.fft.set_workers(threads or thread_count()):
            yield
    else:
        yield


def _cleaned(images: np.ndarray, params: AlignParams) -> np.ndarray:
    images = images - frame_level(images) if params.background else images
    weakest = params.threshold * images.max(axis=(1, 2), keepdims=True)
    return np.where(images < weakest, np.float32(0), images) if params.threshold > 0 else images


def _axes(rotations: np.ndarray, params: AlignParams) -> np.ndarray:
    """The laboratory axes (k, 3) that rotations are refined about."""
    if params.angles == "none":
        return np.empty((0, 3))
    if params.angles == "all":
        return np.eye(3)
    axis = tilt_axis(rotations) if params.axis is None else np.array(params.axis)
    if axis is None or not np.linalg.norm(axis) > 0:
        raise ValueError("align: the rotations have no common tilt axis; give `axis`, or refine all angles or none")
    return (axis / np.linalg.norm(axis))[None]


def _started(views: Views, nothing: Pose, images: np.ndarray, params: AlignParams) -> Pose:
    """The pose after the coarse steps, where a coarse volume fits it better than images left as they are."""
    if not params.coarse:
        return nothing
    pose = Pose(coarse_shifts(images, views.pixel_A, views.nominal, params.coarse), nothing.angles_rad)
    blur = max((*params.shift_blur_A, *params.angle_blur_A), default=3.0)
    before, after = (misfit(views, one, blur, params.iterations) for one in (nothing, pose))
    return pose if after < before else nothing


def _refined(views: Views, pose: Pose, params: AlignParams, notify: Notify | None) -> tuple[Pose, list[float]]:
    losses: list[float] = []
    start = pose.shifts_A
    levels = [(blur, params.iterations, params.rounds, False) for blur in params.shift_blur_A]
    levels += [(blur, params.angle_iterations, params.angle_rounds, len(views.axes) > 0) for blur in params.angle_blur_A]
    for level in levels:
        for new, loss in refine_level(views, pose, *level):
            pose = new
            losses.append(loss)
            if notify is not None:
                notify(len(losses), loss)
    rotations = views.rotations(pose)
    drifted = common_translation(rotations, pose.shifts_A - start)
    return Pose(pose.shifts_A - (rotations @ drifted)[:, :2], pose.angles_rad), losses


def _refusal(views: Views, start: Pose, found: Pose, params: AlignParams) -> str | None:
    """Why a refined pose is not used, or None."""
    if not (np.isfinite(found.shifts_A).all() and np.isfinite(found.angles_rad).all()):
        return "the refinement diverged"
    field = np.array(views.images.shape[:0:-1]) * views.pixel_A
    largest = (np.abs(found.shifts_A) / field).max()
    if largest > params.max_shift:
        return f"an image would be moved by {largest:.0%} of the field of view, beyond max_shift = {params.max_shift:.0%}"
    angle = np.rad2deg(np.abs(found.angles_rad).max(initial=0.0))
    if angle > params.max_angle_deg:
        return f"an angle would be changed by {angle:.2f}°, beyond max_angle_deg = {params.max_angle_deg:g}°"
    if not (params.shift_blur_A or params.angle_blur_A):
        return None  # nothing was refined
    blur = min((*params.shift_blur_A, *params.angle_blur_A))
    before, after = (misfit(views, pose, blur, params.iterations) for pose in (start, found))
    if not after < before:
        return f"the refined series fits no better: residual {after:.3g}, was {before:.3g}"
    return None


def _alignment(views: Views, pose: Pose, losses: list[float], refused: str | None) -> Alignment:
    return Alignment(pose.shifts_A, views.rotations(pose), np.array(losses), refused)
