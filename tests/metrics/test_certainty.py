"""Elements with stated uncertainties: planted mixtures, atoms between two classes, classes of one element, broad statements."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from benchsuite.metrics.tracing.certainty import MIN_CLASS_PROBABILITY, reconsidered
from benchsuite.metrics.tracing.classify import classify_by_intensity
from tests.metric_values import score


def listed(groups, deviation, seed=0):
    """Atoms without elements in groups of (count, mean, intrinsic spread), their intensities drawn with a stated deviation."""
    rng = np.random.default_rng(seed)
    true = np.concatenate([rng.normal(mean, spread, count) for count, mean, spread in groups])
    atoms = Atoms(numbers=np.zeros(len(true), dtype=int), positions=rng.uniform(-20, 20, (len(true), 3)))
    stated = np.broadcast_to(np.asarray(deviation, dtype=float), len(true)).copy()
    atoms.set_array("intensity", true + stated * rng.standard_normal(len(true)))
    atoms.set_array("intensity_uncertainty", stated)
    return atoms


def named(atoms, species=("Cu", "Au"), non_atoms=False):
    """Without a class of non-atoms, which would be made room for by taking few atoms between two elements for one."""
    return classify_by_intensity(atoms, species=species, non_atoms=non_atoms, rng=np.random.default_rng(0))


def test_atoms_between_two_elements_are_ambiguous():
    found = named(listed([(90, 100, 1.0), (90, 300, 3.0), (6, 200, 5.0)], 4.0))
    symbols, ambiguous = np.array(found.get_chemical_symbols()), found.arrays["ambiguous"]
    assert set(symbols[:90]) == {"Cu"}
    assert set(symbols[90:180]) == {"Au"}
    assert ambiguous[180:].all()
    assert not ambiguous[:180].any()
    assert set(symbols[180:]) <= {"Cu", "Au"}


def test_nothing_is_ambiguous_where_classes_are_far_apart():
    found = named(listed([(60, 100, 2.0), (60, 300, 2.0)], 3.0))
    assert not found.arrays["ambiguous"].any()
    assert found.arrays["class_probability"].min() > 1 - 1e-9


def test_non_atoms_stay_what_they_are():
    found = named(listed([(20, 15, 3.0), (60, 100, 2.0), (60, 300, 2.0)], 3.0), non_atoms=True)
    assert found.get_chemical_symbols() == ["X"] * 20 + ["Cu"] * 60 + ["Au"] * 60
    assert not found.arrays["ambiguous"].any()


def test_one_element_alone_is_sure():
    found = named(listed([(200, 100, 5.0)], 3.0), ("Au",))
    assert set(found.symbols) == {"Au"}
    assert (found.arrays["class_probability"] == 1).all()
    assert not found.arrays["ambiguous"].any()
    found.arrays["intensity"][7] = 160.0  # two on top of each other
    assert np.flatnonzero(named(found, ("Au",)).arrays["ambiguous"]).tolist() == [7]


def test_the_less_is_known_the_more_is_ambiguous():
    atoms = listed([(80, 100, 1.0), (80, 200, 1.0)], 2.0)
    counts = []
    for stated in (2.0, 30.0, 60.0, 1000.0, np.inf):
        atoms.arrays["intensity_uncertainty"][:] = stated
        counts.append(int(named(atoms).arrays["ambiguous"].sum()))
    assert counts == [0, 0, 160, 160, 160]


def test_one_atom_of_which_little_is_known_is_ambiguous_alone():
    atoms = listed([(80, 100, 1.0), (80, 200, 1.0)], 2.0)
    atoms.arrays["intensity_uncertainty"][[3, 100]] = 80.0
    assert np.flatnonzero(named(atoms).arrays["ambiguous"]).tolist() == [3, 100]


def test_probabilities_are_those_of_bayes():
    labels = np.repeat([1, 2], [50, 150])
    rng = np.random.default_rng(1)
    intensity = np.where(labels == 1, 10.0, 20.0) + rng.standard_normal(200)
    intensity[0], stated = 14.8, np.full(200, 1.0)
    stated[0] = 3.0
    new, probability, ambiguous = reconsidered(intensity, stated, labels)
    means = [np.median(intensity[labels == c]) for c in (1, 2)]
    likelihood = [n * np.exp(-((14.8 - mean) ** 2) / 2 / 9) for n, mean in zip((50, 150), means, strict=True)]
    expected = likelihood[1] / sum(likelihood)
    assert new[0] == 2  # nearer to the weak class, but the strong one is three times as common
    assert probability[0] == pytest.approx(expected, abs=0.02)
    assert 0.5 < expected < MIN_CLASS_PROBABILITY
    assert ambiguous[0]


def test_an_atom_brighter_than_all_is_none_of_a_broad_weak_class():
    rng = np.random.default_rng(2)
    intensity = np.concatenate([rng.normal(5.0, 2.0, 100), rng.normal(20.0, 0.1, 100), [22.0]])
    labels = np.repeat([1, 2], [100, 101])
    new, _, ambiguous = reconsidered(intensity, np.full(201, 0.01), labels)
    assert new[200] == 2
    assert ambiguous[200]


def test_classification_is_unchanged_without_uncertainties():
    atoms = listed([(90, 100, 1.0), (90, 300, 3.0), (6, 200, 5.0)], 4.0)
    with_them = named(atoms)
    del atoms.arrays["intensity_uncertainty"]
    plain = named(atoms)
    assert "ambiguous" not in plain.arrays
    assert "class_probability" not in plain.arrays
    assert plain.get_chemical_symbols()[:180] == with_them.get_chemical_symbols()[:180]
    assert len(named(listed([(0, 1, 1)], 1.0))) == 0


def test_scores_count_the_ambiguous_atoms():
    atoms = named(listed([(90, 100, 1.0), (90, 300, 3.0), (6, 200, 5.0)], 4.0))
    assert score(atoms, atoms)["n_ambiguous"] == 6
    none = atoms.copy()
    none.numbers[180:] = 0  # non-atoms are no atoms
    assert score(atoms, none)["n_ambiguous"] == 0
    del none.arrays["ambiguous"]
    assert "n_ambiguous" not in score(atoms, none)
