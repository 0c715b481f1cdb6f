"""Files of py4DSTEM are read with the angles and optics that they lack."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from benchsuite.errors import BenchsuiteError
from benchsuite.measured.series import read_series
from benchsuite.physics.electrons import wavelength_A
from benchsuite.physics.rotations import single_axis


def py4dstem_file(path, count=3, **calibration):
    """A file as py4DSTEM writes it: data cubes cube_1, cube_2, cube_10 … of 16-bit counts under one root with a calibration."""
    items = {"R_pixel_size": 0.5, "R_pixel_units": b"nm", "Q_pixel_size": 2.0, "Q_pixel_units": b"mrad", **calibration}
    with h5py.File(path, "w") as stream:
        stream.attrs.update({"emd_group_type": "file", "version_major": 1, "version_minor": 0})
        root = stream.create_group("datacube_root")
        root.attrs.update({"emd_group_type": "root", "python_class": "Root"})
        group = root.create_group("metadatabundle/calibration")
        group.attrs.update({"emd_group_type": "metadata", "python_class": "Calibration"})
        for name, value in items.items():
            group[name] = value
        for value in (10, 2, 1)[:count]:
            cube = root.create_group(f"cube_{value}")
            cube.attrs.update({"emd_group_type": "array", "python_class": "DataCube"})
            cube["data"] = np.full((2, 3, 4, 5), value, np.uint16)
        image = root.create_group("cube_1/virtual_image" if count == 3 else "virtual_image")
        image.attrs.update({"emd_group_type": "array", "python_class": "VirtualImage"})
        image["data"] = np.zeros((2, 3))
    return path


def test_read_series_py4dstem_needs_angles_and_optics(tmp_path, angles, optics):
    file = py4dstem_file(tmp_path / "p.h5")
    known = {"energy_keV": optics.energy_keV, "semiangle_mrad": optics.semiangle_mrad}
    series = read_series(file, tilts=angles, **known)
    assert series.data.shape == (3, 1, 2, 3, 4, 5)
    assert series.data.dtype == np.float32
    assert list(series.data[:, 0, 0, 0, 0, 0]) == [1, 2, 10]
    assert np.array_equal(series.rotations, single_axis(angles))
    assert series.scan_step_A == 5.0
    assert series.reciprocal_step_per_A == pytest.approx(2e-3 / wavelength_A(200.0))
    assert series.dose_e_per_A2 == np.inf
    assert list(series.defocus_A) == [0.0]
    with pytest.raises(BenchsuiteError, match=r"series\.tilts: the file does not state them.*give 3 angles"):
        read_series(file, **known)
    with pytest.raises(BenchsuiteError, match=r"p\.h5|series\.file: the file does not state energy_keV, semiangle_mrad"):
        read_series(file, tilts=angles)
    with pytest.raises(BenchsuiteError, match=r"2 angles in angles_deg for 3 tilts; allowed: one angle per tilt"):
        read_series(file, tilts=angles[:2], **known)
    with pytest.raises(BenchsuiteError, match=r"p\.h5: tilts.*finite number"):
        read_series(file, tilts=[0.0, np.nan, 0.0], **known)


@pytest.mark.parametrize(
    ("calibration", "lacking"),
    [
        ({"R_pixel_units": b"pixels"}, "scan_step_A"),
        ({"Q_pixel_units": b"pixels"}, "reciprocal_step_per_A"),
        ({"Q_pixel_size": 0.0}, "reciprocal_step_per_A"),
        ({"R_pixel_size": np.nan}, "scan_step_A"),
        ({"R_pixel_size": b"much"}, "scan_step_A"),
    ],
)
def test_read_series_py4dstem_without_pixel_sizes_is_refused(tmp_path, calibration, lacking, angles):
    file = py4dstem_file(tmp_path / "p.h5", **calibration)
    with pytest.raises(BenchsuiteError, match=f"the file does not state {lacking}"):
        read_series(file, tilts=angles, energy_keV=200, semiangle_mrad=20)
