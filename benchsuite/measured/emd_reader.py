"""Reading a tilt series from an EMD file (`emd_layout`), be it of `write_emd` or of py4DSTEM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite.data import Modality, Optics, TiltSeries
from benchsuite.errors import BenchsuiteError
from benchsuite.measured.checks import check_series, damage_reported
from benchsuite.measured.contents import ANGLES_MRAD, Contents, of_series
from benchsuite.measured.description import check_fingerprint
from benchsuite.measured.emd_array import EmdArray, EmdCubes
from benchsuite.measured.emd_images import common_shape, image_names
from benchsuite.measured.emd_layout import ABOUT, CALIBRATION, VERSION
from benchsuite.measured.emd_metadata import read_items
from benchsuite.measured.hdf5 import import_h5py
from benchsuite.physics.electrons import wavelength_A
from benchsuite.physics.rotations import single_axis

LENGTHS_A = {"A": 1.0, "Å": 1.0, "nm": 10.0}
RECIPROCAL_UNITS = {"A^-1": 1.0, "nm^-1": 0.1}


def read_emd(file: Path, angles_deg: Sequence[float] | np.ndarray | None = None, optics: Optics | None = None) -> TiltSeries:
    """Return the series of a file of `write_emd`, bit for bit, or of a file of py4DSTEM with one data cube per tilt.

    A file of py4DSTEM says neither tilts nor optics: give `angles_deg` (about y, one for each data cube in the natural order of
    their names) and `optics`. Its axes are taken as (R_y, R_x, Q_y, Q_x), its intensities as they are, at zero defocus.
    Everything is read once, so that damage shows here; then the images of a 4D-STEM series stay on disk (`EmdArray`).
    Raises BenchsuiteError for a file that is missing, damaged, or lacks something, and for images of unequal shape, NaN or
    negative intensities; the message says what is allowed.
    """
    h5py = import_h5py(file)
    _check_readable(file, h5py)
    with damage_reported(file), h5py.File(file, "r") as stream:
        _check_header(file, stream)
        series = _opened(file, stream, angles_deg, optics)
    if series.modality == "adf":
        return replace(series, data=np.asarray(series.data))
    for tilt in range(len(series.data)):
        series.data[tilt]
    return series


def emd_contents(file: Path, stream: Any) -> Contents:
    """Return what an open EMD file holds, its images unread: all of a series of `write_emd`, or data cubes as tilts."""
    _check_header(file, stream)
    names = image_names(file, stream)
    root = stream[names[0][0].split("/")[1]]
    if _about(file, root):
        return of_series("EMD", _opened(file, stream))
    found, facts = read_items(root[CALIBRATION]) if CALIBRATION in root else {}, dict[str, Any]()
    for key, fact, units in (
        ("R_pixel", "scan_step_A", LENGTHS_A),
        ("Q_pixel", "reciprocal_step_per_A", RECIPROCAL_UNITS),
        ("Q_pixel", "angle_step_mrad", ANGLES_MRAD),
    ):
        size, factor = found.get(f"{key}_size"), units.get(str(found.get(f"{key}_units")))
        if factor is not None and isinstance(size, (int, float)) and 0 < size < np.inf:
            facts[fact] = float(size) * factor
    shape = common_shape(file, stream, names)
    rows, axes = [row[0] for row in names], ("scan_y", "scan_x", "q_y", "q_x") if len(shape) == 4 else ("y", "x")
    return Contents("py4DSTEM", EmdCubes(file, rows, shape, stream[f"{rows[0]}/data"].dtype), facts, ("tilt", *axes))


def _opened(
    file: Path, stream: Any, angles_deg: Sequence[float] | np.ndarray | None = None, optics: Optics | None = None
) -> TiltSeries:
    """Return the series of an open file with its images on disk, after the checks that need none of them."""
    names = image_names(file, stream)
    roots = [stream[root] for root in sorted({name.split("/")[1] for row in names for name in row})]
    about = _completed(file, _about(file, roots[0]), names, angles_deg, optics)
    series = _series(file, roots, about, EmdArray(file, names, common_shape(file, stream, names)))
    check_series(series, file)
    if "sha256" in about:
        check_fingerprint(series, about["sha256"], f"{file}: {roots[0].name}/{ABOUT}")
    return series


def _check_readable(file: Path, h5py: Any) -> None:
    try:
        with open(file, "rb"):
            pass
    except OSError as error:
        raise BenchsuiteError(f"{file}: cannot be read: {error.strerror}") from error
    if not h5py.is_hdf5(file):
        raise BenchsuiteError(f"{file}: not an HDF5 file; allowed: EMD 1.0 files of benchsuite or of py4DSTEM 0.14 and later")


def _check_header(file: Path, stream: Any) -> None:
    version = stream.attrs.get("version_major")
    if stream.attrs.get("emd_group_type") != "file" or version != 1:
        told = "no EMD file" if version is None else f"EMD of version {version}"
        raise BenchsuiteError(
            f"{file}: unknown layout: an HDF5 file, but {told}; allowed: EMD 1.0, with the attributes emd_group_type 'file' and "
            "version_major 1, as benchsuite and py4DSTEM 0.14 and later write it"
        )


def _about(file: Path, root: Any) -> dict[str, Any]:
    """Return what `write_emd` noted about the series; nothing in a file of another program."""
    if ABOUT not in root:
        return {}
    about = read_items(root[ABOUT])
    if about.get("format_version") != VERSION:
        raise BenchsuiteError(
            f"{file}: unknown layout: format_version is {about.get('format_version')} in {root.name}/{ABOUT}; allowed: {VERSION}"
        )
    return about


def _completed(
    file: Path,
    about: dict[str, Any],
    names: Sequence[Sequence[str]],
    angles_deg: Sequence[float] | np.ndarray | None,
    optics: Optics | None,
) -> dict[str, Any]:
    """Return what is known about the series, with rotations and optics from the file or, where it has none, from the caller."""
    wanted = {
        "rotations": ("angles_deg", f"{len(names)} angles in degrees about y, one for each of {names[0][0]} … {names[-1][0]}"),
        "optics": ("optics", "such as Optics(energy_keV=300.0, semiangle_mrad=20.0)"),
    }
    given = {"rotations": angles_deg, "optics": optics}
    lacking = [key for key in wanted if key not in about and given[key] is None]
    if lacking:
        pieces = " and ".join(f"{wanted[key][0]} ({wanted[key][1]})" for key in lacking)
        raise BenchsuiteError(f"{file}: does not tell the {' nor the '.join(lacking)}; pass {pieces}")
    for key in wanted:
        if key in about and given[key] is not None:
            raise BenchsuiteError(f"{file}: has {key} of its own; leave out {wanted[key][0]}")
    if angles_deg is not None:
        if np.shape(angles_deg) != (len(names),):
            raise BenchsuiteError(f"{file}: angles_deg of shape {np.shape(angles_deg)}; pass {wanted['rotations'][1]}")
        about = {**about, "rotations": single_axis(angles_deg)}
    about = {**about, "optics": optics or Optics(**about["optics"])}
    return about if angles_deg is None and optics is None else {key: about[key] for key in about if key != "sha256"}


def _series(file: Path, roots: Sequence[Any], about: Mapping[str, Any], data: Any) -> TiltSeries:
    modality: Modality = "4dstem" if data.ndim == 6 else "adf"
    reciprocal_units = {"A^-1": 1.0, "mrad": 1e-3 / wavelength_A(about["optics"].energy_keV)}
    steps = {_pixel_size(file, root, "R_pixel", LENGTHS_A) for root in roots}
    reciprocal_steps = {about.get("reciprocal_step_per_A")}
    if modality == "4dstem":
        reciprocal_steps = {_pixel_size(file, root, "Q_pixel", reciprocal_units) for root in roots}
    if len(steps) > 1 or len(reciprocal_steps) > 1:
        raise BenchsuiteError(f"{file}: pixel sizes differ between {', '.join(root.name for root in roots)}; allowed: one for all")
    detector = about.get("detector_mrad")
    return TiltSeries(
        modality=modality,
        data=data,
        rotations=np.asarray(about["rotations"], dtype=np.float64),
        scan_step_A=steps.pop(),
        optics=about["optics"],
        defocus_A=np.asarray(about.get("defocus_A", np.zeros(1)), dtype=np.float64),
        dose_e_per_A2=about.get("dose_e_per_A2", np.inf),
        detector_mrad=None if detector is None else (float(detector[0]), float(detector[1])),
        reciprocal_step_per_A=reciprocal_steps.pop(),
    )


def _pixel_size(file: Path, root: Any, key: str, units: Mapping[str, float]) -> float:
    found = read_items(root[CALIBRATION]) if CALIBRATION in root else {}
    size, unit = found.get(f"{key}_size"), found.get(f"{key}_units")
    factor = units.get(str(unit))
    if factor is None or not isinstance(size, (int, float)) or not 0 < size < np.inf:
        raise BenchsuiteError(
            f"{file}: no calibration: {root.name}/{CALIBRATION} has {key}_size {size} and {key}_units {unit}; "
            f"allowed: a positive number in {' or '.join(units)}"
        )
    return float(size) * factor
