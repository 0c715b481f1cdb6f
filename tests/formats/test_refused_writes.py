"""What could not be read back is not written, other things are not overwritten, and a missing library is named."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from benchsuite.errors import BenchsuiteError
from benchsuite.measured import read_emd, write_emd, write_zarr

UNFIT = {
    "double precision": (lambda s: {"data": s.data.astype(np.float64)}, "float64; allowed: float32"),
    "empty": (lambda s: {"data": s.data[:, :, :0]}, "is empty"),
    "no detector pixel": (lambda _: {"reciprocal_step_per_A": None}, "no calibration: reciprocal_step_per_A is None"),
    "no scan step": (lambda _: {"scan_step_A": 0.0}, "no calibration: scan_step_A is None"),
    "mirrored": (lambda s: {"rotations": -s.rotations}, r"rotations\[0\] is not a rotation"),
    "no defocus": (lambda _: {"defocus_A": np.array([0.0, np.nan])}, "defocus_A is .*allowed: finite"),
    "no dose": (lambda _: {"dose_e_per_A2": np.nan}, "dose_e_per_A2 is nan; allowed: a positive number, or inf"),
    "negative": (lambda s: {"data": s.data - np.float32(0.001)}, "negative intensities"),
    "NaN": (lambda s: {"data": s.data * np.float32("nan")}, "NaN or infinite intensities"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_unreadable_series_is_not_written(tmp_path, name, fmt, make):
    changes, message = UNFIT[name]
    with pytest.raises(BenchsuiteError, match=message):
        fmt.write(make(**changes(make())), tmp_path / fmt.file)
    assert list(tmp_path.iterdir()) == []


def test_other_things_are_not_overwritten(tmp_path, make):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("years")
    for write in (write_emd, write_zarr):
        with pytest.raises(BenchsuiteError, match=r"is a folder|is no zarr group"):
            write(make(), tmp_path / "work")
    assert (tmp_path / "work" / "thesis.txt").read_text() == "years"


def test_missing_h5py_is_reported_with_the_extra(tmp_path, monkeypatch, make):
    file = write_emd(make(), tmp_path / "s.emd")
    monkeypatch.setitem(sys.modules, "h5py", None)
    for action in (lambda: read_emd(file), lambda: write_emd(make(), tmp_path / "t.emd")):
        with pytest.raises(BenchsuiteError, match=r"extra `formats`: pip install 'benchsuite\[formats\]'"):
            action()
