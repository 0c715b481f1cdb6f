"""One fit of atoms to diffraction patterns under way: where it starts, its sweeps, its census, what it answers.

A sweep walks over all images and takes a quasi-Newton step; one that led to a greater loss is taken back in part. The first sweeps
use the voxels as pixels of the wave; those of the last third use finer ones, which hold what probe and potential scatter together
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
from benchsuite.reconstructors.lot import model_selection as census
from benchsuite.reconstructors.lot.coordinates import Coordinates
from benchsuite.reconstructors.lot.params import LOTParams
from benchsuite.reconstructors.lot.pattern_schedule import Turn, turns
from benchsuite.reconstructors.lot.start import check_seen, joined, merged, peak_points, strong_weight
from benchsuite.reconstructors.lot.steps import between, by_tilt, difference, moved_atoms, moved_views
from benchsuite.reconstructors.ptychography.refinement import Refinement
from benchsuite.reconstructors.solvers.lbfgs import LBFGS

UNKNOWN = "Ag"  # whose shape atoms of no known element have: a compact one, which widths can only enlarge
FIRST_WIDTH_A2 = 0.02
LIGHTEST = 0.5  # of the weight of the lightest element: the least that an atom may have; and of the least, for a new one
ON_TOP_A = 0.4  # atoms nearer than this are one, given twice
QUICK_SWEEPS = 6  # of the tomogram whose peaks are a start
SHRUNK = 0.3  # part of a step that is kept where the loss has risen
PRECISE = 3  # groups of probes along an axis for the last information


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
        self.views = [View(r, focus, np.zeros(3), np.zeros(2)) for r in series.rotations for focus in range(self.foci)]
        self.seed, self.sweep, self.turns = int(context.rng.integers(2**62)), 0, turns(params)
        self.accepted: Accepted | None = None
        self.coordinates: Coordinates | None = None
        self.lbfgs = LBFGS(0)
        self.refinement: Refinement | None = None
        self.saved_probes: Mapping[str, np.ndarray] | None = None
        if context.resumed is None:
            self.atoms = self._start()
            self.kinds = self._kinds()
        else:
            self._resume(context.resumed)

    def run(self) -> Iterator[Iterate]:
        """Sweep by sweep."""
        while self.sweep < len(self.turns):
            turn = self.turns[self.sweep]
            model = self._model(turn.finer)
            if turn.census:
                self._census(model)
            if turn.fresh:
                self._measure(model, turn)
            self._walk(model, turn)
            self.sweep += 1
            last = self.sweep == len(self.turns)
            assert self.accepted is not None
            atoms = self._last_answer(model) if last else self._answer()
            yield Iterate(self.sweep, self.accepted.loss, atoms=atoms, fit=self._fit(model) if last else Fit(), state=self._state())

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
        return Orbitals(np.array(positions), weight, np.full(len(positions), FIRST_WIDTH_A2))

    def _peaks(self) -> np.ndarray:
        """The peaks of a quick voxel reconstruction."""
        from benchsuite.reconstructors.mset import MSET, MSETParams

        quick = MSET(MSETParams(iterations=QUICK_SWEEPS, slice_A=2 * self.params.slice_A, window_A=self.params.window_A))
        *_, last = quick.reconstruct(self.series, self.context)
        assert last.volume is not None
        return peak_points(to_host(last.volume), self.context.grid, self.params.merge_A)

    # ---- one sweep

    def _model(self, finer: int) -> PatternModel:
        if finer not in self.models:
            self.models.clear()  # the finer one takes the place of the coarse one
            p, context = self.params, self.context
            self.models[finer] = PatternModel(
                self.series, context.grid, self.shapes, p.slice_A, finer, p.window_A, p.loss, context.xp, context.threads
            )
        return self.models[finer]

    def _rng(self, what: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.sweep, what])

    def _measure(self, model: PatternModel, turn: Turn) -> None:
        """Measure the curvature, and forget what was known of it before."""
        self._back_to_accepted()
        known = model.information(self.atoms, self.views, self._rng(0), shape_index=self.kinds)
        p = self.params
        of_views = known.by_view * turn.views * np.array([p.refine_drift] * 2 + [p.refine_angles] * 3)
        self.coordinates = Coordinates(known.blocks, by_tilt(of_views, self.foci))
        self.lbfgs = LBFGS(5 * (len(self.atoms) + len(self.views)))

    def _walk(self, model: PatternModel, turn: Turn) -> None:
        """Go through all images; accept where the last step led and take another, or go back a part of the way."""
        loss, by_atom, by_view = self._slopes(model, turn)
        before, here = self.accepted, self.coordinates
        assert here is not None
        if before is not None and loss > before.loss and not turn.probe_step:  # losses with another probe do not compare
            self.lbfgs.forget()
            self.atoms, self.views = between(self.atoms, self.views, before.atoms, before.views, SHRUNK)
            return
        flat = here.flat(by_atom.sum(axis=0), by_tilt(by_view, self.foci))
        if before is not None:
            step = difference(self.atoms, self.views, before.atoms, before.views)
            self.lbfgs.learn(here.of_step(*step), flat - before.flat)
        self.accepted = Accepted(self.atoms, self.views, loss, by_atom, flat)
        of_atoms, of_views = here.step(self.lbfgs.direction(flat, model.curvature))
        self.atoms, self.views = moved_atoms(self.atoms, of_atoms), moved_views(self.views, of_views, self.foci)

    def _slopes(self, model: PatternModel, turn: Turn) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the loss of a probe on average and the gradients of every image; probes that are refined follow at once."""
        if turn.probe_step and self.refinement is None:
            self.refinement = Refinement(model.objective, probe=True, positions=False)
            if self.saved_probes is not None:
                self.refinement.resume(self.saved_probes)
        total, every = 0.0, slice(0, model.forward.probe_count)
        by_atom, by_view = np.empty((len(self.views), len(self.atoms), 5)), np.empty((len(self.views), 5))
        wanted: Ends = self.refinement.ends if self.refinement is not None else "none"
        for number, seen, loss, slope, ends in model.slopes(self.atoms, self.views, self.kinds, wanted):
            total += loss
            by_atom[number], by_view[number] = model.potential.gradient(seen, slope)
            if self.refinement is not None and ends is not None:
                self.refinement.follow(*model.images[number], every, ends, turn.probe_step)
        return total / (model.forward.probe_count * len(self.views)), by_atom, by_view

    def _back_to_accepted(self) -> None:
        """Undo a step that was not tried: what follows makes the losses of before meaningless."""
        if self.accepted is not None:
            self.atoms, self.views, self.accepted = self.accepted.atoms, self.accepted.views, None

    # ---- which atoms there are

    def _kinds(self) -> np.ndarray:
        """The shape of each atom: that of the element whose weight is nearest, as a ratio."""
        return np.abs(np.log(self.atoms.weight[:, None] / self.expected)).argmin(axis=1)

    def _least_weight(self) -> float:
        if self.params.elements:
            return LIGHTEST * float(self.expected.min())
        return self.params.weakest * strong_weight(self.atoms.weight)

    def _alive(self, atoms: Orbitals, deviation: np.ndarray) -> np.ndarray:
        """Which atoms are significant. Raises BenchsuiteError where none is."""
        found = census.alive(atoms.weight, deviation, self._least_weight())
        if not found.any():
            raise BenchsuiteError("no atom is left: no weight is significant; are the atoms to start from those of this specimen?")
        return found

    def _census(self, model: PatternModel) -> None:
        """Let atoms die, merge and be born."""
        assert self.accepted is not None
        by_atom, p = self.accepted.by_atom, self.params
        self._back_to_accepted()
        known = model.information(self.atoms, self.views, self._rng(1), shape_index=self.kinds)
        electrons = self.series.electrons_per_position
        factors = disagreement(by_atom, known, self.atoms.weight, model.curvature, electrons)
        deviation = deviations(covariance(known.blocks, factors))[:, 3]
        self.atoms = merged(self.atoms.kept(self._alive(self.atoms, deviation)), p.merge_A)
        self.kinds = self._kinds()
        points = census.free_points(self.atoms.positions, p.merge_A, self.series)
        if len(points):
            asked = census.asked_weights(model, self.atoms, self.views, self.kinds, points, self._rng(2))
            least = LIGHTEST * self._least_weight()
            new = census.born(*asked, points, p.merge_A, electrons, least)
            self.atoms = joined(self.atoms, Orbitals(new.positions, new.weight, np.full(len(new), FIRST_WIDTH_A2)))
            self.kinds = self._kinds()

    # ---- what it answers

    def _answer(self) -> Atoms:
        """The accepted atoms."""
        assert self.accepted is not None
        return self._listed(self.accepted.atoms)

    def _last_answer(self, model: PatternModel) -> Atoms:
        """The accepted atoms that are significant, with how well they are known."""
        assert self.accepted is not None
        o, electrons = self.accepted.atoms, self.series.electrons_per_position
        known = model.information(o, self.accepted.views, self._rng(3), PRECISE, self.kinds)
        factors = disagreement(self.accepted.by_atom, known, o.weight, model.curvature, electrons)
        deviation = deviations(covariance(known.blocks, factors))
        atoms = self._listed(o)
        atoms.set_array("uncertainty_pm", 100 * deviation[:, :3])
        atoms.set_array("intensity_uncertainty", deviation[:, 3] / self._unit())
        if math.isfinite(electrons):
            counting = deviations(covariance(known.blocks, np.full((len(o), 5), 1 / math.sqrt(electrons))))
            atoms.set_array("counting_uncertainty_pm", 100 * counting[:, :3])
        return atoms[self._alive(o, deviation[:, 3])]

    def _listed(self, orbitals: Orbitals) -> Atoms:
        atoms = Atoms(numbers=np.zeros(len(orbitals), dtype=int), positions=orbitals.positions)
        atoms.set_array("intensity", orbitals.weight / self._unit())
        atoms.set_array("width_A2", orbitals.width)
        return atoms

    def _unit(self) -> float:
        """What a potential of 1 V Å³ weighs, in rad Å²."""
        return interaction_per_VA(self.series.optics.energy_keV)

    def _fit(self, model: PatternModel) -> Fit:
        """R-factors per tilt, probes, and corrections."""
        assert self.accepted is not None
        views = self.accepted.views
        return Fit(
            r_factor_per_image=model.r_factors(self.accepted.atoms, views, self.kinds),
            apertures=to_host(model.forward.xp.stack(model.forward.apertures)),
            positions_A=model.forward.positions_A,
            drift_A=np.array([view.drift for view in views]),
            angle_corrections_deg=np.rad2deg([view.correction for view in views]),
        )

    # ---- from where it can go on

    def _state(self) -> dict[str, np.ndarray]:
        assert self.accepted is not None
        assert self.coordinates is not None
        state = {"sweep": np.array(self.sweep), "kinds": self.kinds, **self.lbfgs.snapshot(), **self.coordinates.snapshot()}
        for name, (atoms, views) in {"next": (self.atoms, self.views), "last": (self.accepted.atoms, self.accepted.views)}.items():
            state |= {f"{name}_positions": atoms.positions, f"{name}_weight": atoms.weight, f"{name}_width": atoms.width}
            state |= {f"{name}_drift": np.array([view.drift for view in views])}
            state |= {f"{name}_correction": np.array([view.correction for view in views])}
        state |= {"loss": np.array(self.accepted.loss), "by_atom": self.accepted.by_atom, "flat": self.accepted.flat}
        if self.refinement is not None:
            state |= {name: to_host(value) for name, value in self.refinement.snapshot().items()}
        return state

    def _resume(self, state: Mapping[str, np.ndarray]) -> None:
        self.sweep, self.kinds = int(state["sweep"]), np.array(state["kinds"])
        nominal = self.views
        states = {}
        for name in ("next", "last"):
            atoms = Orbitals(*(np.array(state[f"{name}_{part}"]) for part in ("positions", "weight", "width")))
            moves = zip(nominal, state[f"{name}_drift"], state[f"{name}_correction"], strict=True)
            states[name] = atoms, [view.moved(drift, turn) for view, drift, turn in moves]
        self.atoms, self.views = states["next"]
        by_atom, flat = np.array(state["by_atom"]), np.array(state["flat"])
        self.accepted = Accepted(*states["last"], float(state["loss"]), by_atom, flat)
        self.lbfgs.resume(state)
        self.coordinates = Coordinates.resumed(state)
        self.saved_probes = state if "apertures" in state else None


def shapes_of(elements: tuple[str, ...], energy_keV: float) -> tuple[list[Shape], np.ndarray]:
    """Return the shapes that atoms may have and the weights (k,) that go with them. Raises BenchsuiteError for unknown elements."""
    found = [tabulated(element, energy_keV) for element in elements or (UNKNOWN,)]
    return [shape for shape, _ in found], np.array([weight for _, weight in found])


def check_apart(positions: np.ndarray) -> None:
    """Raise BenchsuiteError where atoms are given twice."""
    from scipy.spatial import cKDTree

    pairs = cKDTree(positions).query_pairs(ON_TOP_A, output_type="ndarray")
    if len(pairs):
        i, j = pairs[0]
        raise BenchsuiteError(
            f"{len(pairs)} pairs of the atoms to start from are on top of each other, nearer than {ON_TOP_A:g} Å: {i} and {j} are "
            f"{np.linalg.norm(positions[i] - positions[j]):.2f} Å apart, at ({', '.join(f'{x:.1f}' for x in positions[i])}) Å"
        )
