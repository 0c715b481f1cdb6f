"""Local orbitals: drawn where and as wide as they are, with exact gradients, whatever the order of atoms and threads."""

from __future__ import annotations

import numpy as np
import pytest

from benchsuite.data import Optics
from benchsuite.physics.gaussians.atoms import Orbitals, View
from benchsuite.physics.gaussians.engine_numba import gather, in_slices, splat
from benchsuite.physics.gaussians.fine_grid import FineGrid
from benchsuite.physics.gaussians.image_model import SPREAD, OrbitalModel
from benchsuite.physics.gaussians.probe_stack import ProbeStack, onto_simplex
from benchsuite.physics.probe import aperture_function, probe_transfer
from benchsuite.physics.rotations import rotation

OPTICS = Optics(300.0, 25.0, {"C12": 15.0, "phi12_deg": 30.0})
SHAPE, STEP = (34, 40), 0.34
DEPTHS = 4.0 * (np.arange(5) - 2)


def model(interaction="rigid", foci=(0.0,), oversampling=2, threads=1, depths=DEPTHS, optics=OPTICS):
    if interaction == "direct":
        return OrbitalModel(FineGrid(SHAPE, STEP, 1), threads=threads)
    grid = FineGrid(SHAPE, STEP, oversampling)
    return OrbitalModel(grid, ProbeStack(grid, optics, foci, depths, SPREAD * grid.pixel_A**2), threads)


def some_atoms(count=20, seed=0):
    rng = np.random.default_rng(seed)
    return Orbitals(rng.uniform(-4, 4, (count, 3)), rng.uniform(0.5, 1.5, count), rng.uniform(0.05, 0.3, count))


def some_views(foci=1):
    rng = np.random.default_rng(5)
    return [View(rotation("y", 20.0 * i - 40), i % foci, rng.normal(0, 0.01, 3), rng.normal(0, 0.1, 2)) for i in range(5)]


def moved(atoms, change, length=1.0):
    return Orbitals(
        atoms.positions + length * change[:, :3], atoms.weight + length * change[:, 3], atoms.width + length * change[:, 4]
    )


def images(of, atoms, views):
    return np.stack([of.image(atoms, view) for view in views])


def taylor_slope(loss, slope, steps=(1.0, 0.5, 0.25, 0.125)):
    """The order in the step at which loss(step) − loss(0) − step · slope falls."""
    start = loss(0.0)
    errors = [abs(loss(step) - start - step * slope) for step in steps]
    return np.polyfit(np.log(steps), np.log(errors), 1)[0]


def fitted_slope(loss):
    """The derivative at 0 of a quartic through values on both sides: rounding averages out."""
    steps = np.linspace(-1, 1, 17)
    return np.polyfit(steps, [loss(step) for step in steps], 4)[-2]


def test_gaussians_are_drawn_and_gathered_as_by_brute_force():
    rng = np.random.default_rng(0)
    u, v, peak, width = rng.uniform(-2, 34, 30), rng.uniform(-2, 26, 30), rng.normal(size=30), rng.uniform(1, 20, 30)
    y, x = np.mgrid[:24, :32]
    squared = (x - u[:, None, None]) ** 2 + (y - v[:, None, None]) ** 2
    unit = np.exp(-squared / width[:, None, None])
    plane = np.zeros((24, 32), np.float32)
    atoms = np.arange(30)
    splat(plane, atoms, u, v, peak, width)
    np.testing.assert_allclose(plane, (peak[:, None, None] * unit).sum(axis=0), atol=1e-4)
    other = rng.normal(size=plane.shape).astype(np.float32)
    sums = np.zeros((30, 4))
    gather(other, atoms, u, v, width, sums)
    wanted = [(factor * unit * other).sum(axis=(1, 2)) for factor in (1, x - u[:, None, None], y - v[:, None, None], squared)]
    np.testing.assert_allclose(sums.T, wanted, atol=2e-3)


@pytest.mark.parametrize("centre", [np.nan, np.inf, -np.inf, 1e12, -1e12])
def test_atoms_that_are_nowhere_are_not_drawn(centre):
    """A fit that diverges has them, and has to be able to say so."""
    plane, sums, inside, width = np.zeros((24, 32), np.float32), np.ones((1, 4)), np.array([5.0]), np.array([3.0])
    for u, v in ((np.array([centre]), inside), (inside, np.array([centre]))):
        splat(plane, np.arange(1), u, v, np.ones(1), width)
        assert not plane.any()
        gather(np.ones_like(plane), np.arange(1), u, v, width, sums)
        assert not np.nan_to_num(sums).any()


def test_splat_and_gather_are_adjoint():
    rng = np.random.default_rng(1)
    u, v, width, peak = rng.uniform(0, 32, 50), rng.uniform(0, 24, 50), rng.uniform(1, 9, 50), rng.normal(size=50)
    plane, other = np.zeros((24, 32), np.float32), rng.normal(size=(24, 32)).astype(np.float32)
    splat(plane, np.arange(50), u, v, peak, width)
    sums = np.zeros((50, 4))
    gather(other, np.arange(50), u, v, width, sums)
    assert float(np.vdot(plane, other)) == pytest.approx(float(peak @ sums[:, 0]), rel=1e-5)


def test_atoms_are_sorted_into_slices():
    order, start = in_slices(np.array([-9.0, 3.9, -4.1, 0.0, 11.0, -5.9]), -6.0, 4.0, 3)
    assert [order[start[k] : start[k + 1]].tolist() for k in range(3)] == [[0, 2, 5], [3], [1, 4]]


def test_direct_images_are_gaussians_at_the_probe_positions():
    atoms = Orbitals(np.array([[1.1, -2.3, 3.0]]), np.array([2.0]), np.array([0.5]))
    view = View(rotation("y", 30), 0, np.zeros(3), np.array([0.2, -0.1]))
    x, y, _ = view.rotation @ atoms.positions[0] + [0.2, -0.1, 0]
    row, column = np.ogrid[: SHAPE[0], : SHAPE[1]]
    squared = (STEP * (column - SHAPE[1] // 2) - x) ** 2 + (STEP * (row - SHAPE[0] // 2) - y) ** 2
    wanted = 2.0 / (np.pi * 0.5) * np.exp(-squared / 0.5)
    np.testing.assert_allclose(model("direct").image(atoms, view), wanted, atol=1e-5)


@pytest.mark.parametrize("width", [1e-4, 0.05, 0.4])
def test_an_image_is_the_probe_of_the_depth_convolved_with_the_atom(width):
    """Against a calculation eight times finer, in which even a narrow Gaussian is one factor in Fourier space."""
    atoms = Orbitals(np.array([[0.63, -1.21, 4.0]]), np.array([1.7]), np.array([width]))
    grid = FineGrid((64, 64), STEP, 2)
    of = OrbitalModel(grid, ProbeStack(grid, OPTICS, (10.0,), DEPTHS, SPREAD * grid.pixel_A**2))
    found = of.image(atoms, View(np.eye(3), 0, np.zeros(3), np.zeros(2)))
    fine, side = STEP / 8, 8 * 64
    q = np.fft.fftfreq(side, fine)
    probe = np.abs(np.fft.ifft2(aperture_function(OPTICS, 10.0 - 4.0, side, fine, 0.0196875))) ** 2
    spectrum = np.fft.fft2(probe / probe.sum()) * 1.7 * np.exp(-(np.pi**2) * width * (q[:, None] ** 2 + q**2))
    spectrum = spectrum * np.exp(-2j * np.pi * (q * 0.63 + q[:, None] * -1.21)) / fine**2
    wanted = np.fft.fftshift(np.fft.ifft2(spectrum).real)[::8, ::8]
    np.testing.assert_allclose(found, wanted, atol=2e-3 * wanted.max())


@pytest.mark.parametrize("interaction", ["direct", "rigid"])
def test_the_gradient_of_the_atoms_passes_the_taylor_test(interaction):
    of, atoms, views = model(interaction, foci=(0.0, 12.0)), some_atoms(), some_views(2)
    measured = images(of, some_atoms(seed=1), views)
    found = of.gradient(atoms, views, measured)
    change = np.random.default_rng(2).normal(size=(len(atoms), 5)) * [0.02, 0.02, 0.02, 0.1, 0.01]
    slope = taylor_slope(lambda t: of.gradient(moved(atoms, change, t), views, measured).loss.sum(), (found.atoms * change).sum())
    assert slope == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("column", range(5))
@pytest.mark.parametrize("interaction", ["direct", "rigid"])
def test_the_gradient_of_a_view_is_the_first_term_of_the_expansion(interaction, column):
    """With one slice, since the image jumps where an atom changes its slice."""
    of, atoms = model(interaction, depths=np.zeros(1)), some_atoms()
    views = [View(view.corrected(), 0, np.zeros(3), view.drift) for view in some_views()]
    measured = images(of, some_atoms(seed=1), views)
    found = of.gradient(atoms, views, measured).views
    turn = np.zeros(5)
    turn[column] = (0.05, 0.05, 0.01, 0.01, 0.01)[column]

    def loss(t):
        turned = [view.moved(t * turn[:2], t * turn[2:]) for view in views]
        return of.gradient(atoms, turned, measured).loss.sum()

    assert fitted_slope(loss) == pytest.approx((found @ turn).sum(), rel=0.01, abs=1e-3 * np.abs(found @ turn).sum())


def test_the_gradient_of_the_probes_passes_the_taylor_test():
    of, atoms, views = model(foci=(0.0, 12.0)), some_atoms(), some_views(2)
    measured = images(of, some_atoms(seed=1), views)
    found = of.gradient(atoms, views, measured, with_probes=True)
    start = [transfer.copy() for transfer in of.probes.transfer]
    rng = np.random.default_rng(3)
    inside = of.probes.window_of(np.arange(np.prod(of.grid.shape)).reshape(of.grid.shape))
    window = np.isin(np.arange(np.prod(of.grid.shape)), inside).reshape(of.grid.shape)
    bumps = [rng.normal(size=(len(DEPTHS), *of.grid.shape)) * 2e-4 * window for _ in start]
    changes = [(np.fft.rfft2(bump) * of.probes.widening).astype(np.complex64) for bump in bumps]
    slope = sum(
        float((found.probes[stack].gradient * np.stack([of.probes.window_of(one) for one in bump])).sum())
        for stack, bump in enumerate(bumps)
    )

    def loss(t):
        for stack, change in enumerate(changes):
            of.probes.transfer[stack] = start[stack] + np.float32(t) * change
        return of.gradient(atoms, views, measured).loss.sum()

    assert taylor_slope(loss, slope) == pytest.approx(2, abs=0.1)


def test_order_of_atoms_and_number_of_threads_do_not_matter():
    atoms, views = some_atoms(200), some_views()
    measured = images(model(), some_atoms(200, seed=1), views)
    one, two = (model(threads=threads).gradient(atoms, views, measured, with_probes=True) for threads in (1, 2))
    np.testing.assert_array_equal(one.atoms, two.atoms)
    np.testing.assert_array_equal(one.probes[0].gradient, two.probes[0].gradient)
    order = np.random.default_rng(4).permutation(200)
    turned = model().gradient(atoms.kept(order), views, measured)
    np.testing.assert_allclose(turned.atoms, one.atoms[order], rtol=0, atol=1e-5 * np.abs(one.atoms).max())
    np.testing.assert_allclose(turned.loss, one.loss, rtol=1e-6)


def test_a_probe_has_unit_sum_and_is_sharpest_in_its_focus():
    stack = ProbeStack(FineGrid((64, 64), 0.17, 1), OPTICS, (8.0,), DEPTHS, 0.0)
    np.testing.assert_allclose([transfer[0, 0].real for transfer in stack.transfer[0]], 1, rtol=1e-5)
    np.testing.assert_allclose(stack.sharpest_depths_A(), 8.0, atol=0.5)
    peaks = stack.windows[0].max(axis=(1, 2))
    assert DEPTHS[peaks.argmax()] == 8.0
    assert probe_transfer(OPTICS, 0.0, (64, 60), 0.17).shape == (64, 31)


def test_the_simplex_projection_is_the_nearest_point():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(6, 7))
    nearest = onto_simplex(values, 2.0)
    assert nearest.min() >= 0
    assert nearest.sum() == pytest.approx(2)
    for _ in range(200):
        other = rng.exponential(size=values.shape) * (rng.random(values.shape) < 0.3)
        other *= 2.0 / other.sum()
        assert ((nearest - values) ** 2).sum() <= ((other - values) ** 2).sum() + 1e-12


def test_following_probes_lowers_the_loss_and_keeps_them_intensities():
    of, atoms, views = model(foci=(0.0,)), some_atoms(100), some_views()
    truth = model(foci=(6.0,))
    measured = images(truth, atoms, views)
    losses = []
    for _ in range(10):
        found = of.gradient(atoms, views, measured, with_probes=True)
        losses.append(found.loss.sum())
        of.probes.follow(0, found.probes[0].gradient, found.probes[0].power, len(views))
    assert (np.diff(losses) < 0).all()
    assert losses[-1] < 0.3 * losses[0]
    assert min(window.min() for window in of.probes.windows) >= 0
    rebuilt = model(foci=(0.0,)).probes
    rebuilt.restore(0, of.probes.windows[0])
    np.testing.assert_allclose(rebuilt.transfer[0], of.probes.transfer[0], atol=1e-4 * np.abs(of.probes.transfer[0]).max())
