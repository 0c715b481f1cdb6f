"""One fit of atoms to diffraction patterns under way: initial model, iterations, model selection, and answer.

An iteration goes over all images and takes a quasi-Newton step; one that led to a greater loss is taken back in part. The first
iterations use the voxels as pixels of the wave; the last ones use finer ones, which hold what probe and potential scatter together
beyond the Nyquist frequency of the voxels. The answer is always a state whose loss was computed, never a step that was not tried.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from benchsuite.contract.algorithm import Context
from benchsuite.contract.reconstructor import Iterate
from benchsuite.data import Fit, TiltSeries
from benchsuite.errors import BenchsuiteError
from benchsuite.physics.backend import to_host
from benchsuite.physics.electrons import interaction_per_VA
from benchsuite.physics.gaussians.atoms import Orbitals, View
from benchsuite.physics.gaussians.fisher import covariance, deviations, disagreement
from benchsuite.physics.gaussians.pattern_model import PatternModel
from benchsuite.physics.gaussians.shapes import Shape, tabulated
from benchsuite.physics.multislice.waves import Ends
from benchsuite.reconstructors.lot.coordinates import Coordinates
from benchsuite.reconstructors.lot.model_selection import candidate_grid, is_significant, propose_atoms, score_test_weights
from benchsuite.reconstructors.lot.params import LOTParams
from benchsuite.reconstructors.lot.plan import PatternStep, pattern_plan
from benchsuite.reconstructors.lot.start import check_seen, joined, merged, peak_points, strong_weight
from benchsuite.reconstructors.lot.steps import (
    between,
    by_tilt,
    corrections,
    difference,
    moved_atoms,
    moved_views,
    nominal_views,
    views_resumed,
    views_snapshot,
)
from benchsuite.reconstructors.ptychography.refinement import Refinement
from benchsuite.reconstructors.solvers.lbfgs import LBFGS

DEFAULT_ELEMENT = "Ag"  # gives its shape to atoms of unknown elements: a compact one, which widths can only enlarge
INITIAL_WIDTH_A2 = 0.02
MIN_WEIGHT_RATIO = 0.5  # least weight of an atom relative to the lightest element, and of a new atom relative to that
MIN_DISTANCE_A = 0.4  # distance below which two given atoms are the same one
QUICK_ITERATIONS = 6  # iterations of the tomogram whose peaks are an initial model
BACKTRACKING = 0.3  # part of a step that is kept where the loss has risen
FINAL_GROUPS = 3  # groups of probes along an axis for the last information


@dataclass(frozen=True)
class Accepted:
    """A state whose loss is known, with the gradients of every image (images, n, 5), and that of all in `Coordinates`."""

    atoms: Orbitals
    views: list[View]
    loss: float
    by_atom: np.ndarray
    flat: np.ndarray


class PatternFit:
    """One reconstruction under way. `atoms` and `views` are the state to try next."""

    def __init__(self, params: LOTParams, series: TiltSeries, context: Context) -> None:
        self.params, self.series, self.context = params, series, context
        self.shapes, self.expected = shapes_of(params.elements, series.optics.energy_keV)
        self.models: dict[int, PatternModel] = {}
        self.foci = series.data.shape[1]
        self.views = nominal_views(series)
        self.seed, self.iteration, self.plan = int(context.rng.integers(2**62)), 0, pattern_plan(params)
        self.accepted: Accepted | None = None
        self.coordinates: Coordinates | None = None
        self.lbfgs = LBFGS(0)
        self.refinement: Refinement | None = None
        self.saved_probes: Mapping[str, np.ndarray] | None = None
        if context.resumed is None:
            self.atoms = self._start()
            self.shape_index = self._nearest_shapes()
        else:
            self._resume(context.resumed)

    def run(self) -> Iterator[Iterate]:
        """Yield an iterate per iteration."""
        while self.iteration < len(self.plan):
            step = self.plan[self.iteration]
            model = self._model(step.oversampling)
            if step.select_atoms:
                self._select_atoms(model)
            if step.measure_curvature:
                self._measure_curvature(model, step)
            self._iterate(model, step)
            self.iteration += 1
            last = self.iteration == len(self.plan)
            assert self.accepted is not None
            atoms = self._last_answer(model) if last else self._answer()
            yield Iterate(
                self.iteration, self.accepted.loss, atoms=atoms, fit=self._fit(model) if last else Fit(), state=self._state()
            )

    # ---- where it starts

    def _start(self) -> Orbitals:
        given = self.context.start
        positions = given.positions if given is not None else self._peaks()
        if len(positions) == 0:
            nothing = (
                "the reconstruction to refine holds no atoms" if given is not None else "the quick reconstruction has no peaks"
            )
            raise BenchsuiteError(nothing)
        check_seen(positions, self.series)
        check_apart(positions)
        weight = np.full(len(positions), float(np.mean(self.expected)))
        if given is not None:
            known = dict(zip(self.params.elements, self.expected.tolist(), strict=False))
            weight = np.array([known.get(symbol, weight[0]) for symbol in given.get_chemical_symbols()])
        return Orbitals(np.array(positions), weight, np.full(len(positions), INITIAL_WIDTH_A2))

    def _peaks(self) -> np.ndarray:
        """The peaks of a quick voxel reconstruction."""
        from benchsuite.reconstructors.mset import MSET, MSETParams

        quick = MSET(MSETParams(iterations=QUICK_ITERATIONS, slice_A=2 * self.params.slice_A, window_A=self.params.window_A))
        *_, last = quick.reconstruct(self.series, self.context)
        assert last.volume is not None
        return peak_points(to_host(last.volume), self.context.grid, self.params.merge_A)

    # ---- one iteration

    def _model(self, oversampling: int) -> PatternModel:
        if oversampling not in self.models:
            self.models.clear()  # the finer one takes the place of the coarse one
            p, context = self.params, self.context
            self.models[oversampling] = PatternModel(
                self.series, context.grid, self.shapes, p.slice_A, oversampling, p.window_A, p.loss, context.xp, context.threads
            )
        return self.models[oversampling]

    def _rng(self, what: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.iteration, what])

    def _measure_curvature(self, model: PatternModel, step: PatternStep) -> None:
        """Measure the curvature, and forget what was known of it before."""
        self._back_to_accepted()
        known = model.information(self.atoms, self.views, self._rng(0), shape_index=self.shape_index)
        p = self.params
        of_views = known.by_view * step.refine_views * np.array([p.refine_drift] * 2 + [p.refine_angles] * 3)
        self.coordinates = Coordinates(known.blocks, by_tilt(of_views, self.foci))
        self.lbfgs = LBFGS(5 * (len(self.atoms) + len(self.views)))

    def _iterate(self, model: PatternModel, plan: PatternStep) -> None:
        """Go through all images; accept where the last step led and take another, or go back a part of the way."""
        loss, by_atom, by_view = self._gradients(model, plan)
        before, coordinates = self.accepted, self.coordinates
        assert coordinates is not None
        if before is not None and loss > before.loss and not plan.probe_step:  # losses with another probe do not compare
            self.lbfgs.forget()
            self.atoms, self.views = between(self.atoms, self.views, before.atoms, before.views, BACKTRACKING)
            return
        flat = coordinates.flat(by_atom.sum(axis=0), by_tilt(by_view, self.foci))
        if before is not None:
            step = difference(self.atoms, self.views, before.atoms, before.views)
            self.lbfgs.learn(coordinates.of_step(*step), flat - before.flat)
        self.accepted = Accepted(self.atoms, self.views, loss, by_atom, flat)
        of_atoms, of_views = coordinates.step(self.lbfgs.direction(flat, model.curvature))
        self.atoms, self.views = moved_atoms(self.atoms, of_atoms), moved_views(self.views, of_views, self.foci)

    def _gradients(self, model: PatternModel, step: PatternStep) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the loss of a probe on average and the gradients of every image; probes that are refined follow at once."""
        if step.probe_step and self.refinement is None:
            self.refinement = Refinement(model.objective, probe=True, positions=False)
            if self.saved_probes is not None:
                self.refinement.resume(self.saved_probes)
        total, every = 0.0, slice(0, model.forward.probe_count)
        by_atom, by_view = np.empty((len(self.views), len(self.atoms), 5)), np.empty((len(self.views), 5))
        wanted: Ends = self.refinement.ends if self.refinement is not None else "none"
        for number, seen, loss, slope, ends in model.slopes(self.atoms, self.views, self.shape_index, wanted):
            total += loss
            by_atom[number], by_view[number] = model.potential.gradient(seen, slope)
            if self.refinement is not None and ends is not None:
                self.refinement.follow(*model.images[number], every, ends, step.probe_step)
        return total / (model.forward.probe_count * len(self.views)), by_atom, by_view

    def _back_to_accepted(self) -> None:
        """Undo a step that was not tried: what follows makes the losses of before meaningless."""
        if self.accepted is not None:
            self.atoms, self.views, self.accepted = self.accepted.atoms, self.accepted.views, None

    # ---- which atoms there are

    def _nearest_shapes(self) -> np.ndarray:
        """The shape of each atom: that of the element whose weight is nearest, as a ratio."""
        return np.abs(np.log(self.atoms.weight[:, None] / self.expected)).argmin(axis=1)

    def _least_weight(self) -> float:
        if self.params.elements:
            return MIN_WEIGHT_RATIO * float(self.expected.min())
        return self.params.weakest * strong_weight(self.atoms.weight)

    def _significant(self, atoms: Orbitals, deviation: np.ndarray) -> np.ndarray:
        """Which atoms are significant. Raises BenchsuiteError where none is."""
        found = is_significant(atoms.weight, deviation, self._least_weight())
        if not found.any():
            raise BenchsuiteError("no atom is left: no weight is significant; are the atoms to start from those of this specimen?")
        return found

    def _select_atoms(self, model: PatternModel) -> None:
        """Remove atoms that are not significant, merge those that have met, and add those that are missing."""
        assert self.accepted is not None
        by_atom, p = self.accepted.by_atom, self.params
        self._back_to_accepted()
        known = model.information(self.atoms, self.views, self._rng(1), shape_index=self.shape_index)
        electrons = self.series.electrons_per_position
        factors = disagreement(by_atom, known, self.atoms.weight, model.curvature, electrons)
        deviation = deviations(covariance(known.blocks, factors))[:, 3]
        self.atoms = merged(self.atoms.kept(self._significant(self.atoms, deviation)), p.merge_A)
        self.shape_index = self._nearest_shapes()
        points = candidate_grid(self.atoms.positions, p.merge_A, self.series)
        if len(points):
            tested = score_test_weights(model, self.atoms, self.views, self.shape_index, points, self._rng(2))
            least = MIN_WEIGHT_RATIO * self._least_weight()
            new = propose_atoms(*tested, points, p.merge_A, electrons, least)
            self.atoms = joined(self.atoms, Orbitals(new.positions, new.weight, np.full(len(new), INITIAL_WIDTH_A2)))
            self.shape_index = self._nearest_shapes()

    # ---- what it answers

    def _answer(self) -> Atoms:
        """The accepted atoms."""
        assert self.accepted is not None
        return self._as_atoms(self.accepted.atoms)

    def _last_answer(self, model: PatternModel) -> Atoms:
        """The accepted atoms that are significant, with how well they are known."""
        assert self.accepted is not None
        o, electrons = self.accepted.atoms, self.series.electrons_per_position
        known = model.information(o, self.accepted.views, self._rng(3), FINAL_GROUPS, self.shape_index)
        factors = disagreement(self.accepted.by_atom, known, o.weight, model.curvature, electrons)
        deviation = deviations(covariance(known.blocks, factors))
        atoms = self._as_atoms(o)
        atoms.set_array("uncertainty_pm", 100 * deviation[:, :3])
        atoms.set_array("intensity_uncertainty", deviation[:, 3] / self._rad_A2_per_VA3())
        if math.isfinite(electrons):
            counting = deviations(covariance(known.blocks, np.full((len(o), 5), 1 / math.sqrt(electrons))))
            atoms.set_array("counting_uncertainty_pm", 100 * counting[:, :3])
        return atoms[self._significant(o, deviation[:, 3])]

    def _as_atoms(self, orbitals: Orbitals) -> Atoms:
        atoms = Atoms(numbers=np.zeros(len(orbitals), dtype=int), positions=orbitals.positions)
        atoms.set_array("intensity", orbitals.weight / self._rad_A2_per_VA3())
        atoms.set_array("width_A2", orbitals.width)
        return atoms

    def _rad_A2_per_VA3(self) -> float:
        """What a potential of 1 V Å³ weighs, in rad Å²."""
        return interaction_per_VA(self.series.optics.energy_keV)

    def _fit(self, model: PatternModel) -> Fit:
        """R-factors per tilt, probes, and corrections."""
        assert self.accepted is not None
        views = self.accepted.views
        return Fit(
            r_factor_per_image=model.r_factors(self.accepted.atoms, views, self.shape_index),
            apertures=to_host(model.forward.xp.stack(model.forward.apertures)),
            positions_A=model.forward.positions_A,
            **corrections(views),
        )

    # ---- from where it can go on

    def _state(self) -> dict[str, np.ndarray]:
        assert self.accepted is not None
        assert self.coordinates is not None
        state = {
            "iteration": np.array(self.iteration),
            "shape_index": self.shape_index,
            **self.lbfgs.snapshot(),
            **self.coordinates.snapshot(),
        }
        for name, (atoms, views) in {"next": (self.atoms, self.views), "last": (self.accepted.atoms, self.accepted.views)}.items():
            state |= {f"{name}_positions": atoms.positions, f"{name}_weight": atoms.weight, f"{name}_width": atoms.width}
            state |= views_snapshot(views, f"{name}_")
        state |= {"loss": np.array(self.accepted.loss), "by_atom": self.accepted.by_atom, "flat": self.accepted.flat}
        if self.refinement is not None:
            state |= {name: to_host(value) for name, value in self.refinement.snapshot().items()}
        return state

    def _resume(self, state: Mapping[str, np.ndarray]) -> None:
        self.iteration, self.shape_index = int(state["iteration"]), np.array(state["shape_index"])
        nominal = self.views
        states = {}
        for name in ("next", "last"):
            atoms = Orbitals(*(np.array(state[f"{name}_{part}"]) for part in ("positions", "weight", "width")))
            states[name] = atoms, views_resumed(nominal, state, f"{name}_")
        self.atoms, self.views = states["next"]
        by_atom, flat = np.array(state["by_atom"]), np.array(state["flat"])
        self.accepted = Accepted(*states["last"], float(state["loss"]), by_atom, flat)
        self.lbfgs.resume(state)
        self.coordinates = Coordinates.resumed(state)
        self.saved_probes = state if "apertures" in state else None


def shapes_of(elements: tuple[str, ...], energy_keV: float) -> tuple[list[Shape], np.ndarray]:
    """Return the shapes that atoms may have and the weights (k,) that go with them. Raises BenchsuiteError for unknown elements."""
    found = [tabulated(element, energy_keV) for element in elements or (DEFAULT_ELEMENT,)]
    return [shape for shape, _ in found], np.array([weight for _, weight in found])


def check_apart(positions: np.ndarray) -> None:
    """Raise BenchsuiteError where atoms are given twice."""
    from scipy.spatial import cKDTree

    pairs = cKDTree(positions).query_pairs(MIN_DISTANCE_A, output_type="ndarray")
    if len(pairs):
        i, j = pairs[0]
        raise BenchsuiteError(
            f"{len(pairs)} pairs of the initial atoms are on top of each other, nearer than {MIN_DISTANCE_A:g} Å: {i} and {j} are "
            f"{np.linalg.norm(positions[i] - positions[j]):.2f} Å apart, at ({', '.join(f'{x:.1f}' for x in positions[i])}) Å"
        )
