"""The joint refinement of a volume with the shifts and angles of its images, at one resolution.

A round reconstructs the volume a little further with shifts and angles eliminated (`elimination`), and then takes the step of
shifts and angles that explains the residual. Images are moved by the present shifts, and rotations are multiplied from the
laboratory's side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from benchsuite.data import Grid
from benchsuite.physics.backend import Array, to_host
from benchsuite.physics.projection.projector import Projector
from benchsuite.physics.rotations import rotation_from_vector
from benchsuite.reconstructors.alignment.blurred_projector import BlurredProjector
from benchsuite.reconstructors.alignment.distortion import distortion_modes, without_modes
from benchsuite.reconstructors.alignment.elimination import Eliminated
from benchsuite.reconstructors.alignment.shifting import smoothed
from benchsuite.reconstructors.solvers.fista import largest_eigenvalue, nonnegative_least_squares

VOXELS_PER_BLUR = 1.5  # edge of a voxel in σ: the Gaussian keeps 1.5e-4 of the ripple of their lattice
PIXELS_PER_BLUR = 2.0  # at least so many image pixels in σ, where the images have them


@dataclass(frozen=True)
class Pose:
    """shifts_A (n, 2) that the images have; angles_rad (n, k) by which their nominal rotations are turned about the axes."""

    shifts_A: np.ndarray
    angles_rad: np.ndarray


@dataclass(frozen=True)
class Views:
    """Images (n, ny, nx) of nominal rotations (n, 3, 3), which may turn about laboratory axes (k, 3); and where they are computed.

    grid: full resolution; a level has coarser voxels in the same space. hold: angles are kept free of distortions (`distortion`).
    """

    images: Array
    pixel_A: float
    nominal: np.ndarray
    axes: np.ndarray
    grid: Grid
    hold: bool
    xp: ModuleType
    threads: int | None

    def rotations(self, pose: Pose) -> np.ndarray:
        """Return (n, 3, 3) of a pose: the nominal ones, turned by the vector Σ_k angle_k axis_k."""
        turns = pose.angles_rad @ self.axes
        return np.stack([rotation_from_vector(turn) @ matrix for turn, matrix in zip(turns, self.nominal, strict=True)])

    def prepared(self, pose: Pose, blur_A: float) -> tuple[Array, BlurredProjector]:
        """Return the images at a resolution, moved into place, and the projector that makes such images."""
        factor = max(1, int(blur_A / PIXELS_PER_BLUR / self.pixel_A))
        images = smoothed(self.images, -pose.shifts_A, self.pixel_A, blur_A, factor)
        voxel = max(self.grid.voxel_A, VOXELS_PER_BLUR * blur_A)
        nz, ny, nx = (int(np.ceil(count * self.grid.voxel_A / voxel)) for count in self.grid.shape)
        projector = Projector(
            self.rotations(pose), Grid((nz, ny, nx), voxel), images.shape[1:], factor * self.pixel_A, self.xp, threads=self.threads
        )
        return images, BlurredProjector(projector, blur_A)


def fitted(images: Array, projector: BlurredProjector, iterations: int) -> tuple[Array, float]:
    """Return the volume after some iterations from nothing, and its relative squared residual."""
    volume = projector.xp.zeros(projector.grid.shape, dtype=np.float32)
    volume = _descended(images, projector, projector, volume, iterations)
    return volume, relative_residual(images, projector.forward(volume) - images)


def misfit(views: Views, pose: Pose, blur_A: float, iterations: int) -> float:
    """Return the relative squared residual of a pose at a resolution, its volume fitted from nothing."""
    return fitted(*views.prepared(pose, blur_A), iterations)[1]


def refine_level(
    views: Views, pose: Pose, blur_A: float, iterations: int, rounds: int, angles: bool
) -> Iterator[tuple[Pose, float]]:
    """Yield the pose after every round, and the relative squared residual before its step. angles: they are refined, too."""
    volume = None
    axes = views.axes if angles else np.empty((0, 3))
    modes = distortion_modes(views.nominal, axes) if angles and views.hold else None
    for _ in range(rounds):
        images, projector = views.prepared(pose, blur_A)
        if volume is None:
            volume, _ = fitted(images, projector, iterations)
        eliminated = Eliminated(projector, projector.derivatives(volume, axes))
        volume = _descended(eliminated.without(images), eliminated, projector, volume, iterations)
        residual = images - projector.forward(volume)
        step = to_host(eliminated.parameters(residual))
        shifts = pose.shifts_A + np.clip(step[:, :2], -blur_A, blur_A)
        turned = pose.angles_rad + step[:, 2:] if angles else pose.angles_rad
        pose = Pose(shifts, turned if modes is None else without_modes(turned, modes))
        yield pose, relative_residual(images, residual)


def relative_residual(images: Array, residual: Array) -> float:
    """‖r‖²/‖b‖²."""
    return float((residual * residual).sum(dtype=np.float64) / (images * images).sum(dtype=np.float64))


def _descended(
    images: Array, model: BlurredProjector | Eliminated, projector: BlurredProjector, volume: Array, iterations: int
) -> Array:
    """The volume after some iterations; neither blurring nor elimination makes the eigenvalues of AᵀA larger."""
    step = 1.0 / largest_eigenvalue(projector.projector, volume.shape)
    return nonnegative_least_squares(model, images, volume, step, iterations)
