"""Every data type survives disk without loss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms

from benchsuite.contract_suite import small_problem
from benchsuite.data import Fit, Preprocessed, Reconstruction, Slices, Volume
from benchsuite.storage import (
    load_atoms,
    load_preprocessed,
    load_reconstruction,
    load_series,
    save_atoms,
    save_preprocessed,
    save_reconstruction,
    save_series,
)


def test_series(tmp_path):
    series, _ = small_problem()
    save_series(tmp_path / "s.zarr", iter(series.data), series)
    back = load_series(tmp_path / "s.zarr")
    assert np.array_equal(back.data, series.data)
    assert np.array_equal(back.rotations, series.rotations)
    assert back.optics == series.optics
    assert back.dose_e_per_A2 == np.inf
    assert back.detector_mrad is None


def test_reconstruction(tmp_path):
    rng = np.random.default_rng(0)
    volume = Volume(rng.random((3, 4, 5)).astype(np.float32), 0.4)
    slices = Slices(rng.random((2, 4, 5)).astype(np.float32), np.array([-1.0, 0.0, 1.0]))
    fit = Fit(r_factor_per_image=np.array([0.1, 0.2]), background=np.array(0.25))
    extras = {"mask": np.ones(3, bool), "phase": np.zeros(2), "slices_phase": np.zeros(1), "r_factor_per_image": np.zeros(1)}
    result = Reconstruction(volume, None, np.array([[1, np.nan], [2, 0.5]]), 1.25, slices, fit, extras)
    save_reconstruction(tmp_path, result)
    back = load_reconstruction(tmp_path)
    assert np.array_equal(back.volume.data, volume.data)
    assert back.volume.voxel_A == 0.4
    assert np.array_equal(back.history, result.history, equal_nan=True)
    assert back.seconds == 1.25
    assert np.array_equal(back.slices.phase, slices.phase)
    assert np.array_equal(back.slices.edges_A, slices.edges_A)
    assert back.fit.arrays() == {"r_factor_per_image": pytest.approx([0.1, 0.2], abs=0), "background": 0.25}
    assert sorted(back.extras) == sorted(extras)
    assert all(np.array_equal(back.extras[name], array) for name, array in extras.items())
    bare = replace(result, slices=None, fit=Fit(), extras={"slices_edges_A": np.zeros(2)})
    save_reconstruction(tmp_path / "bare", bare)
    back = load_reconstruction(tmp_path / "bare")
    assert back.slices is None
    assert back.fit == Fit()


def test_preprocessed(tmp_path):
    series, _ = small_problem()
    shifts = np.arange(2.0 * len(series.data)).reshape(-1, 2)
    for shifts_A in (None, shifts):
        save_preprocessed(tmp_path, Preprocessed(series, shifts_A, {"shift_A": np.ones(2), "shifts_A": np.ones(3)}, "as it was"))
        back = load_preprocessed(tmp_path)
        assert np.array_equal(back.shifts_A, shifts) if shifts_A is not None else back.shifts_A is None
        assert {name: len(array) for name, array in back.extras.items()} == {"shift_A": 2, "shifts_A": 3}
        assert back.remark == "as it was"


@pytest.mark.parametrize("count", [0, 1, 5])
def test_atoms(tmp_path, count):
    rng = np.random.default_rng(1)
    atoms = Atoms(["Cu", "X", "Au", "O", "Ba"][:count], rng.standard_normal((count, 3)))
    atoms.set_array("intensity", rng.random(count) * 1e-9)
    atoms.set_array("outcome", np.array(["true", "non_atom", "false_class", "true", "x"][:count], dtype="U14"))
    atoms.set_array("displacement_A", np.full(count, np.nan))
    atoms.info = {"n_core": 3, "lattice_A": 3.78, "name": "a b"}
    save_atoms(tmp_path / "a.extxyz", atoms)
    back = load_atoms(tmp_path / "a.extxyz")
    assert len(back) == count
    if count:
        assert np.array_equal(back.positions, atoms.positions)
        assert back.get_chemical_symbols() == atoms.get_chemical_symbols()
        assert np.array_equal(back.arrays["intensity"], atoms.arrays["intensity"])
        assert np.array_equal(back.arrays["outcome"], atoms.arrays["outcome"])
        assert np.isnan(back.arrays["displacement_A"]).all()
        assert back.info == atoms.info
