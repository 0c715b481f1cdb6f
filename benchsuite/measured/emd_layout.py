"""The layout of a tilt series in one HDF5 file: EMD 1.0 (https://emdatasets.com/format) as py4DSTEM ≥ 0.14 writes and opens it.

    /                                emd_group_type "file", version_major 1, version_minor 0, UUID, authoring_program
    /tilt_series                     emd_group_type "root"
        metadatabundle/calibration   R_pixel_size in "A", Q_pixel_size in "A^-1" (python_class "Calibration")
        metadatabundle/tilt_series   everything else that a `TiltSeries` holds, and a checksum of it (python_class "Metadata")
        tilt_000_focus_000, …        a DataCube (R_y, R_x, Q_y, Q_x) for 4dstem, an Array (R_y, R_x) for adf: `data`, and
                                     `dim0`, `dim1`, … with the coordinates along its axes, zero at index n//2

The images carry a Fletcher-32 checksum per chunk. The pixel sizes that count are those of the calibration.
"""

from __future__ import annotations

import re

ROOT = "tilt_series"
CALIBRATION = "metadatabundle/calibration"
ABOUT = f"metadatabundle/{ROOT}"
VERSION = 1
IMAGE_NAME = re.compile(r"tilt_(\d+)_focus_(\d+)")
AXES = (("R_y", "A"), ("R_x", "A"), ("Q_y", "A^-1"), ("Q_x", "A^-1"))


def image_name(tilt: int, focus: int) -> str:
    """Return the name of the group of an image, which IMAGE_NAME matches."""
    return f"tilt_{tilt:03d}_focus_{focus:03d}"
