"""`benchsuite export` writes a series without loss, and a stack of images where that is asked for."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from benchsuite.errors import BenchsuiteError
from benchsuite.export import export_cell
from benchsuite.measured.checks import angles_about_y
from benchsuite.measured.series import read_series


def export(series, file):
    run = SimpleNamespace(records={"0": {}}, folder="run", cell=lambda _: SimpleNamespace(series=lambda: series))
    return export_cell(run, "0", "series", file)


@pytest.mark.parametrize("modality", ["adf", "4dstem"])
def test_export_of_a_series_without_loss(tmp_path, modality, make, assert_equal):
    for suffix in (".emd", ".h5", ".hdf5", ".zarr"):
        file = tmp_path / f"s{suffix}"
        assert export(make(modality), file) == [file]
        assert_equal(read_series(file), make(modality))


def test_export_of_a_stack_is_for_images(tmp_path, make, angles):
    series = make("adf", data=np.random.default_rng(0).random((3, 2, 4, 5), dtype=np.float32))
    assert export(series, tmp_path / "s.mrc") == [tmp_path / "s.mrc", tmp_path / "s.rawtlt"]
    assert np.allclose(np.loadtxt(tmp_path / "s.rawtlt"), angles)
    assert np.allclose(angles_about_y(series.rotations), angles)
    for suffix in (".mrc", ".tiff"):
        with pytest.raises(BenchsuiteError, match=r"4dstem series can be written to \.emd, \.h5, \.hdf5, \.py4dstem, \.zarr"):
            export(make(), tmp_path / f"p{suffix}")
    with pytest.raises(
        BenchsuiteError, match=r"series can be written to .*\.mrc, .*\.tif, \.tiff, \.emd, \.h5, \.hdf5, \.py4dstem, \.zarr"
    ):
        export(make(), tmp_path / "p.png")
