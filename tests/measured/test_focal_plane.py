"""Measured series whose defocus counts from the entrance of the specimen."""

from __future__ import annotations

import numpy as np
import pytest

from benchsuite.errors import BenchsuiteError
from benchsuite.measured.files import write_series
from benchsuite.measured.series import open_measured, read_series
from benchsuite.measured.settings import SeriesFile
from benchsuite.reconstructors.lot.image_fit import model_for
from benchsuite.reconstructors.lot.params import LOTParams

STEP_A, SIDE, DEPTH_A = 0.5, 64, 12.0  # a field of 32 Å, much wider than the specimen is deep


def opened(folder, **optics):
    np.save(folder / "stack.npy", np.ones((3, SIDE, SIDE), np.float32))
    section = {"file": str(folder / "stack.npy"), "tilts": [-60, 0, 60], "scan_step_A": STEP_A, "energy_keV": 300}
    return open_measured(SeriesFile(**section, semiangle_mrad=25.0, **optics)).series


@pytest.mark.parametrize(
    ("optics", "depth_A"),
    [
        ({"focal_plane": "entrance", "specimen_depth_A": DEPTH_A}, -DEPTH_A / 2),
        ({"focal_plane": "entrance", "specimen_depth_A": DEPTH_A, "defocus_A": 4.0}, 4.0 - DEPTH_A / 2),
        ({"focal_plane": "centre", "defocus_A": 4.0}, 4.0),
        ({"defocus_A": 4.0}, 4.0),
    ],
)
def test_probe_of_a_measured_series_focuses_at_its_focal_plane(tmp_path, optics, depth_A):
    """At the entrance of the specimen, not half a field of view above its centre."""
    series = opened(tmp_path, **optics)
    assert series.defocus_A == [depth_A]
    model = model_for(LOTParams(interaction="adaptive", slice_A=1.0), series, threads=1)
    assert model.probes.sharpest_depths_A() == pytest.approx(depth_A, abs=0.3)


def test_entrance_focal_plane_needs_the_depth_of_the_specimen(tmp_path):
    with pytest.raises(BenchsuiteError, match=r"series\.focal_plane: entrance needs specimen_depth_A"):
        opened(tmp_path, focal_plane="entrance")


@pytest.mark.parametrize("name", ["s.emd", "s.zarr"])
def test_exported_series_keeps_its_converted_defocus(tmp_path, name):
    series = opened(tmp_path, focal_plane="entrance", specimen_depth_A=DEPTH_A, defocus_A=4.0)
    write_series(series, tmp_path / name)
    back = read_series(tmp_path / name)
    assert back.defocus_A == [4.0 - DEPTH_A / 2]
    assert (back.optics, back.scan_step_A) == (series.optics, series.scan_step_A)
    assert np.array_equal(back.data, np.asarray(series.data))
