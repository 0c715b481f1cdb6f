"""A write that does not come to its end, interrupted or on a full disk, leaves nothing and keeps what was there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchsuite.errors import StoreError
from benchsuite.physics.rotations import single_axis


class Failing:
    """The images of a series, of which the last tilt cannot be had."""

    def __init__(self, data, error, seen):
        self.shape, self.ndim, self.dtype = data.shape, data.ndim, data.dtype
        self._data, self._error, self._seen = data, error, seen

    def __len__(self):
        return len(self._data)

    def __getitem__(self, tilt):
        self._seen.append(tilt)
        if tilt == len(self) - 1:
            raise self._error
        return self._data[tilt]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("unreadable")])
def test_an_interrupted_write_leaves_nothing_and_keeps_what_was_there(tmp_path, error, fmt, make, assert_equal):
    seen = []
    broken = make(data=Failing(make().data, error, seen))
    with pytest.raises((KeyboardInterrupt, StoreError)):
        fmt.write(broken, tmp_path / fmt.file)
    assert list(tmp_path.iterdir()) == []
    assert seen == [0, 1, 2]
    fmt.write(make("adf"), tmp_path / fmt.file)
    with pytest.raises((KeyboardInterrupt, StoreError)):
        fmt.write(broken, tmp_path / fmt.file)
    assert_equal(fmt.read(tmp_path / fmt.file), make("adf"))
    assert [path.name for path in tmp_path.iterdir()] == [fmt.file]


@pytest.mark.parametrize("size", [3000, 20_000, 100_000])
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path, size, fmt, make, files_of_at_most):
    noise = np.random.default_rng(0).random((2, 1, 8, 8, 32, 32), dtype=np.float32)
    series = make(data=noise, rotations=single_axis([0, 90]), defocus_A=np.zeros(1))
    with files_of_at_most(size), pytest.raises(StoreError, match=r"cannot write .*files may not be that large"):
        fmt.write(series, tmp_path / fmt.file)
    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_reported_even_through_hdf5_errors(tmp_path, monkeypatch, emd, make, files_of_at_most):
    def write_image(root, name, image, series):
        with files_of_at_most(100):
            root.file.flush()
        raise OSError("Can't synchronously write data (address of object past end of allocation)")

    monkeypatch.setattr("benchsuite.measured.formats.emd._write_image", write_image)
    with pytest.raises(StoreError, match=r"cannot write .*files may not be that large"):
        emd.write(make(), tmp_path / "s.emd")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_hdf5_survives_a_disk_that_takes_nothing(tmp_path, monkeypatch, emd, make):
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    monkeypatch.setattr("benchsuite.measured.files.temporary_name", lambda _: full)
    with pytest.raises(StoreError, match=r"cannot write .*s\.emd: the disk is full"):
        emd.write(make(), tmp_path / "s.emd")
    assert list(tmp_path.iterdir()) == []
