"""One fit of local orbitals to images under way: initial model, iterations, answer, and the state from which it goes on.

Every iteration goes over all images in batches of random order, as the `plan` says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import ModuleType

import numpy as np
from ase import Atoms

from benchsuite.contract.algorithm import Context
from benchsuite.contract.reconstructor import Iterate
from benchsuite.data import Fit, TiltSeries
from benchsuite.errors import BenchsuiteError
from benchsuite.physics.backend import to_host
from benchsuite.physics.electrons import wavelength_A
from benchsuite.physics.gaussians.atoms import Gradient, Orbitals, ProbeGradient
from benchsuite.physics.gaussians.fine_grid import FineGrid
from benchsuite.physics.gaussians.image_model import SPREAD, OrbitalModel, ramp
from benchsuite.physics.gaussians.probe_stack import ProbeStack
from benchsuite.physics.statistics import robust_deviation
from benchsuite.reconstructors.checks import projections, projector_of
from benchsuite.reconstructors.lot.params import LOTParams
from benchsuite.reconstructors.lot.plan import ImageStep, image_plan
from benchsuite.reconstructors.lot.start import apart, check_seen, grid_points, joined, merged, peak_points, strong, strong_weight
from benchsuite.reconstructors.lot.steps import corrections, moved_views, nominal_views, views_resumed, views_snapshot
from benchsuite.reconstructors.solvers.adam import Adam, Rates
from benchsuite.reconstructors.solvers.conjugate_gradients import conjugate_gradients
from benchsuite.reconstructors.solvers.fista import largest_eigenvalue, nonnegative_least_squares

RATES = Rates(momentum=0.9, memory=0.99, damping=1e-12, floor=float(np.finfo(np.float64).tiny))
BLOB_WIDTH_A2 = 0.3  # initial width of orbitals on a grid, which overlap
INITIAL_WIDTH_A2 = {"direct": 0.4, "rigid": 0.1, "adaptive": 0.1}  # with the probe, and without it
MIN_WIDTH_A2 = {"direct": 0.05, "rigid": 0.005, "adaptive": 0.005}
CANDIDATE_SPACING_A = 0.7  # distance of the points where an atom may be missing
MIN_SIGNIFICANCE = 5.0  # standard deviations of the score-test weights of all these points
CANDIDATES_AT_ONCE, BYTES_PER_CANDIDATE = 2_000_000, 100  # points tested together, and memory of one of the others
CANDIDATE_WEIGHT = 0.5  # least weight relative to `weakest`, for an atom beside its point; the weak are removed later
VOLUME_ITERATIONS = 30  # iterations of the quick tomogram whose peaks are an initial model
WEIGHT_SOLVER_ITERATIONS = 4  # conjugate gradients for the weights of given atoms, which hardly overlap
FAINT_PERCENTILE, MIN_BACKGROUND = 1.0, 0.01  # pixels that show a background, and its least part of the brightest pixel


class ImageFit:
    """One reconstruction under way."""

    def __init__(self, params: LOTParams, series: TiltSeries, context: Context) -> None:
        self.params, self.series, self.context = params, series, context
        self.scale = float(series.data.max())
        if self.scale <= 0:
            raise BenchsuiteError("the images are empty: the brightest pixel is not above zero")
        self.images = (np.asarray(series.data, np.float32) / np.float32(self.scale)).reshape(-1, *series.scan_shape)
        faint = float(np.percentile(self.images, FAINT_PERCENTILE))
        self.background = faint if faint > MIN_BACKGROUND else 0.0  # a constant under all images, as a fraction of the brightest
        self.views = nominal_views(series)
        self.model = model_for(params, series, context.threads, context.xp)
        self.seed = int(context.rng.integers(2**62))
        self.adam_views = _adam(len(self.views))
        self.iteration, self.orbitals = 0, Orbitals(np.empty((0, 3)), np.empty(0), np.empty(0))
        if context.resumed is not None:
            self._resume(context.resumed)
        else:
            self.orbitals = self._start()
            self.adam = _adam(len(self.orbitals))

    def run(self) -> Iterator[Iterate]:
        """Yield an iterate per iteration."""
        plan = image_plan(self.params, self.params.start == "grid" and self.context.start is None)
        while self.iteration < len(plan):
            loss = self._iterate(plan[self.iteration])
            self.iteration += 1
            last = self.iteration == len(plan)
            yield Iterate(self.iteration, loss, atoms=self._atoms(), fit=self._fit() if last else Fit(), state=self._state())

    def _start(self) -> Orbitals:
        p, series = self.params, self.series
        if self.context.start is not None:
            points, width = self.context.start.positions, INITIAL_WIDTH_A2[p.interaction]
            if len(points) == 0:
                raise BenchsuiteError("the reconstruction to refine holds no atoms")
            check_seen(points, series)
        elif p.start == "grid":
            points, width = grid_points(series, p.grid_A), BLOB_WIDTH_A2
        else:
            points, width = self._peaks(), INITIAL_WIDTH_A2[p.interaction]
        bright = float(self.images.sum(dtype=np.float64)) - self.background * self.images.size
        total = max(bright, 0.0) / len(self.images) * series.scan_step_A**2
        return Orbitals(np.array(points), np.full(len(points), total / len(points)), np.full(len(points), width))

    def _peaks(self) -> np.ndarray:
        series, grid, xp = self.series, self.context.grid, self.context.xp
        projector = projector_of(series, self.context)
        volume = xp.zeros(grid.shape, np.float32)
        step = 1 / largest_eigenvalue(projector, projector.grid.shape)
        volume = nonnegative_least_squares(projector, projections(series, xp), volume, step, VOLUME_ITERATIONS)
        points = peak_points(to_host(volume), grid, self.params.merge_A)
        if len(points) == 0:
            raise BenchsuiteError("the quick tomogram has no peaks")
        return points

    def _iterate(self, step: ImageStep) -> float:
        """Go once through all images; return ε before the steps, on average."""
        if step.solve_weights:
            self._solve_weights()
        if step.merge_A or step.weakest:
            self._tidy(step.merge_A, step.weakest)
        if step.add_orbitals:
            self._add_orbitals()
        mean_weight = float(self.orbitals.weight.mean())
        steps = np.array(step.steps) * [1, 1, 1, mean_weight, 1]
        order = np.random.default_rng([self.seed, self.iteration]).permutation(len(self.views))
        batches = np.array_split(order, max(1, round(len(order) / self.params.batch)))
        loss, excess, of_views, of_probes = 0.0, 0.0, np.zeros((len(self.views), 5)), dict[int, ProbeGradient]()
        for batch in batches:
            found = self.model.gradient(self.orbitals, [self.views[i] for i in batch], self._of_atoms(batch), step.refine_probes)
            loss += float(found.loss.sum())
            excess += float(found.total.sum())
            of_views[batch] = found.views
            _gather(of_probes, found)
            self._step(_direction(self.adam, found.atoms) * steps)
        if step.refine_views:
            self._move_views(of_views)
        for stack, one in of_probes.items():
            assert self.model.probes is not None
            images = len(self.views) // len(self.model.probes.windows)
            self.model.probes.follow(stack, one.gradient, one.power, images, self.params.probe_step)
        if step.refine_background and self.background > 0:
            self.background = max(self.background - excess / self.images.size, 0.0)
        return loss / self.images.size

    def _of_atoms(self, some: np.ndarray | slice) -> np.ndarray:
        """What atoms have to explain of some images: all but the background."""
        return self.images[some] - np.float32(self.background) if self.background else self.images[some]

    def _solve_weights(self) -> None:
        """Set the weights to those of least squares, positions and widths held: a quadratic, by conjugate gradients."""
        o, nothing = self.orbitals, np.zeros_like(self.images)

        def slope(weight: np.ndarray, images: np.ndarray) -> np.ndarray:
            return self.model.gradient(Orbitals(o.positions, weight, o.width), self.views, images).atoms[:, 3]

        residual = -slope(o.weight, self._of_atoms(slice(None)))
        weight = conjugate_gradients(lambda direction: slope(direction, nothing), o.weight, residual, WEIGHT_SOLVER_ITERATIONS)
        self.orbitals = Orbitals(o.positions, np.maximum(weight, 0), o.width)

    def _step(self, change: np.ndarray) -> None:
        o = self.orbitals
        width = np.maximum(o.width + change[:, 4], MIN_WIDTH_A2[self.params.interaction])
        self.orbitals = Orbitals(o.positions + change[:, :3], np.maximum(o.weight + change[:, 3], 0), width)

    def _tidy(self, merge_A: float, weakest: float) -> None:
        tidied = strong(merged(self.orbitals, merge_A), weakest)
        if len(tidied) == 0:
            raise BenchsuiteError("no orbital is left: every weight has fallen to zero")
        self.orbitals, self.adam = tidied, _adam(len(tidied))

    def _add_orbitals(self) -> None:
        """Add orbitals where a score test of the residual shows an atom: far from all others, and as heavy as an atom has to be.

        Frequencies are weighted by a ramp: a background that the model lacks would show atoms everywhere.
        """
        p, o, model = self.params, self.orbitals, self.model
        points = apart(grid_points(self.series, min(p.grid_A, CANDIDATE_SPACING_A), BYTES_PER_CANDIDATE), o.positions, p.merge_A)
        if len(points) == 0:
            return
        width, images = float(np.median(o.width)), self._of_atoms(slice(None))
        model.weights = ramp(self.series.scan_shape)
        slopes = []
        for some in np.array_split(points, -(-len(points) // CANDIDATES_AT_ONCE)):
            candidates = Orbitals(some, np.zeros(len(some)), np.full(len(some), width))
            slopes.append(model.gradient(joined(o, candidates), self.views, images).atoms[len(o) :, 3])
        alone = Orbitals(np.zeros((1, 3)), np.ones(1), np.array([width]))
        curvature = 2 * float(model.gradient(alone, self.views, np.zeros_like(images)).loss.sum())
        model.weights = None
        weight = -np.concatenate(slopes) / curvature
        deviation = robust_deviation(weight)  # were all candidates noise
        heavy = weight > max(CANDIDATE_WEIGHT * p.weakest * strong_weight(o.weight), MIN_SIGNIFICANCE * deviation)
        added = merged(Orbitals(points[heavy], weight[heavy], np.full(int(heavy.sum()), width)), p.merge_A, weigh=False)
        if len(added):
            self.orbitals = joined(o, added)
            self.adam = _adam(len(self.orbitals))

    def _move_views(self, gradient: np.ndarray) -> None:
        """Shift and turn the views by steps of one length."""
        p = self.params
        steps = np.array([p.refine_drift * p.drift_step_A] * 2 + [p.refine_angles * np.deg2rad(p.angle_step_deg)] * 3)
        change = _direction(self.adam_views, gradient) * steps
        tilts = len(self.series.rotations)
        change[:, 2:] = np.repeat(change[:, 2:].reshape(tilts, -1, 3).mean(axis=1), len(self.views) // tilts, axis=0)
        self.views = moved_views(self.views, change, len(self.views) // tilts)

    def _atoms(self) -> Atoms:
        o = self.orbitals
        atoms = Atoms(numbers=np.zeros(len(o), dtype=int), positions=o.positions)
        atoms.set_array("intensity", o.weight * self.scale)
        atoms.set_array("height", o.height * self.scale)
        atoms.set_array("width_A2", o.width)
        return atoms

    def _fit(self) -> Fit:
        """R-factors of all images, the least tilted image, probes, and corrections."""
        calculated = [self.model.image(self.orbitals, view) + np.float32(self.background) for view in self.views]
        difference = [float(np.abs(a - b).sum(dtype=np.float64)) for a, b in zip(calculated, self.images, strict=True)]
        shown = int(np.argmax([np.trace(view.rotation) for view in self.views]))
        found = Fit(
            r_factor_per_image=np.array(difference) / np.abs(self.images).sum(axis=(1, 2), dtype=np.float64),
            image_measured=self.images[shown] * np.float32(self.scale),
            image_calculated=calculated[shown] * np.float32(self.scale),
            **corrections(self.views),
            background=np.array(self.background * self.scale),
        )
        if (probes := self.model.probes) is None:
            return found
        return replace(
            found,
            probes=np.stack(probes.windows),
            probes_initial=np.stack(probes.initial),
            probe_depths_A=probes.depths_A,
            probe_pixel_A=np.array(self.model.grid.pixel_A),
            focus_A=probes.sharpest_depths_A(),
        )

    def _state(self) -> dict[str, np.ndarray]:
        o, probes = self.orbitals, self.model.probes
        state = {"positions": o.positions, "weight": o.weight, "width": o.width, "iteration": np.array(self.iteration)}
        state["background"] = np.array(self.background)
        state |= self.adam.snapshot("adam") | self.adam_views.snapshot("views")
        state |= views_snapshot(self.views)
        if probes is not None and self.params.interaction == "adaptive":
            state |= {f"windows_{stack}": windows for stack, windows in enumerate(probes.windows)}
        return state

    def _resume(self, state: Mapping[str, np.ndarray]) -> None:
        self.iteration, self.background = int(state["iteration"]), float(state["background"])
        self.orbitals = Orbitals(state["positions"], state["weight"], state["width"])
        self.adam = _adam(len(self.orbitals))
        self.adam.resume(state, "adam")
        self.adam_views.resume(state, "views")
        self.views = views_resumed(self.views, state)
        if self.model.probes is not None and self.params.interaction == "adaptive":
            for stack in range(len(self.model.probes.windows)):
                self.model.probes.restore(stack, state[f"windows_{stack}"])


def _adam(rows: int) -> Adam:
    return Adam(RATES, np.zeros((rows, 5)))


def _direction(adam: Adam, gradient: np.ndarray) -> np.ndarray:
    """Return the unit-free direction downhill."""
    mean, scale, correction = adam.update(gradient)
    return -(mean / correction) / scale


def _gather(total: dict[int, ProbeGradient], found: Gradient) -> None:
    for stack, one in found.probes.items():
        if stack in total:
            total[stack].add(one)
        else:
            total[stack] = one


def model_for(params: LOTParams, series: TiltSeries, threads: int, xp: ModuleType = np) -> OrbitalModel:
    """Return the forward model that the parameters ask for."""
    if params.interaction == "direct":
        return OrbitalModel(FineGrid(series.scan_shape, series.scan_step_A, 1), threads=threads, xp=xp)
    optics, step = series.optics, series.scan_step_A
    resolved_A = wavelength_A(optics.energy_keV) / (4e-3 * optics.semiangle_mrad)
    needed = max(1, math.ceil(step / resolved_A - 1e-6))
    if params.oversampling is not None and params.oversampling < needed:
        raise BenchsuiteError(
            f"oversampling {params.oversampling} of steps of {step:g} Å does not resolve the probe, λ/(4α) = {resolved_A:.3f} Å; "
            f"allowed: {needed} and more"
        )
    grid = FineGrid(series.scan_shape, step, params.oversampling or needed)
    depth_A = step * max(series.scan_shape)
    slices = math.ceil(depth_A / params.slice_A)
    depths_A = params.slice_A * (np.arange(slices) - (slices - 1) / 2)
    foci = [0.0 if params.initial_defocus == "zero" else float(defocus) for defocus in series.defocus_A]
    spread = SPREAD * grid.pixel_A**2
    return OrbitalModel(grid, ProbeStack(grid, optics, foci, depths_A, spread, params.probe_radius_A), threads, xp)
