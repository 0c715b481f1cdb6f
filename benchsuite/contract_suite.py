"""What every reconstructor and every phantom must satisfy, as functions that raise AssertionError with a clear text.

The project's tests run them over the registries; a third party calls `check_reconstructor(MyClass)` in theirs. The specimen is four
Gaussian atoms without mirror symmetry, seen in exact projections, so a wrong sign, axis or handedness shows.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms

from benchsuite.contract import AnyPhantom, AnyReconstructor, Context, Iterate
from benchsuite.data import Grid, Optics, TiltSeries
from benchsuite.geometry import single_axis, tilt_angles

SIGMA_A = 0.5
STEP_A = 0.5
SIDE = 24
CHIRAL_A = np.array([[2.5, 0.5, 0.0], [-1.5, 2.0, 1.5], [0.0, -2.5, 2.0], [-1.0, -0.5, -2.5]])
TOLERANCE_A = 0.15


def gaussian_series(positions: np.ndarray, rotations: np.ndarray, side: int = SIDE, step_A: float = STEP_A) -> TiltSeries:
    """Return the exact projections of Gaussian atoms of unit mass: images at R r, peak 1/(2πσ²)."""
    axis = step_A * (np.arange(side) - side // 2)
    images = np.zeros((len(rotations), 1, side, side), dtype=np.float32)
    for image, matrix in zip(images[:, 0], rotations, strict=True):
        for x, y, _ in positions @ matrix.T:
            blob = np.exp(-((axis[:, None] - y) ** 2 + (axis - x) ** 2) / (2 * SIGMA_A**2)) / (2 * np.pi * SIGMA_A**2)
            image += blob.astype(np.float32)
    return TiltSeries("adf", images, rotations, step_A, Optics(300.0, 21.0), np.zeros(1))


def small_problem() -> tuple[TiltSeries, Grid]:
    """Return the series of the chiral specimen over the full range and the grid to reconstruct on."""
    series = gaussian_series(CHIRAL_A, single_axis(tilt_angles(-90, 90, 18)))
    return series, Grid((SIDE, SIDE, SIDE), STEP_A)


def run(cls: type[AnyReconstructor], series: TiltSeries, grid: Grid, seed: int = 1) -> list[Iterate]:
    """Return all iterates of a reconstructor with default parameters."""
    return list(cls().reconstruct(series, Context(grid, np.random.default_rng(seed))))


def check_reconstructor(cls: type[AnyReconstructor]) -> None:
    """Run every check on a reconstructor for ADF series."""
    for check in RECONSTRUCTOR_CHECKS:
        check(cls)


def check_describes_itself(cls: type[AnyReconstructor]) -> None:
    """A title, a reference, defaults for every parameter, and a finite prediction of cost."""
    assert cls.title, "title is empty"
    assert cls.reference, "reference is empty"
    series, grid = small_problem()
    cost = cls().cost(series.data.shape, grid)
    assert 0 < cost.seconds < np.inf, f"cost().seconds is {cost.seconds}"
    assert 0 < cost.bytes < np.inf, f"cost().bytes is {cost.bytes}"


def check_iterates(cls: type[AnyReconstructor]) -> None:
    """Iterates of the grid's shape in float32, finite; losses finite and lower at the end than at the beginning."""
    series, grid = small_problem()
    iterates = run(cls, series, grid)
    assert iterates, "no iterate was yielded"
    assert len(iterates) <= cls().total_iterations() + 1, "more iterates than total_iterations() announces"
    for item in iterates:
        assert isinstance(item, Iterate), f"yielded {type(item).__name__}"
    last = iterates[-1]
    assert last.volume is not None or last.atoms is not None, "the last iterate has neither volume nor atoms"
    if last.volume is not None:
        assert last.volume.shape == grid.shape, f"volume of shape {last.volume.shape}, not {grid.shape}"
        assert last.volume.dtype == np.float32, f"volume of dtype {last.volume.dtype}, not float32"
        assert np.isfinite(last.volume).all(), "the volume is not finite"
    losses = [item.loss for item in iterates if item.loss is not None]
    assert np.isfinite(losses).all(), "a loss is not finite"
    assert len(losses) < 2 or losses[-1] <= losses[0], f"the loss rises from {losses[0]:g} to {losses[-1]:g}"


def check_input_untouched(cls: type[AnyReconstructor]) -> None:
    """The series is the same after as before."""
    series, grid = small_problem()
    data, rotations = series.data.copy(), series.rotations.copy()
    run(cls, series, grid)
    assert np.array_equal(series.data, data), "reconstruct() changed series.data"
    assert np.array_equal(series.rotations, rotations), "reconstruct() changed series.rotations"


def check_deterministic(cls: type[AnyReconstructor]) -> None:
    """Equal seeds give equal bytes."""
    series, grid = small_problem()
    first, second = run(cls, series, grid)[-1], run(cls, series, grid)[-1]
    if first.volume is not None and second.volume is not None:
        assert np.array_equal(first.volume, second.volume), "two runs with one seed differ"


def check_recovers(cls: type[AnyReconstructor]) -> None:
    """The chiral specimen is found where it is, and not as its mirror image."""
    series, grid = small_problem()
    last = run(cls, series, grid)[-1]
    found = strongest_peaks(np.asarray(last.volume), grid, len(CHIRAL_A)) if last.atoms is None else last.atoms.positions
    for name, sign in (("x", (-1, 1, 1)), ("y", (1, -1, 1)), ("z", (1, 1, -1))):
        mirrored = _worst(CHIRAL_A * sign, found)
        assert mirrored > 3 * TOLERANCE_A, f"the specimen comes out mirrored along {name}"
    worst = _worst(CHIRAL_A, found)
    assert worst < TOLERANCE_A, f"an atom is {worst:.2f} Å from where it should be (allowed {TOLERANCE_A} Å)"


def check_refuses(cls: type[AnyReconstructor]) -> None:
    """Data of another modality is refused with a reason."""
    series, _ = small_problem()
    assert cls().accepts(series) is None, f"a plain ADF series is refused: {cls().accepts(series)}"
    patterns = np.zeros((1, 1, 2, 2, 2, 2), np.float32)
    diffraction = TiltSeries("4dstem", patterns, series.rotations[:1], 1.0, series.optics, np.zeros(1))
    assert cls().accepts(diffraction), "a 4D-STEM series is not refused"


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


def _worst(expected: np.ndarray, found: np.ndarray) -> float:
    return float(np.linalg.norm(expected[:, None] - found[None], axis=2).min(axis=1).max())


RECONSTRUCTOR_CHECKS = (
    check_describes_itself,
    check_iterates,
    check_input_untouched,
    check_deterministic,
    check_recovers,
    check_refuses,
)


def check_phantom(phantom: AnyPhantom) -> None:
    """A phantom is centred, finite, made of atoms that keep their distance, and the same for the same seed."""
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
