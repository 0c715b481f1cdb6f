"""Tracing, classification, matching and scores against what is known by construction."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st

from benchsuite.data import Grid, Volume
from benchsuite.metrics.matching.match import assign, match
from benchsuite.metrics.matching.matched import confusion_matrix, match_atoms
from benchsuite.metrics.positions import ospa_A
from benchsuite.metrics.r_factor import r_factor
from benchsuite.metrics.resolution import fourier_shell_correlation, render, resolution_at
from benchsuite.metrics.structure import bond_length_error_A, outside, pair_distribution
from benchsuite.metrics.tracing.classify import classify, classify_by_intensity, group, k_means, separation
from benchsuite.metrics.tracing.gaussians import add_gaussians
from benchsuite.metrics.tracing.trace import trace_atoms
from tests.metric_values import score

GRID = Grid((48, 48, 48), 0.4)


def particle(seed=0, radius=7.5):
    rng = np.random.default_rng(seed)
    cells = np.array(list(itertools.product(range(-4, 5), repeat=3)), dtype=float)
    basis = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    sites = ((cells[:, None] + basis).reshape(-1, 3) + 0.13) * 3.78
    sites = sites[np.linalg.norm(sites, axis=1) < radius]
    return sites + rng.standard_normal(sites.shape) * 0.2 / np.sqrt(3)


def density(positions, heights, sigma_A=0.6, along_z=1.0):
    volume = np.zeros(GRID.shape, np.float32)
    precision = np.diag([1 / along_z**2, 1, 1]) * (GRID.voxel_A / sigma_A) ** 2
    add_gaussians(volume, heights, GRID.indices(positions), np.broadcast_to(precision, (len(positions), 3, 3)))
    return Volume(volume, GRID.voxel_A)


@pytest.mark.parametrize("peak_fit", ["gaussian", "polynomial", "parabola"])
def test_tracing_an_analytic_volume(peak_fit):
    positions = particle()
    found = trace_atoms(density(positions, np.ones(len(positions))), blur_A=0.0, peak_fit=peak_fit)
    pairs = match(positions, found.positions)
    assert len(pairs.truth_index) == len(positions) == len(found)
    rmsd_pm = 100 * np.sqrt((pairs.distance_A**2).mean())
    assert rmsd_pm < {"gaussian": 1.0, "polynomial": 5.0, "parabola": 5.0}[peak_fit]


def test_tracing_elongated_atoms():
    positions = particle(1)
    found = trace_atoms(density(positions, np.ones(len(positions)), 0.45, 1.5), blur_A=0.2, peak_fit="gaussian")
    pairs = match(positions, found.positions)
    assert len(pairs.truth_index) == len(positions)
    assert 100 * np.sqrt((pairs.distance_A**2).mean()) < 1.5


def test_residual_search_finds_what_strong_neighbours_hide():
    strong = particle(2, 6.0)
    weak = strong[:20] + np.array([0.95, 0.95, 0.0])
    volume = density(np.concatenate([strong, weak]), np.r_[np.ones(len(strong)), np.full(20, 0.25)], 0.55)
    plain = trace_atoms(volume, blur_A=0.0, minimum_distance_A=1.2)
    deep = trace_atoms(volume, blur_A=0.0, minimum_distance_A=1.2, peak_fit="gaussian", search_residual=True)
    found = [len(match(weak, atoms.positions, cutoff_A=0.5).truth_index) for atoms in (plain, deep)]
    assert found[1] >= found[0]
    assert found[1] >= 16


def test_nothing_in_an_empty_volume():
    assert len(trace_atoms(Volume(np.zeros((9, 9, 9), np.float32), 0.4))) == 0


@pytest.mark.parametrize("with_noise_peaks", [True, False])
def test_classifying_a_mixture(with_noise_peaks):
    rng = np.random.default_rng(4)
    positions = particle(4)
    is_heavy = np.linalg.norm(positions, axis=1) > 5
    heights = np.where(is_heavy, 1.0, 0.35) * (1 + 0.08 * rng.standard_normal(len(positions)))
    specks = np.array(list(itertools.product((-8.4, 8.4), repeat=3))) if with_noise_peaks else np.empty((0, 3))
    everything = np.concatenate([positions, specks])
    volume = density(everything, np.r_[heights, np.full(len(specks), 0.03)])
    atoms = Atoms(["X"] * len(everything), everything)
    result = classify(volume, atoms, species=["Cu", "Au"], rng=np.random.default_rng(0))
    symbols = np.array(result.get_chemical_symbols())
    right = symbols[: len(positions)] == np.where(is_heavy, "Au", "Cu")
    assert right.mean() >= 0.99
    assert (symbols[len(positions) :] == "X").all()
    again = classify(volume, atoms, species=["Cu", "Au"], rng=np.random.default_rng(0))
    assert again.get_chemical_symbols() == result.get_chemical_symbols()


def test_a_few_weak_peaks_are_told_from_the_weak_element():
    rng = np.random.default_rng(0)
    sizes = (6, 85, 141)
    intensity = np.concatenate(
        [m + s * rng.standard_normal(n) for m, s, n in zip((0.08, 0.2, 0.95), (0.02, 0.02, 0.05), sizes, strict=True)]
    )
    labels = group(intensity[:, None], intensity, 2, np.random.default_rng(0))
    assert np.bincount(labels).tolist() == list(sizes)
    assert np.bincount(group(intensity[6:, None], intensity[6:], 2, np.random.default_rng(0))).tolist() == [0, *sizes[1:]]


def test_k_means_and_separation():
    values = np.r_[np.full(5, 1.0), np.full(7, 2.0), np.full(3, 9.0)]
    assert np.bincount(k_means(values, 3, np.random.default_rng(0))).tolist() == [5, 7, 3]
    flat = np.linspace(0, 1, 1000)
    assert separation(flat[:500], flat[500:]) == pytest.approx(np.sqrt(12), rel=0.01)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 5), st.integers(0, 5))
def test_matching_is_optimal(seed, n, m):
    rng = np.random.default_rng(seed)
    a, b = rng.random((n, 3)), rng.random((m, 3))
    i, j = assign(a, b, 0.6)
    distance = np.linalg.norm(a[:, None] - b[None], axis=2)
    best = (0, 0.0)
    for size in range(min(n, m), -1, -1):
        for rows in itertools.combinations(range(n), size):
            for columns in itertools.permutations(range(m), size):
                d = distance[list(rows), list(columns)]
                if (d <= 0.6).all():
                    best = min(best, (-size, float((d**2).sum())))
        if best[0] == -size:
            break
    assert len(i) == -best[0]
    assert float((distance[i, j] ** 2).sum()) == pytest.approx(best[1], abs=1e-9)


def test_matching_removes_a_shift_and_does_not_care_for_order():
    positions = particle(5)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(positions))
    moved = positions[order] + [0.4, -0.3, 0.2]
    pairs = match(positions, moved)
    assert np.array_equal(order[pairs.traced_index], pairs.truth_index)
    assert np.allclose(pairs.shift_A, [0.4, -0.3, 0.2])
    assert pairs.distance_A.max() < 1e-9


def test_matching_removes_a_rotation_only_on_request():
    from benchsuite.physics.rotations import rotation

    positions = particle(6)
    turned = positions @ rotation((1, 2, 3), 2.0).T
    assert match(positions, turned).distance_A.max() > 0.1
    assert match(positions, turned, registration="rigid").distance_A.max() < 1e-9


def test_a_mirror_image_does_not_match():
    positions = particle(7)
    assert len(match(positions, positions * [1, 1, -1], registration="rigid").truth_index) < 0.9 * len(positions)


def test_a_hundred_thousand_atoms_match():
    rng = np.random.default_rng(0)
    cells = np.array(list(itertools.product(range(47), repeat=3)), dtype=float) * 2.5
    noisy = cells + rng.standard_normal(cells.shape) * 0.2
    pairs = match(cells, noisy[rng.permutation(len(noisy))])
    assert len(pairs.truth_index) > 0.995 * len(cells)


def test_scores_by_hand():
    truth = Atoms("CuCuAuAu", [[0, 0, 0], [3, 0, 0], [0, 3, 0], [0, 0, 3]])
    traced = Atoms(["Cu", "Au", "Au", "Au", "X"], [[0.1, 0, 0], [3.1, 0, 0], [0.1, 3, 0], [5, 5, 5], [0, 0, 3]])
    v, matched = score(truth, traced, cutoff_A=1.0), match_atoms(truth, traced, cutoff_A=1.0)
    confusion = confusion_matrix(matched)
    assert (v["n_matched"], v["n_false_positive"], v["n_missed"]) == (3, 1, 1)
    assert v["tracing_error_pct"] == 50.0
    assert v["classification_rate_pct"] == 50.0
    assert v["rmsd_pm"] == pytest.approx(0, abs=1e-9)
    assert v["shift_x_A"] == pytest.approx(0.1)
    assert v["recall_Cu_pct"] == 100
    assert v["identified_Cu_pct"] == 50
    assert v["recall_Au_pct"] == 50
    assert confusion["Cu"] == {"Au": 1, "Cu": 1, "missing": 0}
    assert confusion["false"]["Au"] == 1
    assert list(matched.truth.arrays["outcome"]) == ["found", "misclassified", "found", "missing"]
    assert list(matched.traced.arrays["outcome"]) == ["true", "false_class", "true", "false_positive", "non_atom"]


def test_an_atom_that_is_left_out_costs_the_cut_off():
    assert ospa_A(np.array([0.3, 0.4]), 2, 2, 1.0) == pytest.approx(np.sqrt(0.25 / 2))
    assert ospa_A(np.array([0.3]), 2, 1, 1.0) == pytest.approx(np.sqrt(1.09 / 2))  # missed
    assert ospa_A(np.array([0.3]), 1, 2, 1.0) == pytest.approx(np.sqrt(1.09 / 2))  # false
    assert ospa_A(np.array([]), 3, 0, 1.2) == pytest.approx(1.2)


def test_leaving_out_the_worst_atom_betters_the_rmsd_but_not_the_rank():
    rng = np.random.default_rng(3)
    grid = 3.0 * np.array([[x, y, z] for x in range(4) for y in range(4) for z in range(4)], dtype=float)
    truth, traced = Atoms("Au64", grid), Atoms("Au64", grid + 0.1 * rng.standard_normal(grid.shape))
    whole = score(truth, traced)
    worst = int(np.argmax(np.linalg.norm(traced.positions - grid, axis=1)))
    without = score(truth, traced[[i for i in range(64) if i != worst]])
    assert without["rmsd_pm"] < whole["rmsd_pm"]
    assert without["ospa_pm"] > whole["ospa_pm"]
    assert whole["ospa_pm"] == pytest.approx(whole["rmsd_pm"])


def test_scores_of_nothing():
    truth = Atoms("CuAu", [[0, 0, 0], [3, 0, 0]])
    values = score(truth, Atoms())
    assert np.isnan(values["rmsd_pm"])
    assert values["tracing_error_pct"] == 100
    assert values["classification_rate_pct"] == 0


def test_r_factor():
    images = np.random.default_rng(0).random((3, 4, 4))
    assert r_factor(images, 7 * images)[0] == pytest.approx(0, abs=1e-12)
    assert r_factor(images, 0 * images)[0] == 1.0


def test_fourier_shell_correlation():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 32, 32, 32))
    frequency, same = fourier_shell_correlation(a, a, 0.5)
    assert np.allclose(same, 1)
    assert frequency[-1] == pytest.approx(1.0)
    assert resolution_at(frequency, same, 0.5) == pytest.approx(1.0)
    assert np.abs(fourier_shell_correlation(a, b, 0.5)[1][4:]).max() < 0.15
    falling = np.linspace(1, 0, len(frequency))
    assert resolution_at(frequency, falling, 0.5) == pytest.approx(2.0)


def test_rendered_atoms_are_where_they_are():
    volume = render(Atoms("Au", [[0.4, -0.8, 1.2]]), GRID, 0.5)
    assert np.unravel_index(volume.argmax(), volume.shape) == (27, 22, 25)
    assert volume.max() == pytest.approx(79)


def test_pair_distribution_and_bonds():
    positions = np.array([[0, 0, 0], [2.5, 0, 0], [0, 2.5, 0]])
    distance, density_ = pair_distribution(positions)
    assert (density_ * 0.05).sum() == pytest.approx(2.0)
    assert distance[density_.argmax()] == pytest.approx(2.5, abs=0.05)
    stretched = positions * 1.04
    assert bond_length_error_A(positions, stretched, positions) == pytest.approx(0.1)


def test_atoms_of_a_list_are_classified_by_intensity():
    rng = np.random.default_rng(0)
    intensity = np.concatenate([rng.normal(1.0, 0.05, 60), rng.normal(0.2, 0.02, 40), rng.normal(0.02, 0.004, 10)])
    atoms = Atoms("X110", rng.uniform(-9, 9, (110, 3)))
    atoms.set_array("intensity", intensity)
    named = classify_by_intensity(atoms, species=["Cu", "Au"], rng=rng)
    assert named.get_chemical_symbols() == ["Au"] * 60 + ["Cu"] * 40 + ["X"] * 10
    assert atoms.symbols.get_chemical_formula() == "X110"


@pytest.mark.parametrize("seed", range(20))
def test_few_atoms_of_one_element_are_not_split(seed):
    rng = np.random.default_rng(seed)
    atoms = Atoms("X40", rng.uniform(-9, 9, (40, 3)))
    atoms.set_array("intensity", rng.uniform(1.3, 1.5, 40))
    assert set(classify_by_intensity(atoms, species=["Si"], rng=rng).symbols) == {"Si"}


def test_atoms_in_the_substrate_are_left_out():
    traced = Atoms("X4", [(0.2, 0, 0), (0, 0, 2.4), (0, 0, 5.1), (9.0, 0, 0)])
    particle_sites, film = np.array([[0.0, 0, 0], [0, 0, 2.0]]), np.array([[0.0, 0, 5.0], [0, 0, 6.5]])
    kept = outside(traced, particle_sites, film)
    np.testing.assert_array_equal(kept.positions, traced.positions[[0, 1, 3]])
    assert outside(traced, particle_sites, np.empty((0, 3))) is traced
    assert len(outside(Atoms(), particle_sites, film)) == 0
