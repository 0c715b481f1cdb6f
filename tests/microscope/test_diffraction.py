"""4D-STEM patterns: where things go, both engines, averages, virtual images, memory on disk."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms

from benchsuite.contract.settings import Acquisition, AnnularDetector, Camera, FrozenPhonons, Microscope, Scan, Simulation, Tilts
from benchsuite.errors import PhysicsError
from benchsuite.microscope import simulate
from benchsuite.microscope.engines.abtem import cropped
from benchsuite.microscope.engines.native import central
from benchsuite.physics.rotations import random_rotation

CHIRAL = Atoms("Au4", [[1.4, 0.3, -0.4], [-0.6, 1.6, 0.7], [0.2, -0.8, 1.6], [-1.5, -1.2, -0.9]])
ANNULUS = AnnularDetector(inner_mrad=30.0, outer_mrad=45.0)


def simulated(
    atoms: Atoms = CHIRAL, rotation: np.ndarray | None = None, engine: str = "native", **changed: Any
) -> dict[str, np.ndarray]:
    acquisition = {
        "mode": "4dstem",
        "tilts": Tilts(angles_deg=(0.0,)),
        "scan": Scan(step_A=1.6, positions=(8, 8)),
        "camera": Camera(pixels=(30, 32)),
        "detector": ANNULUS,
    }
    acquisition |= {key: value for key, value in changed.items() if key in Acquisition.model_fields}
    simulation = Simulation(engine=engine, sampling_A=0.1, slice_A=1.6, margin_A=2.0, window_A=changed.get("window_A"))
    microscope = changed.get("microscope", Microscope(defocus_A=-60.0))
    turn = np.eye(3) if rotation is None else rotation
    more = {"seed": 3, "drift_A": changed.get("drift")}
    return dict(simulate(atoms, turn, microscope, simulation, Acquisition(**acquisition), **more))


@pytest.mark.parametrize("positions", [(8, 8), (7, 8), (8, 5)])
def test_the_native_engine_gives_what_abtem_gives(positions: tuple[int, int]) -> None:
    scan = Scan(step_A=1.6, positions=positions)
    theirs, ours = (simulated(engine=engine, scan=scan) for engine in ("abtem", "native"))
    assert theirs["4dstem"].shape == ours["4dstem"].shape == (1, *positions, 30, 32)
    box = 1.6 * max(positions)
    y, x = (1.6 * (np.arange(n) - n // 2) for n in positions)
    inside = np.maximum(np.abs(y[:, None]), np.abs(x)) + 4.5 < box / 2 + 0.5  # abTEM repeats the specimen beyond the box
    assert inside.any()
    for name in ("4dstem", "adf"):
        difference = np.abs(theirs[name][0] - ours[name][0])[inside]
        assert difference.max() < 2e-3 * theirs[name].max(), name


@pytest.mark.parametrize("engine", ["abtem", "native"])
def test_the_annulus_may_be_left_out(engine: str) -> None:
    with_annulus, without = simulated(engine=engine), simulated(engine=engine, detector=None)
    assert set(without) == {"4dstem"}
    np.testing.assert_allclose(without["4dstem"], with_annulus["4dstem"], rtol=0, atol=1e-7 * without["4dstem"].max() + 1e-12)


def test_patterns_hold_the_electrons_that_the_camera_sees() -> None:
    vacuum = simulated(Atoms("H", [[0.0, 0.0, 0.0]]), camera=Camera(pixels=(32, 32)))["4dstem"]
    np.testing.assert_allclose(vacuum.sum(axis=(-1, -2)), 1.0, atol=2e-3)
    specimen = simulated()["4dstem"].sum(axis=(-1, -2))
    assert 0.7 < specimen.min() < specimen.max() <= 1.0 + 1e-4


def test_the_virtual_image_is_the_image() -> None:
    microscope = Microscope(defocus_A=0.0)
    scan = Scan(step_A=0.6, positions=(20, 20))
    virtual = simulated(scan=scan, microscope=microscope, camera=Camera(pixels=(16, 16)))["adf"]
    images = Acquisition(tilts=Tilts(angles_deg=(0.0,)), scan=scan, detector=ANNULUS)
    image = simulate(CHIRAL, np.eye(3), microscope, Simulation(sampling_A=0.1, slice_A=1.6), images)["adf"]
    assert np.abs(virtual - image).max() < 0.02 * image.max()


def test_a_rotated_specimen_is_scanned_rotated() -> None:
    turn = random_rotation(np.random.default_rng(2))
    atoms = CHIRAL.copy()
    atoms.positions = atoms.positions @ turn.T
    np.testing.assert_allclose(simulated(rotation=turn)["4dstem"], simulated(atoms)["4dstem"], atol=1e-7)


def test_drift_moves_the_specimen_in_the_scan() -> None:
    still = simulated(Atoms("Au", [[1.6, 0.0, 0.0]]))["4dstem"]
    drifted = simulated(Atoms("Au", [[0.0, 0.0, 0.0]]), drift=np.array([[1.6, 0.0]]))["4dstem"]
    np.testing.assert_allclose(drifted, still, rtol=0, atol=2e-4 * still.max())


def test_phonons_are_averaged_and_seeded() -> None:
    phonons = FrozenPhonons(count=3, rms_A={"Au": 0.1})
    first, second = (simulated(frozen_phonons=phonons)["4dstem"] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - simulated()["4dstem"]).max() > 1e-3 * first.max()
    with pytest.raises(PhysicsError, match="no thermal displacement for Au"):
        simulated(frozen_phonons=FrozenPhonons(count=1, rms_A={"Cu": 0.1}))


def test_a_focal_series_has_a_scan_per_defocus() -> None:
    both = simulated(microscope=Microscope(defocus_A=(-60.0, 0.0)))["4dstem"]
    alone = simulated(microscope=Microscope(defocus_A=0.0))["4dstem"]
    np.testing.assert_allclose(both[1], alone[0], atol=1e-7)


@pytest.mark.parametrize("window_A", [10.0, 9.0])
def test_windows_change_little(window_A: float) -> None:
    whole, part = simulated()["4dstem"], simulated(window_A=window_A)["4dstem"]
    assert np.abs(whole - part).sum() < 0.03 * whole.sum()


def test_results_can_live_on_disk(tmp_path: Any) -> None:
    def on_disk(name: str, shape: tuple[int, ...]) -> np.ndarray:
        return np.lib.format.open_memmap(tmp_path / f"{name}.npy", mode="w+", dtype=np.float32, shape=shape)

    acquisition = Acquisition(mode="4dstem", tilts=Tilts(angles_deg=(0.0,)), scan=Scan(step_A=1.6, positions=(8, 8)), detector=None)
    settings = Simulation(engine="native", sampling_A=0.16, slice_A=1.6, margin_A=2.0)
    arguments = (CHIRAL, np.eye(3), Microscope(defocus_A=-60.0), settings, acquisition)
    held = simulate(*arguments, seed=3)
    assert set(held) == {"4dstem"}
    simulate(*arguments, seed=3, allocate=on_disk)
    np.testing.assert_array_equal(np.load(tmp_path / "4dstem.npy"), held["4dstem"])


@pytest.mark.parametrize(("have", "want"), [((9, 9), (5, 4)), ((10, 8), (5, 6)), ((10, 10), (10, 9))])
def test_cropping_keeps_the_zero_beam_in_the_middle(have: tuple[int, int], want: tuple[int, int]) -> None:
    patterns = np.zeros((1, *have))
    patterns[0, have[0] // 2, have[1] // 2] = 1
    assert np.argwhere(cropped(patterns, want)[0])[0].tolist() == [want[0] // 2, want[1] // 2]
    assert np.argwhere(central(np.fft.ifftshift(patterns, axes=(1, 2)), want)[0])[0].tolist() == [want[0] // 2, want[1] // 2]


def test_a_camera_with_wider_pixels_samples_the_same_pattern() -> None:
    """Pixels of 1/field see every second frequency of pixels of half the width, if the waves fit the field."""
    scan = Scan(step_A=1.6, positions=(16, 16))
    fine = simulated(scan=scan, camera=Camera(pixels=(62, 62)), detector=None, window_A=12.8)["4dstem"][0]
    wide = simulated(scan=scan, camera=Camera(pixels=(30, 30), field_A=12.8), detector=None)["4dstem"][0]
    there = fine[..., 1:-1:2, 1:-1:2]
    assert there.shape == wide.shape
    near_the_middle = (slice(4, 12), slice(4, 12))
    difference = np.abs(4 * there - wide)[near_the_middle].sum(axis=(2, 3)) / wide[near_the_middle].sum(axis=(2, 3))
    assert difference.max() < 0.03
