"""4D-STEM series of atoms by the model that is fitted to them: an inverse crime, fit for tests of everything but the physics."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms

from benchsuite.contract import Context
from benchsuite.data import Grid, Optics, TiltSeries
from benchsuite.phantoms.amorphous import packing
from benchsuite.physics.gaussians.atoms import Orbitals, View
from benchsuite.physics.gaussians.pattern_model import PatternModel
from benchsuite.physics.rotations import single_axis
from benchsuite.reconstructors.lot.pattern_fit import shapes_of
from benchsuite.reconstructors.lot.reconstructor import LOT, LOTParams

SIDE, PIXEL_A, SCAN, STEP_A = 24, 0.4, 6, 1.6
SLICE_A = 1.6
SHAPES, WEIGHTS = shapes_of((), 300.0)
HEAVY, LIGHT = float(WEIGHTS[0]), float(WEIGHTS[0]) / 9
WIDTH_A2 = 0.05
GRID = Grid((SIDE, SIDE, SIDE), PIXEL_A)


def context(seed: int = 0, **more: Any) -> Context:
    return Context(GRID, np.random.default_rng(seed), **more)


def views_of(series: TiltSeries) -> list[View]:
    foci = series.data.shape[1]
    return [View(matrix, focus, np.zeros(3), np.zeros(2)) for matrix in series.rotations for focus in range(foci)]


def model_of(series: TiltSeries, loss: Any = "auto", finer: int = 1) -> PatternModel:
    return PatternModel(series, GRID, SHAPES, SLICE_A, finer, None, loss)


def orbitals(positions: np.ndarray, weight: float | np.ndarray = HEAVY) -> Orbitals:
    count = len(positions)
    return Orbitals(np.array(positions), np.broadcast_to(weight, count).astype(float), np.full(count, WIDTH_A2))


def some_atoms(count: int = 12, seed: int = 3, weight: float | np.ndarray = HEAVY) -> Orbitals:
    """A dense amorphous sphere."""
    radius = float(np.cbrt(count / 0.055 * 3 / (4 * np.pi)))
    return orbitals(packing(np.random.default_rng(seed), count, radius, 2.32, 2.5), weight)


def series_of(
    atoms: Orbitals,
    tilts: int = 15,
    foci: Sequence[float] = (-60.0,),
    turned: np.ndarray | None = None,
    drift: np.ndarray | None = None,
) -> TiltSeries:
    """Noise-free patterns of tilts between ±70°. turned: (tilts, 3) in rad; drift: (tilts, 2) in Å, that images have."""
    rotations = single_axis(np.linspace(-70, 70, tilts))
    data = np.ones((tilts, len(foci), SCAN, SCAN, SIDE, SIDE), np.float32)
    optics = Optics(300.0, 21.0)
    series = TiltSeries("4dstem", data, rotations, STEP_A, optics, np.array(foci), reciprocal_step_per_A=1 / (SIDE * PIXEL_A))
    turned = np.zeros((tilts, 3)) if turned is None else turned
    drift = np.zeros((tilts, 2)) if drift is None else drift
    model = model_of(series)
    for tilt, matrix in enumerate(rotations):
        transmission = model.transmission(model.sliced(atoms, View(matrix, 0, turned[tilt], drift[tilt])))
        for focus in range(len(foci)):
            data[tilt, focus] = np.fft.fftshift(model.forward.through(tilt, focus, transmission), axes=(1, 2)).reshape(
                data.shape[2:]
            )
    return dataclasses.replace(series, data=data)


def counted(series: TiltSeries, electrons: float, seed: int = 0) -> TiltSeries:
    """The series with so many electrons at every position, counted."""
    images = series.data.shape[0] * series.data.shape[1]
    counts = np.random.default_rng(seed).poisson(electrons * series.data.astype(np.float64))
    return dataclasses.replace(
        series, data=(counts / electrons).astype(np.float32), dose_e_per_A2=electrons * images / series.scan_step_A**2
    )


def algorithm(**params: Any) -> LOT:
    """The reconstructor on pixels of the voxels alone, unless told otherwise."""
    return LOT(LOTParams.model_validate({"interaction": "multislice", "slice_A": SLICE_A, "oversampling": 1, **params}))


def fitted(series: TiltSeries, start: Any = None, seed: int = 0, **params: Any) -> list[Any]:
    """All iterates. start: positions (n, 3), or atoms."""
    given = start if start is None or isinstance(start, Atoms) else Atoms(f"X{len(start)}", start)
    return list(algorithm(**params).reconstruct(series, context(seed, start=given)))
