"""What could not be read back is not written, other things are not overwritten, and a missing library is named."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from benchsuite.errors import BenchsuiteError

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


def test_other_things_are_not_overwritten(tmp_path, fmt, make):
    work = tmp_path / fmt.file
    work.mkdir()
    (work / "thesis.txt").write_text("years")
    with pytest.raises(BenchsuiteError, match="is a folder that could not be replaced"):
        fmt.write(make(), work)
    assert (work / "thesis.txt").read_text() == "years"


def test_missing_h5py_is_reported_with_the_extra(tmp_path, monkeypatch, emd, make):
    file = emd.write(make(), tmp_path / "s.emd")
    monkeypatch.setitem(sys.modules, "h5py", None)
    for action in (lambda: emd.read(file), lambda: emd.write(make(), tmp_path / "t.emd")):
        with pytest.raises(BenchsuiteError, match=r"extra `formats`: pip install 'benchsuite\[formats\]'"):
            action()
