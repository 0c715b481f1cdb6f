"""The nanoparticles: counts at the paper's scale, determinism, and the contract of every registered phantom."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from benchsuite.contract.phantom import AnyPhantom
from benchsuite.phantoms.core_shell import CoreShell
from benchsuite.phantoms.rocksalt import Rocksalt
from benchsuite.phantoms.shape import shortest_distance

PARTICLES: list[AnyPhantom] = [
    CoreShell(CoreShell.Params(atoms=150)),
    CoreShell(CoreShell.Params(diameter_A=15.0)),
    Rocksalt(Rocksalt.Params(atoms=120)),
    Rocksalt(Rocksalt.Params(diameter_A=16.0)),
]


def core_shell(seed: int = 0, **params: Any) -> Any:
    return CoreShell(CoreShell.Params(**params)).build(np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(4))
def test_core_and_shell_at_the_scale_of_the_paper(seed: int) -> None:
    atoms = core_shell(seed, atoms=1602)
    assert len(atoms) == 1602
    assert (atoms.numbers == 29).sum() == pytest.approx(576, rel=0.1)
    assert set(atoms.symbols) == {"Cu", "Au"}
    assert 35 < atoms.info["extent_A"] < 42
    assert atoms.info["n_core"] + atoms.info["n_shell"] == 1602


@pytest.mark.parametrize("count", [43, 79, 230])
def test_small_particles_have_a_core_too(count: int) -> None:
    atoms = core_shell(1, atoms=count)
    assert len(atoms) == count
    assert 0 < atoms.info["n_core"] < count / 2


def test_core_lies_inside_and_its_atoms_are_fully_coordinated() -> None:
    from scipy.spatial import cKDTree

    atoms = core_shell(2, atoms=600, displacement_rms_A=0.0)
    neighbours = np.array([len(n) - 1 for n in cKDTree(atoms.positions).query_ball_point(atoms.positions, 2.8)])
    in_core = atoms.numbers == 29
    assert (neighbours[in_core] == 12).all()
    assert neighbours[~in_core].min() < 12


def test_layers_and_shrink_factor_are_obeyed() -> None:
    cores = [core_shell(0, atoms=500, shell_layers=n).info["n_core"] for n in (0, 1, 2, 3)]
    assert cores[0] == 500
    assert cores[0] > cores[1] > cores[2] > cores[3] > 0
    tight, loose = (core_shell(0, atoms=500, shell_layers=1, shrink_factor=s).info["n_core"] for s in (0.9, 0.1))
    assert loose > tight
    assert core_shell(0, atoms=500, shell_layers=1, shrink_factor=0).info["n_core"] >= loose


def test_diameter_is_that_of_the_sphere_of_equal_volume() -> None:
    counts = [len(core_shell(seed, diameter_A=30.0)) for seed in range(4)]
    assert np.mean(counts) == pytest.approx(4 / 3.78**3 * np.pi / 6 * 30.0**3, rel=0.02)


def test_displacements_of_the_particle() -> None:
    still, moved = (core_shell(5, atoms=800, displacement_rms_A=rms).positions for rms in (0.0, 0.2))
    difference = moved - still
    difference -= difference.mean(axis=0)
    assert np.sqrt((difference**2).sum(axis=1).mean()) == pytest.approx(0.2, rel=0.01)
    assert shortest_distance(moved) > 2.0


def test_rocksalt_alternates() -> None:
    from scipy.spatial import cKDTree

    atoms = Rocksalt(Rocksalt.Params(atoms=969, displacement_rms_A=0.0)).build(np.random.default_rng(0))
    pairs = cKDTree(atoms.positions).query_pairs(1.02 * 5.54 / 2, output_type="ndarray")
    assert len(pairs) > 2000
    assert (atoms.numbers[pairs[:, 0]] != atoms.numbers[pairs[:, 1]]).all()
    assert atoms.info["n_cation"] == (atoms.numbers == 56).sum()
    assert atoms.info["n_cation"] == pytest.approx(969 / 2, rel=0.1)


@pytest.mark.parametrize("phantom", PARTICLES)
def test_equal_seeds_give_equal_particles_and_other_seeds_others(phantom: AnyPhantom) -> None:
    first, again, other = (phantom.build(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first.info == again.info
    assert len(first) != len(other) or not np.allclose(first.positions, other.positions)


@pytest.mark.parametrize("phantom", PARTICLES)
def test_facts_are_plain_and_clear_of_zone_axes(phantom: AnyPhantom) -> None:
    for seed in range(5):
        atoms = phantom.build(np.random.default_rng(seed))
        assert all(type(value) in (int, float, str) for value in atoms.info.values())
        assert atoms.info["zone_axis_deg"] >= 5
        assert np.linalg.norm(atoms.positions, axis=1).max() == pytest.approx(atoms.info["extent_A"] / 2, rel=0.01)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"core": "au"}, "did you mean 'Au'"),
        ({"shell": "Xx"}, "is not a chemical element"),
        ({"atoms": 0}, "greater than or equal to 1"),
        ({"diameter_A": -4.0}, "greater than 0"),
        ({"shrink_factor": 1.2}, "less than or equal to 1"),
        ({"latice_A": 3.78}, "Extra inputs"),
    ],
)
def test_impossible_parameters_are_refused(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        CoreShell.Params(**params)
