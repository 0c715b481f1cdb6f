"""What every reconstructor and every phantom must satisfy, as functions that raise AssertionError with a clear text.

The project's tests run them over the registries; a third party calls `check_reconstructor(MyClass)` in theirs. The specimen is four
Gaussian atoms without mirror symmetry, seen in exact projections, or in diffraction patterns by a plain multislice calculation that
shares no code with any reconstructor: a wrong sign, axis or handedness shows.
"""

from __future__ import annotations

import functools
import re
import tempfile
from dataclasses import fields, replace
from pathlib import Path
from typing import get_args

import numpy as np
import scipy.fft
import scipy.special
from ase import Atoms

from benchsuite import registry
from benchsuite.columns import DIRECTIONS
from benchsuite.contract.algorithm import Context
from benchsuite.contract.metric import NO_PAIRS, AnyMetric, Matched, Scored
from benchsuite.contract.phantom import AnyPhantom
from benchsuite.contract.preprocessing import AnyPreprocessing
from benchsuite.contract.reconstructor import AnyReconstructor, Iterate
from benchsuite.contract.settings import Acquisition, Microscope, Simulation
from benchsuite.contract.simulator import AnySimulator, simulation_misfit
from benchsuite.data import Fit, Grid, Modality, Optics, Reconstruction, TiltSeries, Volume
from benchsuite.metrics.matching.matched import match_atoms
from benchsuite.physics.electrons import interaction_per_VA, wavelength_A
from benchsuite.physics.rotations import single_axis, tilt_angles
from benchsuite.results import COSTS, LEADING, SETTING
from benchsuite.storage import load_reconstruction, save_reconstruction

SIGMA_A = 0.5
STEP_A = 0.5
SIDE = 24
CHIRAL_A = np.array([[2.5, 0.5, 0.0], [-1.5, 2.0, 1.5], [0.0, -2.5, 2.0], [-1.0, -0.5, -2.5]])
TOLERANCE_A = 0.15
_NAMES = ("phase", "edges_A", "slice_edges_A", "shift_A", "probe_focus_A", "slices_phase", "fit_focus_A", "volume", "history")
POISON = {name: np.linspace(-10, 10, 3) for name in (*_NAMES, *(one.name for one in fields(Fit)))}


def gaussian_series(positions: np.ndarray, rotations: np.ndarray, side: int = SIDE, step_A: float = STEP_A) -> TiltSeries:
    """Return the exact projections of Gaussian atoms of unit mass: images at R r, peak 1/(2πσ²)."""
    axis = step_A * (np.arange(side) - side // 2)
    images = np.zeros((len(rotations), 1, side, side), dtype=np.float32)
    for image, matrix in zip(images[:, 0], rotations, strict=True):
        for x, y, _ in positions @ matrix.T:
            blob = np.exp(-((axis[:, None] - y) ** 2 + (axis - x) ** 2) / (2 * SIGMA_A**2)) / (2 * np.pi * SIGMA_A**2)
            image += blob.astype(np.float32)
    return TiltSeries("adf", images, rotations, step_A, Optics(300.0, 21.0), np.zeros(1))


def problem_for(cls: type[AnyReconstructor]) -> tuple[TiltSeries, Grid]:
    """Return the small problem of the first modality that a reconstructor takes, of a single view where it takes no more."""
    series, grid = small_problem(cls.modalities[0])
    if cls.single_view:
        flat = [int(np.argmax([np.trace(rotation) for rotation in series.rotations]))]
        series = replace(series, data=series.data[flat], rotations=series.rotations[flat])
    return series, grid


def small_problem(modality: Modality = "adf") -> tuple[TiltSeries, Grid]:
    """Return the series of the chiral specimen over the full range and the grid to reconstruct on."""
    rotations = single_axis(tilt_angles(-90, 90, 18))
    series = _chiral_diffraction() if modality == "4dstem" else replace(gaussian_series(CHIRAL_A, rotations), modality=modality)
    return series, Grid((SIDE, SIDE, SIDE), STEP_A)


@functools.cache
def _chiral_diffraction() -> TiltSeries:
    series = diffraction_series(CHIRAL_A, single_axis(tilt_angles(-90, 90, 18)))
    series.data.flags.writeable = False
    return series


def diffraction_series(positions: np.ndarray, rotations: np.ndarray, side: int = SIDE, step_A: float = STEP_A) -> TiltSeries:
    """Return the noise-free 4D-STEM series of Gaussian atoms of 400 V Å³, by multislice on side × side pixels of `step_A`.

    Probes of 15 mrad stand on every second pixel, 60 Å overfocused. Slices are as thick as pixels and act in their middle.
    """
    energy_keV, semiangle_mrad, defocus_A = 300.0, 15.0, -60.0
    wavelength, strength = wavelength_A(energy_keV), interaction_per_VA(energy_keV) * 400.0
    q, axis = np.fft.fftfreq(side, step_A), step_A * (np.arange(side) - side // 2)
    squared = q[:, None] ** 2 + q**2
    half = np.exp(-0.5j * np.pi * wavelength * step_A * squared)
    depth = step_A * side / 2
    focus = np.exp(1j * np.pi * wavelength * (defocus_A + depth) * squared)  # crossover `defocus` below the centre of the box
    edge = (semiangle_mrad * 1e-3 - wavelength * np.sqrt(squared)) * side * step_A / wavelength  # in pixels of the pattern
    aperture = np.clip(edge + 0.5, 0, 1) * focus
    scan = 2 * step_A * (np.arange(side // 2) - side // 4)
    y, x = (part.ravel()[:, None, None] + step_A * (side // 2) for part in np.meshgrid(scan, scan, indexing="ij"))
    probes = scipy.fft.ifft2(aperture * np.exp(-2j * np.pi * (q[:, None] * y + q * x)), norm="ortho").astype(np.complex64)
    probes /= np.sqrt((np.abs(probes[0]) ** 2).sum())
    edges = np.linspace(-depth, depth, side + 1)
    patterns = np.empty((len(rotations), 1, side // 2, side // 2, side, side), np.float32)
    for image, matrix in zip(patterns, rotations, strict=True):
        spectrum = scipy.fft.fft2(probes)
        phases = np.zeros((side, side, side))
        for px, py, pz in positions @ matrix.T:
            blob = np.exp(-((axis[:, None] - py) ** 2 + (axis - px) ** 2) / (2 * SIGMA_A**2)) / (2 * np.pi * SIGMA_A**2)
            phases += strength * np.diff(scipy.special.ndtr((edges - pz) / SIGMA_A))[:, None, None] * blob
        for phase in phases:
            wave = scipy.fft.ifft2(spectrum * half) * np.exp(1j * phase)
            spectrum = scipy.fft.fft2(wave.astype(np.complex64)) * half
        intensity = np.fft.fftshift(np.abs(spectrum) ** 2, axes=(1, 2)) / side**2
        image[0] = intensity.reshape(side // 2, side // 2, side, side)
    optics = Optics(energy_keV, semiangle_mrad)
    return TiltSeries(
        "4dstem", patterns, rotations, 2 * step_A, optics, np.array([defocus_A]), reciprocal_step_per_A=1 / (side * step_A)
    )


def run(cls: type[AnyReconstructor], series: TiltSeries, grid: Grid, seed: int = 1, start: Atoms | None = None) -> list[Iterate]:
    """Return all iterates of a reconstructor with default parameters."""
    return list(cls().reconstruct(series, Context(grid, np.random.default_rng(seed), start=start)))


def check_reconstructor(cls: type[AnyReconstructor]) -> None:
    """Run every check on a reconstructor, with data of the first modality that it takes."""
    for check in RECONSTRUCTOR_CHECKS:
        check(cls)


def check_describes_itself(cls: type[AnyReconstructor]) -> None:
    """A title, a reference, defaults for every parameter, and a finite prediction of cost."""
    assert cls.title, "title is empty"
    assert cls.reference, "reference is empty"
    series, grid = problem_for(cls)
    cost = cls().cost(series.data.shape, grid)
    assert 0 < cost.seconds < np.inf, f"cost().seconds is {cost.seconds}"
    assert 0 < cost.bytes < np.inf, f"cost().bytes is {cost.bytes}"


def check_iterates(cls: type[AnyReconstructor]) -> None:
    """Iterates of the grid's shape in float32, finite; losses finite and lower at the end than at the beginning."""
    series, grid = problem_for(cls)
    iterates = run(cls, series, grid)
    assert iterates, "no iterate was yielded"
    announced = cls().total_iterations()
    hint = "override it if no parameter called `iterations` gives the number"
    assert len(iterates) <= announced + 1, f"{len(iterates)} iterates, total_iterations() announces {announced}; {hint}"
    for item in iterates:
        assert isinstance(item, Iterate), f"yielded {type(item).__name__}"
    last = iterates[-1]
    assert last.volume is not None or last.atoms is not None, "the last iterate has neither volume nor atoms"
    if last.volume is not None:
        assert last.volume.shape == grid.shape, f"volume of shape {last.volume.shape}, not {grid.shape}"
        assert last.volume.dtype == np.float32, f"volume of dtype {last.volume.dtype}, not float32"
        assert np.isfinite(last.volume).all(), "the volume is not finite"
    answers = all(item.slices is not None for item in iterates) if cls.single_view else any(item.slices for item in iterates)
    assert answers == cls.single_view, f"single_view is {cls.single_view}, but iterates have {'' if answers else 'no '}slices"
    losses = [item.loss for item in iterates if item.loss is not None]
    assert np.isfinite(losses).all(), "a loss is not finite"
    assert len(losses) < 2 or losses[-1] <= losses[0], f"the loss rises from {losses[0]:g} to {losses[-1]:g}"


def check_input_untouched(cls: type[AnyReconstructor]) -> None:
    """The series is not changed."""
    series, grid = problem_for(cls)
    data, rotations = series.data.copy(), series.rotations.copy()
    run(cls, series, grid)
    assert np.array_equal(series.data, data), "reconstruct() changed series.data"
    assert np.array_equal(series.rotations, rotations), "reconstruct() changed series.rotations"


def check_deterministic(cls: type[AnyReconstructor]) -> None:
    """Equal seeds give equal bytes."""
    series, grid = problem_for(cls)
    first, second = run(cls, series, grid)[-1], run(cls, series, grid)[-1]
    if first.volume is not None and second.volume is not None:
        assert np.array_equal(first.volume, second.volume), "two runs with one seed differ"
    if first.atoms is not None and second.atoms is not None:
        assert np.array_equal(first.atoms.positions, second.atoms.positions), "two runs with one seed differ in their atoms"


def check_recovers(cls: type[AnyReconstructor]) -> None:
    """A chiral specimen is reconstructed at its position, not mirrored."""
    series, grid = problem_for(cls)
    last = run(cls, series, grid)[-1]
    expected, found = CHIRAL_A, _found(last, grid, cls.single_view)
    if cls.single_view:
        expected = expected * [1, 1, 0]
    for name, sign in (("x", (-1, 1, 1)), ("y", (1, -1, 1)), ("z", (1, 1, -1)))[: 2 if cls.single_view else 3]:
        mirrored = _worst(expected * sign, found)
        assert mirrored > 3 * TOLERANCE_A, f"the specimen comes out mirrored along {name}"
    worst = _worst(expected, found)
    assert worst < TOLERANCE_A, f"an atom is {worst:.2f} Å from where it should be (allowed {TOLERANCE_A} Å)"


def check_refines(cls: type[AnyReconstructor]) -> None:
    """A refinement moves atoms displaced by 0.3 Å to their true positions, and its first iterate holds the given atoms."""
    if not cls.refines:
        return
    series, grid = problem_for(cls)
    away = 0.3 / np.sqrt(3) * np.array([[1, -1, 1], [-1, -1, 1], [1, 1, 1], [-1, 1, -1]])
    iterates = run(cls, series, grid, start=Atoms("X4", CHIRAL_A + away))
    plain, begun = run(cls, series, grid)[0], iterates[0]
    same = begun.loss == plain.loss if begun.loss is not None else np.array_equal(_found(begun, grid), _found(plain, grid))
    assert not same, "the first iterate is the same with and without the atoms to start from"
    assert len(iterates) <= cls().refined_iterations() + 1, "more iterates than refined_iterations() announces"
    worst = _worst(CHIRAL_A, _found(iterates[-1], grid))
    assert worst < TOLERANCE_A, f"an atom that started 0.30 Å away ends {worst:.2f} Å away (allowed {TOLERANCE_A} Å)"


def check_refuses(cls: type[AnyReconstructor]) -> None:
    """Data of another modality is refused with a reason."""
    for modality in get_args(Modality):
        series, _ = problem_for(cls) if modality == cls.modalities[0] else small_problem(modality)
        refusal = cls().accepts(series)
        if modality in cls.modalities:
            assert refusal is None, f"a plain {modality} series is refused: {refusal}"
        else:
            assert refusal, f"a series of modality {modality} is not refused"


def check_extras_are_free(cls: type[AnyReconstructor]) -> None:
    """Arrays in `extras` change no score, whatever their names, and are stored with the result."""
    series, grid = problem_for(cls)
    last = run(cls, series, grid)[-1]
    plain, poisoned = (_scores(replace(last, extras=extras), series, grid, cls.single_view) for extras in ({}, POISON))
    assert [*plain] == [*poisoned], f"arrays in extras add or remove scores: {sorted(set(plain) ^ set(poisoned))}"
    changed = [name for name in plain if not np.array_equal(plain[name], poisoned[name], equal_nan=True)]
    assert not changed, f"arrays in extras change the score {changed[0]}" if changed else ""


def _scores(last: Iterate, series: TiltSeries, grid: Grid, single_view: bool) -> dict[str, float]:
    """Return the values of the built-in metrics for a stored result."""
    volume = None if last.volume is None else Volume(np.asarray(last.volume), grid.voxel_A)
    answer = Reconstruction(volume, last.atoms, np.array([[1.0, 0.0]]), 1.0, last.slices, last.fit, last.extras)
    with tempfile.TemporaryDirectory() as folder:
        save_reconstruction(Path(folder), answer)
        stored = load_reconstruction(Path(folder))
    assert sorted(stored.extras) == sorted(last.extras), "arrays in extras are lost"
    truth, matched = Atoms("Cu4", CHIRAL_A), Matched(truth=None, traced=None)
    if not single_view:
        matched = match_atoms(truth, Atoms("Cu4", _found(last, grid)[:4]))
    scored = Scored(**vars(matched), reconstruction=stored, series=series, recorded=series, grid=grid, specimen=truth)
    values = {f"fit.{name}": float(np.abs(array).sum()) for name, array in stored.fit.arrays().items()}
    values |= {} if stored.slices is None else {"slices": float(stored.slices.phase.sum())}
    for name in registry.names("metric"):
        metric = registry.metric(name)()
        if type(metric).__module__.startswith("benchsuite."):
            values |= metric.checked(metric.measure(scored)).values
    return values


def strongest_peaks(volume: np.ndarray, grid: Grid, count: int) -> np.ndarray:
    """Return (count, 3) centres of mass (x, y, z) in Å of 3×3×3 voxels around the strongest, well separated voxels."""
    rest, found = volume.astype(np.float64), []
    index = np.stack(np.meshgrid(*(np.arange(n) for n in volume.shape), indexing="ij"), axis=-1)
    for _ in range(count):
        peak = np.array(np.unravel_index(rest.argmax(), rest.shape))
        near = (np.abs(index - peak).max(axis=-1) <= 1).astype(np.float64) * np.maximum(volume, 0)
        found.append((index * near[..., None]).sum(axis=(0, 1, 2)) / near.sum())
        rest[np.abs(index - peak).max(axis=-1) <= 3] = -np.inf
    return grid.positions(np.array(found))


def _found(last: Iterate, grid: Grid, projected: bool = False) -> np.ndarray:
    """The positions that an answer puts atoms at; of one that does not resolve depth, in the plane z = 0."""
    if last.atoms is not None:
        return last.atoms.positions
    volume = np.asarray(last.volume)
    if projected:
        volume, along = np.zeros_like(volume), volume.sum(axis=0)
        volume[len(volume) // 2] = along
    return strongest_peaks(volume, grid, len(CHIRAL_A))


def _worst(expected: np.ndarray, found: np.ndarray) -> float:
    return float(np.linalg.norm(expected[:, None] - found[None], axis=2).min(axis=1).max())


RECONSTRUCTOR_CHECKS = (
    check_describes_itself,
    check_iterates,
    check_input_untouched,
    check_deterministic,
    check_recovers,
    check_refines,
    check_refuses,
    check_extras_are_free,
)


def check_preprocessing(cls: type[AnyPreprocessing]) -> None:
    """A preprocessing step describes itself, does not change its input, is deterministic, and refuses other modalities."""
    assert cls.title, "title is empty"
    assert cls.reference, "reference is empty"
    modality = cls.modalities[0]
    series, grid = small_problem(modality)
    if cls.by_tilt:
        series = series.view(len(series.data) // 2)
    data, rotations, step = np.array(series.data), series.rotations.copy(), cls()
    assert step.accepts(series) is None, f"a plain {modality} series is refused: {step.accepts(series)}"
    first, second = (step.preprocess(series, Context(grid, np.random.default_rng(1))) for _ in range(2))
    assert np.array_equal(series.data, data), "preprocess() changed series.data"
    assert np.array_equal(series.rotations, rotations), "preprocess() changed series.rotations"
    assert np.array_equal(first.series.data, second.series.data), "two runs with one seed differ"
    assert first.series.modality == (cls.makes or modality), f"makes {first.series.modality}"
    expected = step.preprocessed_shape(series.data.shape, grid)
    assert first.series.data.shape == expected, f"makes data of shape {first.series.data.shape}, announced {expected}"
    assert first.series.data.dtype == np.float32, f"makes data of dtype {first.series.data.dtype}, not float32"
    assert np.isfinite(first.series.data).all(), "makes values that are not finite"
    for other in get_args(Modality):
        if other not in cls.modalities:
            assert step.accepts(small_problem(other)[0]), f"a series of modality {other} is not refused"


def check_simulator(cls: type[AnySimulator]) -> None:
    """A simulator describes itself, does not change its input, is deterministic, and images atoms at their positions."""
    assert cls.title, "title is empty"
    assert cls.reference, "reference is empty"
    assert cls.modalities, "modalities is empty"
    simulator, optics, simulation = cls(), Microscope(semiangle_mrad=20.0), Simulation(sampling_A=0.2, margin_A=1.0)
    assert simulator.params == cls.Params(), "the parameters have no defaults"
    rotation = single_axis([40.0])[0]
    x, y, _z = (rotation @ CHIRAL_A[0]).tolist()
    for mode in ("adf", "4dstem"):
        if mode not in cls.modalities:
            continue
        acquisition = Acquisition.model_validate(
            {
                "mode": mode,
                "tilts": {"angles_deg": [40.0]},
                "scan": {"step_A": 0.5, "positions": [24, 22]},
                "detector": {"inner_mrad": 20, "outer_mrad": 30},
                "camera": {"pixels": [16, 18]},
            }
        )
        problems = simulator.check(optics, simulation, acquisition)
        assert not problems, f"a plain {mode} experiment is refused: {problems[0]}" if problems else ""
        cost = simulator.cost(optics, simulation, acquisition)
        assert 0 < cost.seconds < np.inf, f"cost().seconds is {cost.seconds}"
        assert 0 < cost.bytes < np.inf, f"cost().bytes is {cost.bytes}"
        specimen, atom = Atoms("Au4", CHIRAL_A), Atoms("Au", CHIRAL_A[:1])
        settings = (rotation, optics, simulation, acquisition)
        first, second = (simulator.simulate(specimen, *settings, seed=1) for _ in range(2))
        assert np.array_equal(specimen.positions, CHIRAL_A), "simulate() moved the atoms"
        misfit = simulation_misfit(first, 1, acquisition)
        assert misfit is None, f"simulate() {misfit}"
        assert all(np.array_equal(first[key], second[key]) for key in first), "two simulations with one seed differ"
        image = simulator.simulate(atom, *settings, seed=1)["adf"][0]
        row, column = np.unravel_index(np.argmax(image), image.shape)
        found = 0.5 * (int(column) - 11), 0.5 * (int(row) - 12)
        away = float(np.hypot(found[0] - x, found[1] - y))
        assert away < 0.75, f"an atom at ({x:.2f}, {y:.2f}) Å is imaged at ({found[0]:.2f}, {found[1]:.2f}) Å"


def check_phantom(phantom: AnyPhantom) -> None:
    """A phantom is centred, finite, free of overlapping atoms, and the same for equal seeds."""
    first, second = (phantom.build(np.random.default_rng(3)) for _ in range(2))
    assert isinstance(first, Atoms), f"build() returned {type(first).__name__}"
    assert len(first) > 0, "no atoms"
    assert np.isfinite(first.positions).all(), "positions are not finite"
    assert np.array_equal(first.positions, second.positions), "two builds with one seed differ"
    assert np.array_equal(first.numbers, second.numbers), "two builds with one seed differ in elements"
    centre = np.linalg.norm(first.positions.mean(axis=0))
    reach = np.linalg.norm(first.positions, axis=1).max()
    assert centre < 0.25 * reach + 0.5, f"the centroid is {centre:.2f} Å from the origin"
    if len(first) > 1:
        distance = first.get_all_distances()[np.triu_indices(len(first), 1)].min()
        assert distance > 0.5, f"two atoms are {distance:.2f} Å apart"


def scored_problem() -> Scored:
    """Return what a metric sees of the chiral specimen: one atom 0.1 Å off, one missing, one false, one taken for no atom."""
    truth = Atoms("Cu2Au2", CHIRAL_A)
    truth.set_array("outcome", np.array(["found", "missing", "found", "misclassified"]))
    truth.set_array("displacement_A", np.array([0.1, np.nan, 0.0, 0.0]))
    traced = Atoms("CuAuCuCuX", [*(CHIRAL_A[[0, 2, 3]] + [[0.1, 0, 0], [0, 0, 0], [0, 0, 0]]), [4.0, 4.0, 4.0], [0.0, 0.0, 4.0]])
    traced.set_array("outcome", np.array(["true", "true", "false_class", "false_positive", "non_atom"]))
    series, grid = small_problem()
    volume = Volume(np.random.default_rng(5).random(grid.shape, dtype=np.float32), grid.voxel_A)
    answer = Reconstruction(volume, None, np.array([[1.0, 2.0], [2.0, 1.0]]), 1.0)
    return Scored(
        truth=truth,
        traced=traced,
        pairs=np.array([[0, 0], [2, 1], [3, 2]]),
        cutoff_A=1.0,
        positions_found=traced.positions.copy(),
        reconstruction=answer,
        grid=grid,
        series=series,
        recorded=series,
        specimen=truth,
    )


def check_metric(metric: AnyMetric) -> None:
    """A metric describes itself and its columns, returns what it declares, is deterministic, and does not change its input.

    Where there is no truth, no traced atom or no volume, it answers with nan, or without the value, instead of raising.
    """
    assert metric.title, "title is empty"
    assert metric.reference, "reference is empty"
    columns = metric.declared()
    for column in columns:
        assert column.title, f"the column {column.name!r} has no title"
        assert re.fullmatch(r"[A-Za-z](\w|<El>|<axis>)*", column.name, re.ASCII), f"{column.name!r} cannot name a column"
        assert column.direction in DIRECTIONS, f"direction is {column.direction!r}, not one of {', '.join(DIRECTIONS)}"
    others = [*LEADING, *COSTS, *SETTING, *(one for cls in _others(metric) for one in cls.declared())]
    taken = [column.name for column in columns if any(column.clashes(other) for other in others)]
    assert not taken, f"the column {taken[0]!r} is built in; give it another name" if taken else ""
    whole = scored_problem()
    assert whole.truth is not None
    nothing = Atoms()
    only_atoms = replace(whole.reconstruction, volume=None, atoms=whole.traced)
    seen = {
        "a plain answer": whole,
        "a series without a truth": replace(whole, truth=None, specimen=None, pairs=NO_PAIRS),
        "no traced atom": replace(whole, traced=nothing, positions_found=nothing.positions, pairs=NO_PAIRS),
        "an answer without a volume": replace(whole, reconstruction=only_atoms),
        "slices too thick for atoms": replace(whole, truth=None, traced=None, pairs=NO_PAIRS),
    }
    for what, one in seen.items():
        before = _copied(one)
        try:
            answers = metric.measure(one), metric.measure(one)
        except Exception as error:
            raise AssertionError(f"measure() raises {type(error).__name__} for {what}: {error}") from error
        try:
            first, second = ({**found.curves, **found.values} for found in map(metric.checked, answers))
        except ValueError as error:
            raise AssertionError(f"for {what}: {error}") from error
        same = [np.array_equal(np.asarray(first[name]), np.asarray(second[name]), equal_nan=True) for name in first]
        assert [*first] == [*second], f"two calls differ for {what}: {first}, {second}"
        assert all(same), f"two calls differ for {what}: {first}, {second}"
        changed = [name for name, array in _copied(one).items() if not np.array_equal(array, before[name])]
        assert not changed, f"measure() changed {changed[0]}" if changed else ""
    assert metric.checked(metric.measure(whole)).values, "measure() has no value for a plain answer"


def _others(metric: AnyMetric) -> list[type[AnyMetric]]:
    """The metrics of every run, without this one."""
    found = [registry.metric(name) for name in registry.names("metric")]
    return [cls for cls in found if cls.default and cls is not type(metric)]


def _copied(scored: Scored) -> dict[str, np.ndarray]:
    found = {"pairs": scored.pairs.copy(), "series.data": np.array(scored.series.data)}
    if scored.reconstruction.volume is not None:
        found["reconstruction.volume"] = scored.reconstruction.volume.data.copy()
    for name, atoms in (("truth", scored.truth), ("traced", scored.traced)):
        if atoms is not None:
            found |= {f"{name}.positions": atoms.positions.copy(), f"{name}.numbers": atoms.numbers.copy()}
    return found
