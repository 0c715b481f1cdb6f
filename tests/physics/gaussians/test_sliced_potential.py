"""Atoms on slices: the potential that they should have, smooth in every coordinate, with exact gradients, the right way round."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from abtem.parametrizations import LobatoParametrization
from ase import Atoms

from benchsuite.contract.settings import Acquisition, Camera, Microscope, Scan, Simulation, Tilts
from benchsuite.contract_suite import CHIRAL_A, SIGMA_A, small_problem
from benchsuite.data import Grid, Optics, TiltSeries
from benchsuite.errors import BenchsuiteError
from benchsuite.microscope import simulate
from benchsuite.physics.electrons import interaction_per_VA
from benchsuite.physics.gaussians.atoms import Orbitals, View
from benchsuite.physics.gaussians.pattern_model import PatternModel
from benchsuite.physics.gaussians.shapes import GAUSSIAN, Shape, tabulated
from benchsuite.physics.gaussians.sliced_potential import SlicedPotential
from benchsuite.physics.rotations import random_rotation, rotation, single_axis

SHAPE, PIXEL = (32, 36), 0.4
EDGES = 1.6 * (np.arange(7) - 3)
SEVERAL = Shape(np.array([0.5, 0.3, 0.2]), np.array([0.05, 0.4, 1.5]))
KINDS = (GAUSSIAN, SEVERAL)
STRAIGHT = View(np.eye(3), 0, np.zeros(3), np.zeros(2))


def potential(shape=SHAPE):
    return SlicedPotential(shape, PIXEL, EDGES)


def drawn(atoms, view=STRAIGHT, shapes=(GAUSSIAN,), kinds=None):
    of = potential()
    return of.phase(of.sliced(atoms, view, shapes, kinds))


def one(x=0.3, y=-1.1, z=0.5, weight=0.8, width=0.3):
    return Orbitals(np.array([[x, y, z]]), np.array([weight]), np.array([width]))


def frequencies():
    q = np.hypot(np.fft.fftfreq(SHAPE[0], PIXEL)[:, None], np.fft.fftfreq(SHAPE[1], PIXEL))
    return q, q < 0.5 / PIXEL * (1 - 1e-6)


def spectrum(phase, x, y):
    """The Fourier transform of the sum over all slices, about an atom at (x, y)."""
    qy, qx = np.fft.fftfreq(SHAPE[0], PIXEL)[:, None], np.fft.fftfreq(SHAPE[1], PIXEL)
    y, x = y + PIXEL * (SHAPE[0] // 2), x + PIXEL * (SHAPE[1] // 2)
    return np.fft.fft2(phase.sum(axis=0, dtype=np.float64)) * PIXEL**2 * np.exp(2j * np.pi * (qy * y + qx * x))


@pytest.mark.parametrize("z", [0.5, 1.6, -4.7, 9.0])
@pytest.mark.parametrize("width", [0.01, 0.3])
def test_slices_add_up_to_the_projected_gaussians(z, width):
    """Within the band of the pixels, and to nothing beyond it; also for an atom on a face, near an end and far beyond the ends."""
    q, inside = frequencies()
    found = spectrum(drawn(one(z=z, width=width), shapes=[SEVERAL]), 0.3, -1.1)
    parts = zip(SEVERAL.parts, SEVERAL.widths_A2, strict=True)
    wanted = 0.8 * sum(part * np.exp(-(np.pi**2) * (b + width) * q**2) for part, b in parts)
    np.testing.assert_allclose(found[inside], wanted[inside], atol=2e-4 * 0.8)
    assert np.abs(found[~inside]).max() < 1e-6
    assert drawn(one(z=z, width=width)).sum() * PIXEL**2 == pytest.approx(0.8, rel=1e-4)


@pytest.mark.parametrize("element", ["O", "Cu", "Ba", "Au"])
def test_a_tabulated_element_has_its_projected_potential(element):
    """The scattering factor of Lobato & Van Dyck, with the Debye–Waller factor of a width."""
    q, inside = frequencies()
    shape, weight = tabulated(element, 300.0)
    assert shape.parts.sum() == pytest.approx(1)
    found = spectrum(drawn(one(weight=weight, width=0.02), shapes=[shape]), 0.3, -1.1)
    table = LobatoParametrization().projected_scattering_factor(element)(q**2) * interaction_per_VA(300.0)
    wanted = table * np.exp(-(np.pi**2) * 0.02 * q**2)
    tested = inside & (q > 0.06)  # farther out in space than 8 Å there is no field
    assert np.abs(found - wanted)[tested].max() < 0.01 * table.max()
    assert (np.abs(found - wanted) / wanted)[tested].max() < 0.1


@pytest.mark.parametrize("face", EDGES[1:-1])
def test_an_atom_crosses_a_face_smoothly(face):
    """Values, first and second differences change no more where it crosses than elsewhere."""
    step = 0.02
    phases = np.array([drawn(one(z=face + step * (i - 5.5)), shapes=[SEVERAL]).astype(np.float64) for i in range(12)])
    for order, largest in ((1, 0.03), (2, 2e-3)):
        changes = np.abs(np.diff(phases, order, axis=0)).max(axis=(1, 2, 3)) / phases.max()
        assert changes.max() < largest
        assert changes[4:-4].max() < 1.5 * np.delete(changes, np.s_[4:-4]).max()


def atoms_everywhere(seed=0):
    """Inside, near faces, beyond both ends, and at the border of the field and outside it."""
    rng = np.random.default_rng(seed)
    inside = rng.uniform(-4, 4, (12, 3))
    special = np.array(
        [
            [0, 1, 1.6],
            [2, 0, -1.599],
            [1, 1, 4.9],
            [-1, 2, 8.0],
            [0, -2, -6.0],
            [7.1, 0.5, 0],
            [-7.2, 1, 1],
            [1, 6.3, 2],
            [8, 7, 0.0],
        ]
    )
    positions = np.concatenate([inside, special])
    count = len(positions)
    return Orbitals(positions, rng.uniform(0.2, 1.5, count), rng.uniform(0.05, 0.4, count)), np.arange(count) % 2


def test_drawing_and_gathering_are_adjoint():
    atoms, kinds = atoms_everywhere()
    of = potential()
    seen = of.sliced(atoms, View(rotation("y", 25.0), 0, np.zeros(3), np.array([0.2, -0.1])), KINDS, kinds)
    phase = of.phase(seen)
    other = (np.random.default_rng(1).normal(size=phase.shape) + 3 * np.sign(phase)).astype(np.float32)
    by_atom, _ = of.gradient(seen, other)
    assert float(by_atom[:, 3] @ atoms.weight) == pytest.approx(float(np.vdot(phase.astype(np.float64), other)), rel=1e-5)


def functional(atoms, view, kinds):
    """Σ (φ − φ₀)²/2 in double precision, and φ."""
    of = potential()
    seen = of.sliced(atoms, view, KINDS, kinds)
    phase = of.phase(seen)
    residual = phase - target()
    return 0.5 * float((residual.astype(np.float64) ** 2).sum()), *of.gradient(seen, residual)


def target():
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.stack([0.1 * np.sin(0.7 * x + 0.4 * y + k) for k in range(len(EDGES) - 1)]).astype(np.float32)


def check_taylor(value, start, slope):
    """The remainder falls by four when the step is halved, and what is odd of the change is the slope."""
    steps = np.array([1.0, 0.5, 0.25])
    forth, back = (np.array([value(sign * t) - start for t in steps]) for sign in (1, -1))
    order = np.polyfit(np.log(steps), np.log(np.abs(forth - steps * slope)), 1)[0]
    assert order == pytest.approx(2, abs=0.25)
    assert (forth - back)[-1] / (2 * steps[-1]) == pytest.approx(slope, rel=2e-3)


COORDINATES = {"x": 0, "y": 1, "z": 2, "W": 3, "B": 4}
SIZES = {"x": 0.05, "y": 0.05, "z": 0.05, "W": 0.2, "B": 0.01}
TILTED = View(rotation("y", 25.0) @ rotation("x", 10.0), 0, np.zeros(3), np.array([0.13, -0.07]))


def moved(atoms, change):
    return Orbitals(atoms.positions + change[:, :3], atoms.weight + change[:, 3], atoms.width + change[:, 4])


@pytest.mark.parametrize("name", COORDINATES)
def test_the_gradient_of_atoms_passes_the_taylor_test(name):
    """One-sided remainders fall by four when the step is halved, for every coordinate apart."""
    atoms, kinds = atoms_everywhere()
    change = np.zeros((len(atoms), 5))
    change[:, COORDINATES[name]] = SIZES[name] * np.random.default_rng(2).choice([-1, 1], len(atoms))
    start, by_atom, _ = functional(atoms, TILTED, kinds)
    check_taylor(lambda t: functional(moved(atoms, t * change), TILTED, kinds)[0], start, float((by_atom * change).sum()))


@pytest.mark.parametrize("name", COORDINATES)
def test_the_gradient_of_each_atom_is_its_own(name):
    """Against a central difference, atom by atom: a derivative that is booked on a wrong atom hides in no sum."""
    atoms, kinds = atoms_everywhere()
    _, by_atom, _ = functional(atoms, TILTED, kinds)
    column = COORDINATES[name]
    found = np.empty(len(atoms))
    for i in range(len(atoms)):
        change = np.zeros((len(atoms), 5))
        change[i, column] = 0.02 * SIZES[name]
        found[i] = (functional(moved(atoms, change), TILTED, kinds)[0] - functional(moved(atoms, -change), TILTED, kinds)[0]) / (
            0.04 * SIZES[name]
        )
    np.testing.assert_allclose(by_atom[:, column], found, atol=2e-3 * np.abs(found).max(), rtol=5e-3)


@pytest.mark.parametrize("number", range(5), ids=["drift x", "drift y", "turn x", "turn y", "turn z"])
def test_the_gradient_of_a_view_passes_the_taylor_test(number):
    atoms, kinds = atoms_everywhere()
    start, _, by_view = functional(atoms, TILTED, kinds)
    change = np.zeros(5)
    change[number] = 0.05 if number < 2 else 0.005
    check_taylor(
        lambda t: functional(atoms, TILTED.moved(t * change[:2], t * change[2:]), kinds)[0], start, float(by_view @ change)
    )


def test_atoms_under_a_rotation_are_the_rotated_atoms():
    rng = np.random.default_rng(4)
    turn = random_rotation(rng)
    atoms = Orbitals(CHIRAL_A, np.array([0.5, 0.7, 0.9, 1.1]), np.full(4, 0.2))
    turned = Orbitals(CHIRAL_A @ turn.T, atoms.weight, atoms.width)
    under = drawn(atoms, View(turn, 0, np.zeros(3), np.zeros(2)))
    np.testing.assert_allclose(under, drawn(turned), atol=1e-6)
    mirrored = Orbitals(turned.positions * [1, 1, -1], atoms.weight, atoms.width)
    assert np.abs(under - drawn(mirrored)).max() > 0.1 * under.max()


def test_x_is_the_last_axis_and_z_the_first():
    phase = drawn(one(x=2.0, y=-1.2, z=2.4))
    assert np.unravel_index(phase.argmax(), phase.shape) == (4, SHAPE[0] // 2 - 3, SHAPE[1] // 2 + 5)


def r_factors(model, atoms, kinds=None):
    views = [View(r, 0, np.zeros(3), np.zeros(2)) for r in model.forward.series.rotations]
    return model.r_factors(atoms, views, kinds)


def few_tilts(series, every):
    return dataclasses.replace(series, data=series.data[::every], rotations=series.rotations[::every])


def test_patterns_are_those_of_an_independent_multislice():
    """Gaussian atoms of 400 V Å³ in `contract_suite`; in depth, or in x, mirrored they fit badly."""
    series, grid = small_problem("4dstem")
    weight = 400.0 * interaction_per_VA(300.0)
    model = PatternModel(few_tilts(series, 5), grid, [GAUSSIAN], 1.0)
    found, *wrong = (
        r_factors(model, Orbitals(CHIRAL_A * mirror, np.full(4, weight), np.full(4, 2 * SIGMA_A**2)))
        for mirror in ([1, 1, 1], [1, 1, -1], [-1, 1, 1], [1, -1, 1])
    )
    assert found.max() < 0.003
    for mirrored in wrong:
        assert mirrored.mean() > 5 * found.mean()


def native_series(atoms, rotations):
    acquisition = Acquisition(
        mode="4dstem",
        tilts=Tilts(angles_deg=(0.0,)),
        scan=Scan(step_A=1.6, positions=(8, 8)),
        camera=Camera(pixels=(32, 32)),
        detector=None,
        frozen_phonons=None,
    )
    settings = Simulation(engine="native", sampling_A=0.1, slice_A=1.0)
    patterns = [simulate(atoms, turn, Microscope(defocus_A=-60.0), settings, acquisition, seed=1)["4dstem"] for turn in rotations]
    microscope = Microscope(defocus_A=-60.0)
    known = Optics(microscope.energy_keV, microscope.semiangle_mrad, {})
    return TiltSeries(
        "4dstem", np.stack(patterns).astype(np.float32), rotations, 1.6, known, np.array([-60.0]), reciprocal_step_per_A=1 / 12.8
    )


def test_patterns_are_those_of_the_native_simulation():
    """Elements with tabulated potentials, tilted: no other hand, no other sign of the depth, no other element fits."""
    specimen = Atoms("CuAuCuAu", CHIRAL_A)
    series = native_series(specimen, single_axis([0.0, 35.0]))
    shapes, weights = zip(*(tabulated(name, 300.0) for name in ("Cu", "Au")), strict=True)
    model = PatternModel(series, Grid((32, 32, 32), 0.4), shapes, 1.0, finer=2)
    kinds = np.array([0, 1, 0, 1])

    def misfit(positions, kinds=kinds):
        return r_factors(model, Orbitals(positions, np.array(weights)[kinds], np.full(4, 0.001)), kinds).max()

    right = misfit(CHIRAL_A)
    assert right < 0.01
    assert misfit(CHIRAL_A * [1, 1, -1]) > 4 * right
    assert misfit(CHIRAL_A * [-1, 1, 1]) > 4 * right
    assert misfit(CHIRAL_A, 1 - kinds) > 4 * right


def test_an_element_without_a_tabulated_potential_is_named():
    with pytest.raises(BenchsuiteError, match=r"Og has no tabulated potential; there are \d+ elements, from H to \w+"):
        tabulated("Og", 300.0)
