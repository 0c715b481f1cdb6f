"""Sub-voxel positions of peaks, for all peaks at once.

`parabola`: on each axis three points v(-1), v(0), v(+1) give the vertex (v(-1) - v(+1)) / (2 (v(-1) - 2 v(0) + v(+1))). The
    logarithms of the values are taken where all are well above zero, which makes it exact for a Gaussian along the axes.
`polynomial`: the 35 coefficients of a fourth-order polynomial by least squares in a small sphere, then Newton's method to
    its maximum (after Xu et al. 2015, who trace from spline-upsampled maxima and a local polynomial fit).
`gaussian`: amplitude A, centre c and precision matrix P of A exp(-½ (r-c)ᵀ P (r-c)) by Levenberg-Marquardt in a small sphere.
    The tails of the neighbours shift a peak, so all other fitted Gaussians are subtracted and every atom is fitted
    again, until nothing moves. P is a full matrix: a missing wedge elongates atoms along any direction.

A fit that runs away (more than one voxel from where the parabola put the peak) keeps the parabola's position.

References: Xu et al., Nature Materials 14, 1099 (2015), doi:10.1038/nmat4426; Yang et al., Nature 542, 75 (2017),
doi:10.1038/nature21042 (fits with neighbours subtracted); Marquardt, J. SIAM 11, 431 (1963), doi:10.1137/0111030.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from benchsuite.metrics.tracing.gaussians import add_gaussians, cube_offsets, evaluate

MAX_SHIFT_VOXELS = 1.0
MIN_SIGMA_VOXELS, MAX_SIGMA_VOXELS = 0.4, 6.0  # voxels; a fitted width outside is not an atom's
MIN_RELATIVE_NEIGHBOUR = 0.1  # logarithms are taken where the lower neighbours exceed this part of the peak
UPPER_TRIANGLE = np.array([(i, j) for i in range(3) for j in range(i, 3)])
PEAKS_AT_A_TIME = 8192


@dataclass(frozen=True)
class Gaussians:
    """n Gaussians in voxels, index order (z, y, x): amplitude (n,), centre (n, 3), precision (n, 3, 3)."""

    amplitude: np.ndarray
    centre: np.ndarray
    precision: np.ndarray

    def part(self, index: slice | np.ndarray) -> Gaussians:
        return Gaussians(self.amplitude[index], self.centre[index], self.precision[index])


def sphere_offsets(radius: float) -> np.ndarray:
    """Return (m, 3) integer voxel offsets within a radius, never fewer than the 81 with |offset|² ≤ 6."""
    offsets = cube_offsets(max(3, int(radius)))
    return offsets[(offsets**2).sum(axis=1) <= max(6.0, radius**2)]


def windows(volume: np.ndarray, nearest: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return (n, m) float64 values of the volume at integer voxels + offsets; voxels outside repeat the border."""
    index = nearest[:, None, :] + offsets[None, :, :]
    index = np.clip(index, 0, np.array(volume.shape) - 1)
    return volume[index[..., 0], index[..., 1], index[..., 2]].astype(np.float64)


def parabola(volume: np.ndarray, voxel: np.ndarray) -> np.ndarray:
    """Return (n, 3) refined positions of local maxima at integer `voxel` (n, 3); never further than half a voxel per axis."""
    steps = np.concatenate([np.zeros((1, 3), int), np.eye(3, dtype=int), -np.eye(3, dtype=int)])
    values = windows(volume, voxel, steps)
    top, above, below = values[:, :1], values[:, 1:4], values[:, 4:]
    use_log = np.minimum(above, below) > MIN_RELATIVE_NEIGHBOUR * top
    floor = np.finfo(np.float64).tiny
    a, b, c = (np.where(use_log, np.log(np.maximum(v, floor)), v) for v in (below, np.broadcast_to(top, above.shape), above))
    curvature = a - 2 * b + c
    vertex = np.where(curvature < 0, 0.5 * (a - c) / np.where(curvature < 0, curvature, 1.0), 0.0)
    return voxel + np.clip(vertex, -0.5, 0.5)


def _keep_near(fitted: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Whether each fitted position is finite and has not run away from its start."""
    return np.linalg.norm(fitted - start, axis=1) <= MAX_SHIFT_VOXELS  # False for nan


def polynomial(volume: np.ndarray, start: np.ndarray, radius: float, iterations: int = 10) -> np.ndarray:
    """Return (n, 3) maxima of fourth-order polynomials fitted around `start` (n, 3) in a sphere of `radius` voxels."""
    powers = np.array([p for p in product(range(5), repeat=3) if sum(p) <= 4])
    offsets = sphere_offsets(radius)
    nearest = np.rint(start).astype(np.int64)
    design = np.prod(offsets[:, None, :].astype(np.float64) ** powers[None], axis=2)
    coefficients = windows(volume, nearest, offsets) @ np.linalg.pinv(design).T
    x = start - nearest
    for _ in range(iterations):
        gradient, hessian = _derivatives(coefficients, powers, x)
        step = np.linalg.solve(hessian - 1e-12 * np.eye(3), gradient[..., None])[..., 0]
        downhill = np.linalg.eigvalsh(hessian)[:, -1] >= 0  # not concave: no maximum to go to
        step[downhill] = np.nan
        x = x - step
    fitted = nearest + x
    return np.where(_keep_near(fitted, start)[:, None], fitted, start)


def _derivatives(coefficients: np.ndarray, powers: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return gradients (n, 3) and Hessians (n, 3, 3) of polynomials at x (n, 3)."""

    def value(order: np.ndarray) -> np.ndarray:
        factor = np.ones(len(powers))
        lowered = powers.copy()
        for axis, times in enumerate(order):
            for _ in range(times):
                factor = factor * lowered[:, axis]
                lowered[:, axis] = np.maximum(lowered[:, axis] - 1, 0)
        return (coefficients * factor * np.prod(x[:, None, :] ** lowered[None], axis=2)).sum(axis=1)

    unit = np.eye(3, dtype=int)
    gradient = np.stack([value(unit[i]) for i in range(3)], axis=1)
    hessian = np.stack([np.stack([value(unit[i] + unit[j]) for j in range(3)], axis=1) for i in range(3)], axis=1)
    return gradient, hessian


def gaussian(volume: np.ndarray, start: np.ndarray, radius: float, rounds: int = 6) -> Gaussians:
    """Fit one Gaussian per position of `start` (n, 3), each with all others subtracted; window of `radius` voxels.

    An atom whose fit fails or runs away keeps its start position, the value there, and the median precision of the others.
    Ends when no centre moves by more than 0.001 voxel between rounds.
    """
    offsets = sphere_offsets(radius)
    nearest = np.rint(start).astype(np.int64)
    own_value = windows(volume, nearest, np.zeros((1, 3), int))[:, 0]
    sigma = max(1.0, radius / 2)
    model = Gaussians(own_value, start.astype(np.float64), np.broadcast_to(np.eye(3) / sigma**2, (len(start), 3, 3)).copy())
    residual = volume.astype(np.float32)
    for round_number in range(rounds):
        fitted = []
        for first in range(0, len(start), PEAKS_AT_A_TIME):
            part = slice(first, first + PEAKS_AT_A_TIME)
            local = Gaussians(model.amplitude[part], model.centre[part] - nearest[part], model.precision[part])
            target = windows(residual, nearest[part], offsets)
            if round_number > 0:
                target += evaluate(offsets, local.amplitude, local.centre, local.precision)
            fitted.append(_levenberg_marquardt(target, offsets, local))
        new = Gaussians(
            np.concatenate([g.amplitude for g in fitted]),
            np.concatenate([g.centre for g in fitted]) + nearest,
            np.concatenate([g.precision for g in fitted]),
        )
        new = _repair(new, start, own_value)
        moved = np.abs(new.centre - model.centre).max(initial=0.0)
        model = new
        if round_number > 0 and moved < 1e-3:
            break
        if round_number < rounds - 1:
            residual = subtract(volume, model)
    return model


def subtract(volume: np.ndarray, model: Gaussians) -> np.ndarray:
    """Return float32 volume minus all Gaussians of the model."""
    negative = np.ascontiguousarray(-volume, dtype=np.float32)
    add_gaussians(negative, model.amplitude, model.centre, model.precision)
    return -negative


def _repair(model: Gaussians, start: np.ndarray, own_value: np.ndarray) -> Gaussians:
    widths = np.linalg.eigvalsh(model.precision)
    good = _keep_near(model.centre, start) & (model.amplitude > 0)
    good &= (widths[:, 0] >= MAX_SIGMA_VOXELS**-2) & (widths[:, -1] <= MIN_SIGMA_VOXELS**-2)
    if good.all():
        return model
    shared = np.median(model.precision[good], axis=0) if good.any() else np.eye(3) / 1.5**2
    if np.linalg.eigvalsh(shared)[0] < MAX_SIGMA_VOXELS**-2:
        shared = np.eye(3) / 1.5**2
    return Gaussians(
        np.where(good, model.amplitude, own_value),
        np.where(good[:, None], model.centre, start),
        np.where(good[:, None, None], model.precision, shared),
    )


def _levenberg_marquardt(target: np.ndarray, offsets: np.ndarray, first: Gaussians, iterations: int = 8) -> Gaussians:
    """Minimise Σ (target - Gaussian)² over A, c, P for each of n windows (n, m) at once. Widths stay within their bounds."""
    best = np.concatenate(
        [first.amplitude[:, None], first.centre, first.precision[:, UPPER_TRIANGLE[:, 0], UPPER_TRIANGLE[:, 1]]], axis=1
    )
    value, jacobian = _model(best, offsets)
    error = ((target - value) ** 2).sum(axis=1)
    damping = np.full(len(best), 1e-3)
    for _ in range(iterations):
        normal = jacobian.transpose(0, 2, 1) @ jacobian
        slope = jacobian.transpose(0, 2, 1) @ (target - value)[..., None]
        diagonal = np.einsum("nii->ni", normal)
        diagonal *= 1 + damping[:, None]
        diagonal += 1e-12 * diagonal.max(axis=1, keepdims=True, initial=0.0) + np.finfo(np.float64).tiny
        trial = best + np.linalg.solve(normal, slope)[..., 0]
        widths = np.linalg.eigvalsh(_matrix(trial[:, 4:]))
        valid = (widths[:, 0] >= MAX_SIGMA_VOXELS**-2) & (widths[:, -1] <= MIN_SIGMA_VOXELS**-2)
        trial = np.where(valid[:, None], trial, best)
        trial_value, trial_jacobian = _model(trial, offsets)
        trial_error = ((target - trial_value) ** 2).sum(axis=1)
        better = valid & (trial_error < error)
        best = np.where(better[:, None], trial, best)
        value = np.where(better[:, None], trial_value, value)
        jacobian = np.where(better[:, None, None], trial_jacobian, jacobian)
        error = np.where(better, trial_error, error)
        damping = np.where(better, damping * 0.1, damping * 10)
    return Gaussians(best[:, 0], best[:, 1:4], _matrix(best[:, 4:]))


def _matrix(upper: np.ndarray) -> np.ndarray:
    """Return symmetric (n, 3, 3) from upper triangles (n, 6)."""
    matrix = np.empty((len(upper), 3, 3))
    matrix[:, UPPER_TRIANGLE[:, 0], UPPER_TRIANGLE[:, 1]] = upper
    matrix[:, UPPER_TRIANGLE[:, 1], UPPER_TRIANGLE[:, 0]] = upper
    return matrix


def _model(parameters: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return values (n, m) and Jacobians (n, m, 10) of Gaussians with parameters (A, c, upper triangle of P)."""
    d = offsets[None, :, :] - parameters[:, None, 1:4]
    pd = d @ _matrix(parameters[:, 4:])
    unit = np.exp(np.clip(-0.5 * np.einsum("nmi,nmi->nm", pd, d), -100.0, 100.0))
    value = parameters[:, :1] * unit
    jacobian = np.empty((*value.shape, 10))
    jacobian[..., 0] = unit
    jacobian[..., 1:4] = value[..., None] * pd
    weight = np.where(UPPER_TRIANGLE[:, 0] == UPPER_TRIANGLE[:, 1], -0.5, -1.0)
    jacobian[..., 4:] = value[..., None] * weight * d[..., UPPER_TRIANGLE[:, 0]] * d[..., UPPER_TRIANGLE[:, 1]]
    return value, jacobian
