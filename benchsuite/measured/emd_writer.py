"""Writing a tilt series as an EMD file (`emd_layout`)."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite.data import TiltSeries
from benchsuite.errors import BenchsuiteError
from benchsuite.measured.checks import check_intensities, check_series
from benchsuite.measured.description import angles_about_y, description, fingerprint
from benchsuite.measured.emd_layout import AXES, ROOT, VERSION, image_name
from benchsuite.measured.emd_metadata import write_items
from benchsuite.measured.hdf5 import Output, import_h5py
from benchsuite.measured.whole_files import replacing

CHUNK_VALUES = 2**18


def write_emd(series: TiltSeries, file: Path) -> Path:
    """Write a series, one tilt in memory at a time, and return the file; a file of that name is replaced when all is written.

    Raises BenchsuiteError where h5py is missing or the series is one that `read_emd` would refuse, StoreError where the disk does.
    """
    h5py = import_h5py(file)
    check_series(series, file)
    if file.is_dir():
        raise BenchsuiteError(f"{file}: is a folder; give the name of a file")
    with replacing(file) as temporary, Output(temporary) as output, h5py.File(output, "w", libver=("v110", "v110")) as stream:
        root = _write_header(stream, series)
        for tilt, names in enumerate(_names(series)):
            for name, image in zip(names, np.asarray(series.data[tilt]), strict=True):
                output.raise_failure()
                check_intensities(image, f"{file}: {name}")
                _write_image(root, name, image, series)
    return file


def _names(series: TiltSeries) -> list[list[str]]:
    tilts, foci = series.data.shape[:2]
    return [[image_name(tilt, focus) for focus in range(foci)] for tilt in range(tilts)]


def _write_header(stream: Any, series: TiltSeries) -> Any:
    """Write the attributes of the file, the root and its metadata; return the root's group.

    py4DSTEM calibrates the axes of the data cubes that its Calibration lists as targets.
    """
    stream.attrs.update({"emd_group_type": "file", "version_major": 1, "version_minor": 0})
    stream.attrs.update({"UUID": str(uuid.uuid4()), "authoring_program": "benchsuite", "authoring_user": ""})
    root = _group(stream, ROOT, "root", "Root")
    bundle = root.create_group("metadatabundle")
    bundle.attrs["emd_group_type"] = "metadatabundle"
    reciprocal = series.reciprocal_step_per_A
    calibration: dict[str, Any] = {
        "R_pixel_size": float(series.scan_step_A),
        "R_pixel_units": "A",
        "Q_pixel_size": float(reciprocal) if reciprocal else 1.0,
        "Q_pixel_units": "A^-1" if reciprocal else "pixels",
        "QR_flip": False,
        "convergence_semiangle_mrad": float(series.optics.semiangle_mrad),
    }
    if series.modality == "4dstem":
        calibration |= {"_root_treepath": "", "_target_paths": [f"/{name}" for row in _names(series) for name in row]}
    write_items(_group(bundle, "calibration", "metadata", "Calibration"), calibration)
    facts = description(series)
    angles = {"tilt_angles_deg": angles_about_y(facts["rotations"])}
    marks = {"format": "benchsuite tilt series", "format_version": VERSION, "sha256": fingerprint(series)}
    write_items(_group(bundle, ROOT, "metadata", "Metadata"), {**marks, **facts, **angles})
    return root


def _group(parent: Any, name: str, group_type: str, python_class: str) -> Any:
    group = parent.create_group(name)
    group.attrs.update({"emd_group_type": group_type, "python_class": python_class})
    return group


def _write_image(root: Any, name: str, image: np.ndarray, series: TiltSeries) -> None:
    group = _group(root, name, "array", "DataCube" if image.ndim == 4 else "Array")
    data = group.create_dataset(
        "data", data=image, chunks=_chunks(image.shape), shuffle=True, compression="gzip", compression_opts=1, fletcher32=True
    )
    data.attrs["units"] = "fraction of the incident electrons"
    steps = {"A": series.scan_step_A, "A^-1": series.reciprocal_step_per_A or 0.0}
    for axis, length in enumerate(image.shape):
        label, unit = AXES[axis]
        dim = group.create_dataset(f"dim{axis}", data=steps[unit] * (np.arange(length) - length // 2))
        dim.attrs.update({"name": label, "units": unit})


def _chunks(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of chunks of at most CHUNK_VALUES values: whole patterns of neighbouring positions where they fit."""
    chunks: list[int] = []
    room = CHUNK_VALUES
    for length in reversed(shape):
        chunks.insert(0, max(1, min(length, room)))
        room //= chunks[0]
    return tuple(chunks)
