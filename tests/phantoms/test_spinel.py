"""The spinel nanocube, and the film on which any particle may lie."""

from __future__ import annotations

import numpy as np
import pytest
from ase.data import atomic_masses
from scipy.spatial import cKDTree

from benchsuite.data import SUBSTRATE, particle_of, substrate_of
from benchsuite.errors import BenchsuiteError, ScenarioError
from benchsuite.phantoms.spinel import Spinel, cube_orientation
from benchsuite.phantoms.substrate import DALTON_PER_A3, Substrate
from benchsuite.physics.rotations import rotation, rotation_from_vector
from benchsuite.runner.stages.phantom import PhantomStage
from benchsuite.scenario import Cell, load
from benchsuite.storage import load_atoms, save_atoms


def cube(seed=0, **params):
    return Spinel(Spinel.Params(**params)).build(np.random.default_rng(seed))


def on_film(seed=0, **film):
    return Substrate(**film).under(cube(seed, edge_A=16.0), np.random.default_rng(seed))


def test_a_spinel_has_its_composition_and_its_bonds():
    atoms = cube(edge_A=40.0)
    cobalt, oxygen = atoms.positions[atoms.numbers == 27], atoms.positions[atoms.numbers == 8]
    assert len(oxygen) / len(cobalt) == pytest.approx(4 / 3, rel=0.06)
    assert cKDTree(cobalt).query(cobalt, 2)[0][:, 1].min() == pytest.approx(8.084 * np.sqrt(2) / 4, abs=1e-3)
    inner = np.linalg.norm(cobalt, axis=1) < 15
    bonds, _ = cKDTree(oxygen).query(cobalt[inner], 7)
    neighbours = (bonds < 2.1).sum(axis=1)
    assert set(neighbours) == {4, 6}
    assert (neighbours == 6).mean() == pytest.approx(2 / 3, abs=0.05)
    assert bonds[bonds < 2.1].mean() == pytest.approx(1.925, abs=0.01)


def test_a_spinel_says_where_its_lattice_is(tmp_path):
    save_atoms(tmp_path / "cube.extxyz", cube(3, edge_A=20.0))
    atoms = load_atoms(tmp_path / "cube.extxyz")
    turned = rotation_from_vector(np.array(atoms.info["crystal_rotation_rad"]))
    sites = np.reshape(atoms.info["crystal_sites"], (-1, 3))
    cations = atoms.positions[atoms.symbols == atoms.info["crystal_element"]]
    fraction = (cations - atoms.info["crystal_origin_A"]) @ turned / atoms.info["lattice_A"]
    off = fraction[:, None] - sites
    assert np.abs(off - np.rint(off)).max(axis=2).min(axis=1).max() < 1e-6


def test_the_cube_lies_on_a_face():
    flat = cube(edge_A=24.0, azimuth_deg=30.0, mistilt_deg=0.0)
    unturned = flat.positions @ rotation("z", 30.0)
    extent = np.ptp(unturned, axis=0)
    assert (extent <= 24.0 + 1e-6).all()
    assert (extent > 22.0).all()
    inclined = cube_orientation(np.random.default_rng(0), 12.0, 4.0)
    assert np.rad2deg(np.arccos(inclined[2, 2])) == pytest.approx(4.0)


def test_film_has_its_density_and_thickness_and_keeps_the_particle():
    both = on_film(thickness_A=8.0, radius_A=26.0, density_g_per_cm3=2.0, gap_A=2.0)
    particle, film = particle_of(both), substrate_of(both)
    np.testing.assert_array_equal(particle.positions, cube(edge_A=16.0).positions)
    assert both.info["n_substrate"] == len(film) == both.arrays[SUBSTRATE].sum()
    assert np.linalg.norm(film, axis=1).max() <= 26.0 + 1e-6
    near = particle.positions[:, 2].max() + 2.0
    assert near <= film[:, 2].min() < film[:, 2].max() <= near + 8.0
    volume = np.pi * np.diff([26.0**2 * z - z**3 / 3 for z in (near, near + 8.0)])[0]
    assert len(film) * atomic_masses[6] * DALTON_PER_A3 / volume == pytest.approx(2.0, rel=0.1)
    assert cKDTree(film).query(film, 2)[0][:, 1].min() > 1.39
    above = substrate_of(on_film(thickness_A=8.0, radius_A=26.0, side="above"))
    assert above[:, 2].max() < particle.positions[:, 2].min() - 1.9


def test_a_film_out_of_reach_is_refused():
    with pytest.raises(BenchsuiteError, match=r"phantom.substrate.radius_A: the film would begin .* Å from the centre"):
        on_film(radius_A=8.0)


SCENARIO = """\
schema: 1
name: film
phantom: {kind: spinel, edge_A: 10, substrate: {thickness_A: 6, radius_A: 16}}
acquisition: {tilts: {range_deg: [-60, 60], count: 3}, scan: {step_A: 0.8, positions: [48, 48]}}
reconstructors: [sirt]
analysis: {species: [O, Co]}
"""


def test_a_scenario_may_lay_any_phantom_on_a_film(tmp_path):
    (tmp_path / "film.yaml").write_text(SCENARIO)
    cell = load(tmp_path / "film.yaml").cells[0]
    assert Cell.model_validate_json(cell.model_dump_json()) == cell
    bare = load(tmp_path / "film.yaml", overrides=["phantom.substrate=null"]).cells[0]
    with_film, without = (PhantomStage(one.experiment, 0) for one in (cell, bare))
    assert "benchsuite.phantoms.substrate" in with_film.code()
    assert "benchsuite.phantoms.substrate" not in without.code()
    assert with_film.key != without.key
    rng = np.random.default_rng
    np.testing.assert_array_equal(
        particle_of(cell.experiment.phantom.build(rng(3))).positions, bare.experiment.phantom.build(rng(3)).positions
    )
    (tmp_path / "bad.yaml").write_text(SCENARIO.replace("thickness_A: 6", "thicknes_A: 6"))
    with pytest.raises(ScenarioError, match=r"phantom\.substrate\.thicknes_A: .*did you mean 'thickness_A'"):
        load(tmp_path / "bad.yaml")
