"""Tilt series travel through EMD and zarr without loss."""

from __future__ import annotations

import numpy as np
import pytest

from benchsuite.data import Optics
from benchsuite.measured.array import MeasuredArray
from benchsuite.measured.series import read_series
from benchsuite.physics.rotations import random_rotation
from benchsuite.storage import save_series

GENERAL = np.stack([random_rotation(np.random.default_rng(i)) for i in range(3)])
SERIES = {
    "adf": ("adf", {}),
    "adf with a pixel size of patterns": ("adf", {"reciprocal_step_per_A": 0.03, "detector_mrad": None}),
    "4dstem": ("4dstem", {}),
    "general rotations, noise-free, no aberrations": (
        "4dstem",
        {"rotations": GENERAL, "dose_e_per_A2": np.inf, "optics": Optics(300, 20)},
    ),
}


@pytest.mark.parametrize("name", SERIES)
def test_nothing_is_lost(tmp_path, name, fmt, make, assert_equal):
    modality, changes = SERIES[name]
    series = make(modality, **changes)
    path = fmt.write(series, tmp_path / "new" / fmt.file)
    assert_equal(fmt.read(path), series)
    assert_equal(fmt.read(fmt.write(fmt.read(path), path)), series)
    assert [entry.name for entry in path.parent.iterdir()] == [fmt.file]


def test_patterns_stay_on_disk(tmp_path, fmt, make):
    assert isinstance(fmt.read(fmt.write(make(), tmp_path / fmt.file)).data, MeasuredArray)
    assert isinstance(fmt.read(fmt.write(make("adf"), tmp_path / f"adf-{fmt.file}")).data, np.ndarray)


def test_a_zarr_group_of_the_store_can_be_read(tmp_path, make, assert_equal):
    series = make()
    save_series(tmp_path / "s.zarr", iter(series.data), series)
    assert_equal(read_series(tmp_path / "s.zarr"), series)
