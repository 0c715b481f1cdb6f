"""Files of py4DSTEM are read with the angles and optics that they lack; a file is told nothing that it says itself."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from benchsuite.errors import BenchsuiteError
from benchsuite.measured import read_emd, write_emd
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


def test_a_file_of_py4dstem_needs_angles_and_optics(tmp_path, angles, optics):
    file = py4dstem_file(tmp_path / "p.h5")
    series = read_emd(file, angles_deg=angles, optics=optics)
    assert series.data.shape == (3, 1, 2, 3, 4, 5)
    assert series.data.dtype == np.float32
    assert list(series.data[:, 0, 0, 0, 0, 0]) == [1, 2, 10]
    assert np.array_equal(series.rotations, single_axis(angles))
    assert series.scan_step_A == 5.0
    assert series.reciprocal_step_per_A == pytest.approx(2e-3 / wavelength_A(200.0))
    assert series.dose_e_per_A2 == np.inf
    assert list(series.defocus_A) == [0.0]
    with pytest.raises(
        BenchsuiteError, match=r"p\.h5: .*pass angles_deg \(3 angles in degrees about y.* and optics \(such as Optics"
    ):
        read_emd(file)
    with pytest.raises(BenchsuiteError, match="does not tell the optics; pass optics"):
        read_emd(file, angles_deg=angles)
    with pytest.raises(BenchsuiteError, match="shape \\(2,\\); pass 3 angles"):
        read_emd(file, angles_deg=angles[:2], optics=optics)
    with pytest.raises(BenchsuiteError, match=r"rotations\[1\] is not a rotation"):
        read_emd(file, angles_deg=[0.0, np.nan, 0.0], optics=optics)


@pytest.mark.parametrize(
    "calibration",
    [
        {"R_pixel_units": b"pixels"},
        {"Q_pixel_units": b"pixels"},
        {"Q_pixel_size": 0.0},
        {"R_pixel_size": np.nan},
        {"R_pixel_size": b"much"},
    ],
)
def test_a_file_without_pixel_sizes_is_refused(tmp_path, calibration, angles, optics):
    file = py4dstem_file(tmp_path / "p.h5", **calibration)
    with pytest.raises(
        BenchsuiteError, match=r"no calibration: .*metadatabundle/calibration has .*allowed: a positive number in A"
    ):
        read_emd(file, angles_deg=angles, optics=optics)


def test_calibration_in_the_file_cannot_be_passed_again(tmp_path, make, angles, optics):
    file = write_emd(make(), tmp_path / "s.emd")
    with pytest.raises(BenchsuiteError, match="rotations of its own; leave out angles_deg"):
        read_emd(file, angles_deg=angles)
    with pytest.raises(BenchsuiteError, match="optics of its own; leave out optics"):
        read_emd(file, optics=optics)
