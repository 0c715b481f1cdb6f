"""What is refused before it is simulated, with the numbers; the band limit against abTEM's own."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from ase import Atoms

from benchsuite.contract.settings import Acquisition, AnnularDetector, Camera, FrozenPhonons, Microscope, Scan, Simulation, Tilts
from benchsuite.errors import PhysicsError
from benchsuite.microscope import check_physics, warnings_physics
from benchsuite.microscope.limits import band_limit_mrad, check_fits, grid_points
from benchsuite.physics.electrons import wavelength_A
from benchsuite.physics.rotations import rotation

TILTS = Tilts(angles_deg=(0.0,))


def problems(microscope: dict[str, Any] | None = None, simulation: dict[str, Any] | None = None, **acquisition: Any) -> list[str]:
    parts = {"tilts": TILTS, **acquisition}
    return check_physics(Microscope(**microscope or {}), Simulation(**simulation or {}), Acquisition(**parts))


def test_wavelengths_of_the_textbook() -> None:
    for energy, expected in ((100.0, 0.0370144), (200.0, 0.0250793), (300.0, 0.0196875)):
        assert wavelength_A(energy) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(("pixels", "box"), [(64, 6.4), (80, 8.0), (250, 25.6), (256, 25.6), (270, 20.0), (320, 25.6), (900, 51.2)])
def test_band_limit_is_that_of_abtem(pixels: int, box: float) -> None:
    import abtem

    probe = abtem.Probe(energy=300e3, semiangle_cutoff=20, extent=box, gpts=pixels)
    assert band_limit_mrad(300.0, pixels, box) == pytest.approx(min(probe.cutoff_angles), rel=1e-5)


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 5, 11])
@pytest.mark.parametrize("box", [8.0, 19.2, 25.6, 51.2])
def test_pixels_are_fine_enough_even_and_a_multiple_of_the_prism_factor(factor: int, box: float) -> None:
    simulation = Simulation(method="prism", prism_interpolation=factor, sampling_A=0.1)
    pixels = grid_points(simulation, box)
    assert pixels % (2 * factor) == 0 or (factor % 2 == 0 and pixels % factor == 0)
    assert box / pixels <= 0.1 + 1e-9
    assert pixels < 1.2 * box / 0.1 + 2 * factor


def test_defaults_are_possible() -> None:
    assert problems() == []


@pytest.mark.parametrize(
    ("given", "key", "said"),
    [
        ({"detector": AnnularDetector(outer_mrad=200.0)}, "acquisition.detector.outer_mrad", r"65\.4 mrad .* 0\.0328 or less"),
        ({"detector": AnnularDetector(outer_mrad=66.0)}, "acquisition.detector.outer_mrad", "66 mrad is beyond the band limit"),
        ({"detector": AnnularDetector(inner_mrad=50.0, outer_mrad=50.1)}, "acquisition.detector.inner_mrad", "narrower than"),
        ({"microscope": {"semiangle_mrad": 70.0}}, "microscope.semiangle_mrad", "beyond the band limit"),
        ({"microscope": {"defocus_A": -900.0}}, "microscope.defocus_A", "spreads over 41"),
        (
            {"microscope": {"defocus_A": (0.0, -200.0)}, "simulation": {"method": "prism"}},
            "simulation.prism_interpolation",
            "window of 6.4 Å, but the probe spreads over 11.8 Å; at most 2",
        ),
        ({"microscope": {"aberrations_A": {"C3": 1e4}}}, "microscope.aberrations_A.C3", "unknown coefficient; did you mean"),
        ({"microscope": {"aberrations_A": {"C10": 10.0}}}, "microscope.aberrations_A.C10", "microscope.defocus_A"),
        ({"microscope": {"aberrations_A": {"phi12_deg": 10.0}}}, "microscope.aberrations_A.phi12_deg", "C12 that is not given"),
        ({"simulation": {"margin_A": 13.0}}, "simulation.margin_A", "no room"),
        ({"dose_e_per_A2": 1e30}, "acquisition.dose_e_per_A2", "say .inf"),
        ({"detector": None}, "acquisition.detector", "images need an annulus"),
        (
            {"mode": "4dstem", "camera": Camera(pixels=(40, 40)), "simulation": {"method": "prism"}},
            "simulation.method",
            "mode 4dstem needs multislice",
        ),
        ({"mode": "4dstem", "camera": Camera(pixels=(64, 200))}, "acquisition.camera.pixels", "200 pixels .* at most 170 pixels"),
        (
            {"mode": "4dstem", "microscope": {"defocus_A": -200.0}, "simulation": {"engine": "native", "window_A": 8.0}},
            "simulation.window_A",
            "8 Å is less than the 11.8 Å over which the probe spreads",
        ),
        (
            {"mode": "4dstem", "camera": Camera(pixels=(40, 40), field_A=12.8)},
            "acquisition.camera.field_A",
            "abtem has patterns of the whole field of view; use engine: native",
        ),
        (
            {"mode": "4dstem", "camera": Camera(pixels=(40, 40), field_A=12.83), "simulation": {"engine": "native"}},
            "acquisition.camera.field_A",
            "12.83 Å is not a whole number of the simulation's pixels of 0.1 Å",
        ),
        (
            {
                "mode": "4dstem",
                "microscope": {"defocus_A": -200.0},
                "camera": Camera(pixels=(40, 40), field_A=6.4),
                "simulation": {"engine": "native"},
            },
            "acquisition.camera.field_A",
            "6.4 Å is less than the 11.8 Å over which the probe spreads",
        ),
        ({"tilts": Tilts(matrices=(((2.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0)),))}, "acquisition.tilts", "not a rotation"),
    ],
)
def test_the_impossible_is_refused_with_the_key_and_the_number(given: dict[str, Any], key: str, said: str) -> None:
    found = problems(**given)
    assert len(found) == 1
    assert found[0].startswith(f"{key}: ")
    assert re.search(said, found[0])


def test_prism_detects_on_coarser_pixels_and_so_up_to_a_lower_angle() -> None:
    detector = AnnularDetector(inner_mrad=40.0, outer_mrad=65.0)
    assert problems(detector=detector) == []
    assert "64.6 mrad" in problems(detector=detector, simulation={"method": "prism", "prism_interpolation": 4})[0]


def test_every_problem_is_reported() -> None:
    detector = AnnularDetector(outer_mrad=99.0)
    found = problems(microscope={"aberrations_A": {"Q": 1.0}}, simulation={"margin_A": 13.0}, detector=detector)
    assert len(found) == 3


def test_the_unusual_is_only_warned_about() -> None:
    detector, phonons = AnnularDetector(inner_mrad=10.0), FrozenPhonons(rms_A={"Au": 0.5})
    acquisition = Acquisition(tilts=TILTS, scan=Scan(step_A=0.4), detector=detector, frozen_phonons=phonons)
    found = warnings_physics(Microscope(), Simulation(), acquisition)
    assert [text.partition(":")[0] for text in found] == [
        "acquisition.scan.step_A",
        "acquisition.detector.inner_mrad",
        "simulation.margin_A",
    ]
    assert "0.234 Å" in found[0]
    assert warnings_physics(Microscope(), Simulation(), Acquisition(tilts=TILTS, scan=Scan(step_A=0.2, positions=(128, 128)))) == []


@pytest.mark.parametrize(
    ("defocus", "step", "said"),
    [(0.0, 1.6, "probes of 1.1 Å .* overlap of 0%"), (-200.0, 6.4, "probes of 9.5 Å .* overlap of 33%"), (-200.0, 1.6, None)],
)
def test_too_few_positions_are_warned_about_with_the_overlap(defocus: float, step: float, said: str | None) -> None:
    acquisition = Acquisition(mode="4dstem", tilts=TILTS, scan=Scan(step_A=step, positions=(8, 8)), detector=None)
    found = warnings_physics(Microscope(defocus_A=defocus), Simulation(), acquisition)
    assert len(found) == (said is not None)
    assert said is None or re.search(said, found[0])


def test_particle_outside_its_box_is_refused_with_the_tilt() -> None:
    atoms = Atoms("CuAu", [[0.0, 0.0, 0.0], [0.0, 4.0, 5.5]])
    flat, tilted = np.eye(3), rotation("x", 45.0)
    check_fits(atoms, flat, 16.0, 2.0)
    with pytest.raises(PhysicsError, match=r"at tilt 1 the Au atom 1 is at z = 6\.72 Å, but a box of 16\.00 Å .* ±6\.00 Å"):
        check_fits(atoms, np.stack([flat, tilted]), 16.0, 2.0)
    check_fits(atoms, tilted, (4.1, 16.0, 18.0), 2.0)
    with pytest.raises(PhysicsError, match=r"y = 4\.00"):
        check_fits(atoms, flat, (16.0, 10.0, 16.0), 2.0)


def test_importing_the_microscope_does_not_import_the_slow_libraries() -> None:
    code = "import sys, benchsuite.microscope; print(*sorted({'abtem', 'dask', 'scipy', 'numba', 'cupy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
