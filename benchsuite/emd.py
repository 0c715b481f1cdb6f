"""Tilt series in one HDF5 file: EMD 1.0 (https://emdatasets.com/format) as py4DSTEM ≥ 0.14 writes and opens it.

    /                                emd_group_type "file", version_major 1, version_minor 0, UUID, authoring_program
    /tilt_series                     emd_group_type "root"
        metadatabundle/calibration   R_pixel_size in "A", Q_pixel_size in "A^-1" (python_class "Calibration")
        metadatabundle/tilt_series   everything else that a `TiltSeries` holds, and a checksum of it (python_class "Metadata")
        tilt_000_focus_000, …        a DataCube (R_y, R_x, Q_y, Q_x) for 4dstem, an Array (R_y, R_x) for adf: `data`, and
                                     `dim0`, `dim1`, … with the coordinates along its axes, zero at index n//2

The images carry a Fletcher-32 checksum per chunk. The pixel sizes that count are those of the calibration.
"""

from __future__ import annotations

import io
import itertools
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from benchsuite.data import Modality, Optics, TiltSeries
from benchsuite.electrons import wavelength_A
from benchsuite.errors import BenchsuiteError
from benchsuite.geometry import single_axis
from benchsuite.series_files import (
    angles_about_y,
    check_fingerprint,
    check_intensities,
    check_series,
    damage_reported,
    description,
    fingerprint,
    replacing,
)

ROOT = "tilt_series"
CALIBRATION = "metadatabundle/calibration"
ABOUT = f"metadatabundle/{ROOT}"
VERSION = 1
IMAGE_NAME = re.compile(r"tilt_(\d+)_focus_(\d+)")
AXES = (("R_y", "A"), ("R_x", "A"), ("Q_y", "A^-1"), ("Q_x", "A^-1"))
LENGTHS_A = {"A": 1.0, "Å": 1.0, "nm": 10.0}
KINDS = {
    bool: "bool",
    dict: "dict",
    float: "number",
    int: "number",
    list: "list_of_strings",
    np.ndarray: "array",
    str: "string",
    tuple: "tuple",
    type(None): "None",
}
CHUNK_VALUES = 2**18


def write_emd(series: TiltSeries, file: Path) -> Path:
    """Write a series, one tilt in memory at a time, and return the file; a file of that name is replaced when all is written.

    Raises BenchsuiteError where h5py is missing or the series is one that `read_emd` would refuse, StoreError where the disk does.
    """
    h5py = _h5py(file)
    check_series(series, file)
    if file.is_dir():
        raise BenchsuiteError(f"{file}: is a folder; give the name of a file")
    with replacing(file) as temporary, _Output(temporary) as output, h5py.File(output, "w", libver=("v110", "v110")) as stream:
        root = _write_header(stream, series)
        for tilt, names in enumerate(_names(series)):
            for name, image in zip(names, np.asarray(series.data[tilt]), strict=True):
                output.raise_failure()
                check_intensities(image, f"{file}: {name}")
                _write_image(root, name, image, series)
    return file


def read_emd(file: Path, angles_deg: Sequence[float] | np.ndarray | None = None, optics: Optics | None = None) -> TiltSeries:
    """Return the series of a file of `write_emd`, bit for bit, or of a file of py4DSTEM with one data cube per tilt.

    A file of py4DSTEM says neither tilts nor optics: give `angles_deg` (about y, one for each data cube in the natural order of
    their names) and `optics`. Its axes are taken as (R_y, R_x, Q_y, Q_x), its intensities as they are, at zero defocus.
    Everything is read once, so that damage shows here; then the images of a 4D-STEM series stay on disk (`EmdArray`).
    Raises BenchsuiteError for a file that is missing, damaged, or lacks something, and for images of unequal shape, NaN or
    negative intensities; the message says what is allowed.
    """
    h5py = _h5py(file)
    _check_readable(file, h5py)
    with damage_reported(file), h5py.File(file, "r") as stream:
        _check_header(file, stream)
        names = _image_names(file, stream)
        roots = [stream[root] for root in sorted({name.split("/")[1] for row in names for name in row})]
        about = _completed(file, _about(file, roots[0]), names, angles_deg, optics)
        series = _series(file, roots, about, EmdArray(file, names, _common_shape(file, stream, names)))
        check_series(series, file)
        if "sha256" in about:
            check_fingerprint(series, about["sha256"], f"{file}: {roots[0].name}/{ABOUT}")
    if series.modality == "adf":
        return replace(series, data=np.asarray(series.data))
    for tilt in range(len(series.data)):
        series.data[tilt]
    return series


class EmdArray:
    """The images of an EMD file as (n_tilt, n_focus, …) float32, read where they are indexed, a tilt (or some tilts) first."""

    dtype = np.dtype(np.float32)

    def __init__(self, file: Path, names: Sequence[Sequence[str]], shape: Sequence[int]) -> None:
        """`names[tilt][focus]` are the groups of the images, `shape` is the shape of one image."""
        self._file, self._names = file.absolute(), names
        self.shape = (len(names), len(names[0]), *shape)
        self.ndim, self.size = len(self.shape), int(np.prod(self.shape))
        self.nbytes = self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        first, *rest = index if isinstance(index, tuple) else (index,)
        if first is Ellipsis:
            return np.asarray(self)[index]
        tilts = np.arange(len(self))[first]
        if tilts.ndim == 0:
            return self._tilt(int(tilts), rest)
        images = [self._tilt(int(tilt), rest) for tilt in tilts]
        return np.stack(images) if images else np.empty((0, *self.shape[1:]), self.dtype)[(slice(None), *rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    def _tilt(self, tilt: int, rest: Sequence[Any]) -> np.ndarray:
        """Return the images of a tilt, indexed by the rest of the index; a single focus is read alone."""
        h5py, names = _h5py(self._file), self._names[tilt]
        with damage_reported(self._file), h5py.File(self._file, "r") as stream:
            if rest and isinstance(rest[0], (int, np.integer)):
                image = _read_image(self._file, stream, names[int(rest[0])])
                return image[tuple(rest[1:])]
            images = np.stack([_read_image(self._file, stream, name) for name in names])
        return images[tuple(rest)]


class _Output(io.FileIO):
    """A new file for HDF5 to write into, which crashes where a write fails: a failure is kept, and raised later.

    It is raised when asked for or on leaving, in place of the error that HDF5 may meet when it reads back what is not there.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self._failure: OSError | None = None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        super().__exit__(kind, error, trace)
        if error is None or isinstance(error, Exception):
            self.raise_failure()

    def raise_failure(self) -> None:
        """Raise what a write or truncation has met, if anything."""
        if self._failure is not None:
            raise self._failure

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        done = 0
        try:
            while done < len(view) and self._failure is None:
                done += super().write(view[done:])
        except OSError as error:
            self._failure = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self._failure = self._failure or error
            return size or 0


def _h5py(file: Path) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise BenchsuiteError(f"{file}: EMD needs the extra `formats`: pip install 'benchsuite[formats]' ({error})") from error
    return h5py


def _names(series: TiltSeries) -> list[list[str]]:
    tilts, foci = series.data.shape[:2]
    return [[f"tilt_{tilt:03d}_focus_{focus:03d}" for focus in range(foci)] for tilt in range(tilts)]


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
    _write_items(_group(bundle, "calibration", "metadata", "Calibration"), calibration)
    facts = description(series)
    angles = {"tilt_angles_deg": angles_about_y(facts["rotations"])}
    marks = {"format": "benchsuite tilt series", "format_version": VERSION, "sha256": fingerprint(series)}
    _write_items(_group(bundle, ROOT, "metadata", "Metadata"), {**marks, **facts, **angles})
    return root


def _group(parent: Any, name: str, group_type: str, python_class: str) -> Any:
    group = parent.create_group(name)
    group.attrs.update({"emd_group_type": group_type, "python_class": python_class})
    return group


def _write_items(group: Any, items: Mapping[str, Any]) -> None:
    """Write named values as EMD metadata: each a dataset or a group, whose attribute `type` says what it is.

    Text is of fixed length, as emdfile writes it: what HDF5 keeps of variable length has no checksum.
    """
    for name, value in items.items():
        if isinstance(value, dict):
            item = group.create_group(name)
            _write_items(item, value)
        elif isinstance(value, list):
            item = group.create_group(name)
            item.attrs["length"] = len(value)
            for index, text in enumerate(value):
                item.create_dataset(str(index), data=text.encode())
        elif isinstance(value, np.ndarray):
            item = group.create_dataset(name, data=value, chunks=value.shape, fletcher32=True)
        else:
            stored = "_None" if value is None else value
            item = group.create_dataset(name, data=stored.encode() if isinstance(stored, str) else stored)
        item.attrs["type"] = np.bytes_(KINDS[type(value)].encode())


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


def _image_names(file: Path, stream: Any) -> list[list[str]]:
    """Return the groups of the images by tilt and focus: as their names say, else every data cube as a tilt."""
    roots = [group for group in stream.values() if group.attrs.get("emd_group_type") == "root"]
    classes = {group.name: group.attrs.get("python_class") for root in roots for group in _arrays(root)}
    matches = {name: IMAGE_NAME.fullmatch(name.rsplit("/", 1)[1]) for name in classes}
    positions = {name: (int(match[1]), int(match[2])) for name, match in matches.items() if match}
    if positions:
        return _in_rows(file, positions)
    cubes = [[name] for name, python_class in classes.items() if python_class == "DataCube"]
    if not cubes:
        raise BenchsuiteError(
            f"{file}: unknown layout: no data in it; allowed: a DataCube (or an Array tilt_000_focus_000) per tilt"
        )
    return sorted(cubes, key=lambda row: _natural(row[0]))


def _arrays(root: Any) -> list[Any]:
    """The groups of arrays below a root."""
    found: list[Any] = []

    def visit(_name: str, item: Any) -> None:
        if item.attrs.get("emd_group_type") == "array":
            found.append(item)

    root.visititems(visit)
    return found


def _natural(name: str) -> list[tuple[int, str]]:
    """A sorting key by which cube_2 comes before cube_10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def _in_rows(file: Path, positions: Mapping[str, tuple[int, int]]) -> list[list[str]]:
    named = {position: name for name, position in positions.items()}
    tilts, foci = (1 + max(position[i] for position in named) for i in range(2))
    absent = next((place for place in itertools.product(range(tilts), range(foci)) if place not in named), None)
    if absent or len(named) < len(positions):
        fault = "tilt_{:03d}_focus_{:03d} is missing".format(*absent) if absent else "two images of one tilt and focus"
        raise BenchsuiteError(f"{file}: {fault}; allowed: one image for every focus of every tilt, counted from 0")
    return [[named[tilt, focus] for focus in range(foci)] for tilt in range(tilts)]


def _common_shape(file: Path, stream: Any, names: Sequence[Sequence[str]]) -> tuple[int, ...]:
    """Return the shape of every image, (ny, nx) or (R_y, R_x, Q_y, Q_x)."""
    flat = [name for row in names for name in row]
    shapes = {}
    for name in flat:
        if "data" not in stream[name]:
            raise BenchsuiteError(f"{file}: {name} has no dataset `data`")
        data = stream[f"{name}/data"]
        if data.ndim not in (2, 4) or data.dtype.kind not in "fiu":
            found = f"{data.dtype} of shape {data.shape}"
            raise BenchsuiteError(f"{file}: {name} is {found}; allowed: real numbers (R_y, R_x) or (R_y, R_x, Q_y, Q_x)")
        shapes[name] = tuple(data.shape)
        if shapes[name] != shapes[flat[0]]:
            differing = f"{name} has shape {shapes[name]}, {flat[0]} has {shapes[flat[0]]}"
            raise BenchsuiteError(f"{file}: {differing}; allowed: one shape for all tilts and foci")
    return shapes[flat[0]]


def _about(file: Path, root: Any) -> dict[str, Any]:
    """Return what `write_emd` noted about the series; nothing in a file of another program."""
    if ABOUT not in root:
        return {}
    about = _read_items(root[ABOUT])
    if about.get("format_version") != VERSION:
        raise BenchsuiteError(
            f"{file}: unknown layout: format_version is {about.get('format_version')} in {root.name}/{ABOUT}; allowed: {VERSION}"
        )
    return about


def _read_items(group: Any) -> dict[str, Any]:
    return {name: _read_items(item) if hasattr(item, "items") else _read_item(item) for name, item in group.items()}


def _read_item(item: Any) -> Any:
    value = item[()]
    if isinstance(value, bytes):
        text = value.decode()
        return None if text == "_None" else text
    return value.item() if isinstance(value, np.generic) else value


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
    found = _read_items(root[CALIBRATION]) if CALIBRATION in root else {}
    size, unit = found.get(f"{key}_size"), found.get(f"{key}_units")
    factor = units.get(str(unit))
    if factor is None or not isinstance(size, (int, float)) or not 0 < size < np.inf:
        raise BenchsuiteError(
            f"{file}: no calibration: {root.name}/{CALIBRATION} has {key}_size {size} and {key}_units {unit}; "
            f"allowed: a positive number in {' or '.join(units)}"
        )
    return float(size) * factor


def _read_image(file: Path, stream: Any, name: str) -> np.ndarray:
    """Return one image as float32 once its checksums and intensities have been checked."""
    try:
        values = stream[f"{name}/data"][...]
    except OSError as error:
        raise BenchsuiteError(f"{file}: {name} is damaged: its data do not match their checksum ({error})") from error
    with np.errstate(over="ignore"):
        image = np.asarray(values, dtype=np.float32)
    check_intensities(image, f"{file}: {name}")
    return image
