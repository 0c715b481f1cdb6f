"""An EMD file is laid out as EMD 1.0 and py4DSTEM have it."""

from __future__ import annotations

import h5py
import numpy as np

from benchsuite.physics.rotations import random_rotation


def test_the_layout_is_the_one_of_emd_1_0(tmp_path, emd, make, angles):
    series = make()
    with h5py.File(emd.write(series, tmp_path / "s.emd")) as stream:
        assert dict(stream.attrs).items() >= {"emd_group_type": "file", "version_major": 1, "version_minor": 0}.items()
        assert dict(stream["tilt_series"].attrs) == {"emd_group_type": "root", "python_class": "Root"}
        bundle = stream["tilt_series/metadatabundle"]
        assert bundle.attrs["emd_group_type"] == "metadatabundle"
        assert dict(bundle["calibration"].attrs) == {"emd_group_type": "metadata", "python_class": "Calibration"}
        calibration = {name: item[()] for name, item in bundle["calibration"].items() if isinstance(item, h5py.Dataset)}
        assert calibration["R_pixel_size"] == series.scan_step_A
        assert calibration["R_pixel_units"] == b"A"
        assert calibration["Q_pixel_size"] == series.reciprocal_step_per_A
        assert calibration["Q_pixel_units"] == b"A^-1"
        assert bundle["calibration/Q_pixel_size"].attrs["type"] == b"number"
        assert np.allclose(bundle["tilt_series/tilt_angles_deg"], angles)
        cubes = [name for name in stream["tilt_series"] if name != "metadatabundle"]
        assert cubes == [f"tilt_00{tilt}_focus_00{focus}" for tilt in range(3) for focus in range(2)]
        cube = stream["tilt_series/tilt_002_focus_001"]
        assert dict(cube.attrs) == {"emd_group_type": "array", "python_class": "DataCube"}
        assert np.array_equal(cube["data"], series.data[2, 1])
        assert cube["data"].fletcher32
        assert cube["data"].compression == "gzip"
        assert cube["data"].attrs["units"]
        dims = [cube[f"dim{axis}"] for axis in range(4)]
        assert [(dim.attrs["name"], dim.attrs["units"]) for dim in dims] == [
            ("R_y", "A"),
            ("R_x", "A"),
            ("Q_y", "A^-1"),
            ("Q_x", "A^-1"),
        ]
        assert np.allclose(dims[1], series.scan_step_A * np.array([-2, -1, 0, 1, 2]))
        assert np.allclose(dims[2], series.reciprocal_step_per_A * np.array([-3, -2, -1, 0, 1, 2]))


def test_images_are_arrays_and_general_rotations_have_no_angles(tmp_path, emd, make):
    rotations = np.stack([random_rotation(np.random.default_rng(i)) for i in range(3)])
    with h5py.File(emd.write(make("adf", rotations=rotations), tmp_path / "s.emd")) as stream:
        assert stream["tilt_series/tilt_000_focus_000"].attrs["python_class"] == "Array"
        assert stream["tilt_series/tilt_000_focus_000"]["data"].shape == (4, 5)
        assert "dim2" not in stream["tilt_series/tilt_000_focus_000"]
        assert stream["tilt_series/metadatabundle/tilt_series/tilt_angles_deg"].attrs["type"] == b"None"
