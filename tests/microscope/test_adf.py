"""ADF images of a few atoms, where the answer is known: positions, handedness, focus, averages, and abTEM used plainly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms
from scipy.ndimage import center_of_mass

from benchsuite.contract.settings import Acquisition, AnnularDetector, FrozenPhonons, Microscope, Scan, Simulation, Tilts
from benchsuite.errors import PhysicsError
from benchsuite.microscope import simulate, simulate_cost
from benchsuite.microscope.cost import STARTUP_S
from benchsuite.microscope.scattering import thermal_configurations
from benchsuite.physics.rotations import random_rotation

CHIRAL = Atoms("Au4", [[2.4, 0.3, -0.4], [-0.6, 2.0, 0.7], [0.2, -0.8, 2.6], [-1.5, -1.2, -0.9]])
SCAN = Scan(step_A=0.4, positions=(24, 24))
DETECTOR = AnnularDetector(inner_mrad=40.0, outer_mrad=60.0)
MICROSCOPE = Microscope(semiangle_mrad=25.0)
SIMULATION = Simulation(sampling_A=0.1, slice_A=1.6, margin_A=1.0)


def simulated(atoms: Atoms, rotation: np.ndarray | None = None, **changed: Any) -> np.ndarray:
    optics, simulation = changed.pop("microscope", MICROSCOPE), changed.pop("simulation", SIMULATION)
    seed = changed.pop("seed", 0)
    settings: dict[str, Any] = {"tilts": Tilts(angles_deg=(0.0,)), "scan": SCAN, "detector": DETECTOR} | changed
    turn = np.eye(3) if rotation is None else rotation
    return simulate(atoms, turn, optics, simulation, Acquisition(**settings), seed=seed)["adf"]


def acquisition(phonons: FrozenPhonons | None = None) -> Acquisition:
    return Acquisition(tilts=Tilts(angles_deg=(0.0,)), frozen_phonons=phonons)


def drawn(positions: np.ndarray, scan: Scan, sigma: float = 0.3) -> np.ndarray:
    """An image of Gaussian atoms at laboratory positions, by the convention of pixel coordinates alone."""
    ny, nx = scan.positions
    x, y = scan.step_A * (np.arange(nx) - nx // 2), scan.step_A * (np.arange(ny) - ny // 2)
    image = np.zeros((ny, nx))
    for px, py, _ in positions:
        image += np.exp(-((x - px) ** 2 + (y[:, None] - py) ** 2) / (2 * sigma**2))
    return image


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


@pytest.mark.parametrize("positions", [(24, 24), (21, 24), (24, 19), (25, 25)])
@pytest.mark.parametrize("where", [(0.0, 0.0), (1.2, -0.8), (-1.37, 0.55)])
def test_an_atom_is_imaged_where_it_is(positions: tuple[int, int], where: tuple[float, float]) -> None:
    scan = Scan(step_A=0.4, positions=positions)
    image = simulated(Atoms("Au", [[*where, 0.3]]), scan=scan)[0]
    assert image.shape == positions
    assert image.dtype == np.float32
    ny, nx = positions
    row, column = center_of_mass(np.where(image > 0.05 * image.max(), image, 0))
    assert 0.4 * (column - nx // 2) == pytest.approx(where[0], abs=0.03)
    assert 0.4 * (row - ny // 2) == pytest.approx(where[1], abs=0.03)


@pytest.mark.parametrize("method", ["multislice", "prism"])
@pytest.mark.parametrize("seed", range(2))
def test_handedness_end_to_end(method: str, seed: int) -> None:
    rotation = random_rotation(np.random.default_rng(seed))
    image = simulated(CHIRAL, rotation, simulation=SIMULATION.model_copy(update={"method": method, "prism_interpolation": 2}))[0]
    right = correlation(image, drawn(CHIRAL.positions @ rotation.T, SCAN))
    mirrors = [np.diag(signs) for signs in ([-1, 1, 1], [1, -1, 1], [1, 1, -1], [-1, -1, 1], [-1, -1, -1])]
    wrong = [correlation(image, drawn(CHIRAL.positions @ mirror @ rotation.T, SCAN)) for mirror in mirrors]
    wrong.append(correlation(image, drawn(CHIRAL.positions @ rotation, SCAN)))
    wrong.append(correlation(image.T, drawn(CHIRAL.positions @ rotation.T, SCAN)))
    assert right > 0.85
    assert max(wrong) < 0.5


def test_defocused_abtem_probe_focuses_after_as_much_propagation() -> None:
    """The convention itself: Δf = −C1, positive underfocus, crossover Δf further down the beam."""
    import abtem

    box, pixels, defocus = 12.8, 128, 60.0
    optics: dict[str, Any] = {"energy": 300e3, "semiangle_cutoff": 25, "extent": box, "gpts": pixels}
    wave: dict[float, Any] = {d: abtem.Probe(defocus=d, **optics).build(lazy=False).array for d in (0.0, defocus)}
    q = np.fft.fftfreq(pixels, box / pixels)
    for sign, in_focus in ((1, True), (-1, False)):
        propagator = np.exp(-1j * np.pi * 0.0196875 * sign * defocus * (q[:, None] ** 2 + q**2))
        carried = np.fft.ifft2(np.fft.fft2(wave[defocus]) * propagator)
        error = np.abs(np.abs(carried) - np.abs(wave[0.0])).max() / np.abs(wave[0.0]).max()
        assert bool(error < 1e-3) is in_focus


@pytest.mark.parametrize(
    ("plane", "height", "best"), [("centre", 0.0, 0.0), ("centre", 3.0, 3.0), ("centre", -3.0, -3.0), ("entrance", 0.0, 5.4)]
)
def test_an_atom_is_brightest_in_focus(plane: Any, height: float, best: float) -> None:
    """Defocus counts down the beam (+z) from the plane that the scenario names; half a box of 10.8 Å to its centre.

    A light atom: the lens action of a heavy one would move the best focus by an Å.
    """
    defoci = np.arange(-18.0, 19.0, 3.0) + round(best)
    peaks = simulated(
        Atoms("C", [[0.0, 0.0, height]]),
        microscope=Microscope(semiangle_mrad=60.0, defocus_A=tuple(defoci), focal_plane=plane),
        simulation=Simulation(sampling_A=0.07, slice_A=0.52, margin_A=1.0),
        detector=AnnularDetector(inner_mrad=62.0, outer_mrad=90.0),
        scan=Scan(step_A=1.2, positions=(9, 9)),
    )[:, 4, 4]
    assert (defoci * peaks).sum() / peaks.sum() == pytest.approx(best, abs=0.4)
    assert peaks[0] < 0.1 * peaks.max()


def test_focus_images_are_those_taken_one_by_one() -> None:
    both = simulated(CHIRAL, microscope=Microscope(semiangle_mrad=25.0, defocus_A=(-20.0, 30.0)))
    assert both.shape == (2, 24, 24)
    for image, defocus in zip(both, (-20.0, 30.0), strict=True):
        alone = simulated(CHIRAL, microscope=Microscope(semiangle_mrad=25.0, defocus_A=defocus))[0]
        np.testing.assert_array_equal(image, alone)
    assert correlation(both[0], both[1]) < 0.999


def test_skipped_vacuum_changes_nothing() -> None:
    """Against abTEM used plainly on every slice of the box."""
    import abtem

    box, slices = 9.6, 6
    atoms = Atoms(CHIRAL.symbols, CHIRAL.positions * [1, 1, 0.4] + box / 2, cell=[box] * 3)
    potential: Any = abtem.Potential(atoms, gpts=96, slice_thickness=box / slices, parametrization="kirkland").build(lazy=False)
    probe = abtem.Probe(energy=300e3, semiangle_cutoff=25, defocus=box / 2 - box / slices / 2)
    probe.grid.match(potential)
    grid = abtem.GridScan(start=(0, 0), end=(box, box), gpts=24)
    measured: Any = probe.scan(potential, scan=grid, detectors=abtem.AnnularDetector(40, 60), lazy=False)
    flat = Atoms(CHIRAL.symbols, CHIRAL.positions * [1, 1, 0.4])
    np.testing.assert_allclose(simulated(flat)[0], measured.array.T, atol=2e-3 * measured.array.max())


def test_prism_agrees_with_multislice() -> None:
    scan = Scan(step_A=0.4, positions=(32, 32))
    direct = simulated(CHIRAL, scan=scan)[0]
    prism = simulated(CHIRAL, scan=scan, simulation=SIMULATION.model_copy(update={"method": "prism", "prism_interpolation": 2}))[0]
    assert np.abs(prism - direct).max() < 0.05 * direct.max()
    assert np.sqrt(((prism - direct) ** 2).mean()) < 0.01 * direct.max()
    assert prism.sum() == pytest.approx(direct.sum(), rel=0.02)


def test_heavier_atoms_scatter_more_and_fractions_stay_fractions() -> None:
    totals = [simulated(Atoms(symbol, [[0, 0, 0]]))[0].sum() for symbol in ("O", "Cu", "Ba", "Au")]
    assert totals == sorted(totals)
    assert 0 < simulated(CHIRAL).max() < 0.3


def test_phonons_are_averaged_over_the_configurations_of_the_seed() -> None:
    phonons = FrozenPhonons(count=2, rms_A={"Au": 0.15})
    averaged = simulated(CHIRAL, frozen_phonons=phonons, seed=7)
    np.testing.assert_array_equal(averaged, simulated(CHIRAL, frozen_phonons=phonons, seed=7))
    assert np.abs(averaged - simulated(CHIRAL, frozen_phonons=phonons, seed=8)).max() > 0.02 * averaged.max()
    displaced = list(thermal_configurations(CHIRAL, CHIRAL.positions, phonons, 7))
    alone = [simulated(Atoms(CHIRAL.symbols, positions)) for positions in displaced]
    np.testing.assert_allclose(averaged, np.mean(alone, axis=0), atol=1e-5 * averaged.max())


def test_thermal_displacements_have_their_rms_per_axis_and_element() -> None:
    atoms = Atoms("CuAu" * 2000, np.zeros((4000, 3)))
    one, two = thermal_configurations(atoms, atoms.positions, FrozenPhonons(count=2, rms_A={"Cu": 0.1, "Au": 0.05}), 1)
    np.testing.assert_allclose(one[::2].std(axis=0), 0.1, rtol=0.07)
    np.testing.assert_allclose(one[1::2].std(axis=0), 0.05, rtol=0.07)
    assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) < 0.05
    assert next(thermal_configurations(atoms, atoms.positions, None, 1)) is atoms.positions


def test_an_element_without_a_thermal_displacement_is_named() -> None:
    with pytest.raises(PhysicsError, match="no thermal displacement for Au"):
        simulated(CHIRAL, frozen_phonons=FrozenPhonons(rms_A={"Cu": 0.1}))


def test_a_particle_too_large_is_refused_never_wrapped() -> None:
    stretched = Atoms("Au2", [[-4.0, 0, 0], [4.0, 0, 0]])
    with pytest.raises(PhysicsError, match="does not fit its box"):
        simulated(stretched)
    with pytest.raises(PhysicsError, match="carried an atom out of the box"):
        simulated(
            Atoms("Au40", np.tile([[4.7, 0, 0]], (40, 1))),
            simulation=SIMULATION.model_copy(update={"margin_A": 0.0}),
            frozen_phonons=FrozenPhonons(rms_A={"Au": 0.2}),
        )


def test_aberrations_reach_the_probe_with_directions_in_degrees() -> None:
    atom = Atoms("Au", [[0.0, 0.0, 0.0]])
    images = []
    for angle in (0.0, 90.0, 180.0):
        astigmatism = {"C12": 60.0, "phi12_deg": angle}
        images += [simulated(atom, microscope=Microscope(semiangle_mrad=25.0, defocus_A=40.0, aberrations_A=astigmatism))[0]]
    assert correlation(images[0], images[1]) < 0.95
    np.testing.assert_allclose(images[1][1:, 1:], images[0][1:, 1:].T, atol=0.01 * images[0].max())
    np.testing.assert_allclose(images[2], images[0], atol=1e-3 * images[0].max())


def test_predicted_cost_grows_with_the_work() -> None:
    simulation, phonons = Simulation(), FrozenPhonons(count=8, rms_A={"Au": 0.1})
    base = simulate_cost(Microscope(), simulation, acquisition())
    averaged = simulate_cost(Microscope(), simulation, acquisition(phonons))
    assert averaged.seconds - STARTUP_S == pytest.approx(8 * (base.seconds - STARTUP_S))
    focal = simulate_cost(Microscope(defocus_A=(0.0, 10.0)), simulation, acquisition())
    assert focal.seconds - STARTUP_S == pytest.approx(2 * (base.seconds - STARTUP_S))
    assert simulate_cost(Microscope(), Simulation(method="prism"), acquisition()).seconds < 0.3 * base.seconds
    assert base.bytes < simulate_cost(Microscope(), Simulation(method="prism", prism_interpolation=1), acquisition()).bytes


def test_antithetic_phonons_average_to_the_rest_positions() -> None:
    phonons = FrozenPhonons(count=4, rms_A={"Au": 0.1}, antithetic=True)
    displaced = np.stack(list(thermal_configurations(CHIRAL, CHIRAL.positions, phonons, 7))) - CHIRAL.positions
    np.testing.assert_allclose(displaced[1::2], -displaced[::2], atol=1e-12)
    assert not np.allclose(displaced[0], displaced[2])
    assert 0.05 < displaced.std() < 0.2
    with pytest.raises(ValueError, match="count 3 must be even"):
        FrozenPhonons(count=3, rms_A={"Au": 0.1}, antithetic=True)
