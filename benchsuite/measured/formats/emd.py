"""EMD 1.0 (https://emdatasets.com/format), as py4DSTEM ≥ 0.14 writes and opens it: a tilt series in one HDF5 file.

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
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from benchsuite.contract.reader import Contents, Reader
from benchsuite.data import Modality, Optics, TiltSeries
from benchsuite.errors import BenchsuiteError
from benchsuite.measured.checks import (
    angles_about_y,
    check_fingerprint,
    check_series,
    checked_tilts,
    description,
    fingerprint,
    natural_order,
)
from benchsuite.measured.formats import ANGLES_MRAD, LENGTHS_A, RECIPROCALS_PER_A
from benchsuite.measured.formats.hdf5 import HDF5

ROOT = "tilt_series"
CALIBRATION = "metadatabundle/calibration"
ABOUT = f"metadatabundle/{ROOT}"
VERSION = 1
IMAGE_NAME = re.compile(r"tilt_(\d+)_focus_(\d+)")
AXES = (("R_y", "A"), ("R_x", "A"), ("Q_y", "A^-1"), ("Q_x", "A^-1"))
CHUNK_VALUES = 2**18
ITEM_TYPES = {
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


class EMD(Reader):
    title = "EMD 1.0: tilt series of benchsuite, or data cubes of py4DSTEM as tilts"
    reference = "Savitzky et al. 2021, doi:10.1017/S1431927621000477"
    suffixes = (".emd", ".h5", ".hdf5", ".py4dstem")
    extra = "formats"

    def recognises(self, file: Path) -> bool:
        import h5py

        if not h5py.is_hdf5(file):
            return False
        with h5py.File(file, "r") as stream:
            return stream.attrs.get("emd_group_type") == "file"

    def open(self, file: Path, dataset: str | None = None) -> Contents:
        """Return all of a series written by benchsuite, or the data cubes of another program as tilts."""
        import h5py

        if dataset is not None:
            return HDF5().open(file, dataset)
        with h5py.File(file, "r") as stream:
            _check_version(file, stream)
            names = _image_names(file, stream)
            data = EmdArray(file, names, *_common_type(file, stream, names))
            root = stream[names[0][0].split("/")[1]]
            if ABOUT in root:
                return Contents.of_series(_series(file, root, data), "EMD of benchsuite")
            axes = ("scan_y", "scan_x", "q_y", "q_x") if len(data.shape) == 6 else ("y", "x")
            return Contents(data, _metadata(root), ("tilt", "focus", *axes), format="EMD of py4DSTEM")

    def write_series(self, series: TiltSeries, file: Path) -> None:
        import h5py

        with Output(file) as output, h5py.File(output, "w", libver=("v110", "v110")) as stream:
            root = _write_header(stream, series)
            for names, tilt in zip(_names(series), checked_tilts(series, file), strict=True):
                for name, image in zip(names, tilt, strict=True):
                    output.raise_failure()
                    _write_image(root, name, image, series)


class EmdArray:
    """The images of an EMD file as (n_tilt, n_focus, …), read where they are indexed, by a tilt first."""

    def __init__(self, file: Path, names: Sequence[Sequence[str]], shape: Sequence[int], dtype: np.dtype) -> None:
        """`names[tilt][focus]` are the groups of the images, `shape` is the shape of one image."""
        self._file, self._names, self.dtype = file, names, np.dtype(dtype)
        self.shape = (len(names), len(names[0]), *shape)
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        import h5py

        tilt, *rest = index
        with h5py.File(self._file, "r") as stream:
            images = np.stack([_read_image(self._file, stream, name) for name in self._names[tilt]])
        return images[tuple(rest)]


def _metadata(root: Any) -> dict[str, Any]:
    """Header fields of another program that are used: the pixel sizes of the calibration."""
    found, metadata = _read_items(root[CALIBRATION]) if CALIBRATION in root else {}, dict[str, Any]()
    for key, name, units in (
        ("R_pixel", "scan_step_A", LENGTHS_A),
        ("Q_pixel", "reciprocal_step_per_A", RECIPROCALS_PER_A),
        ("Q_pixel", "angle_step_mrad", ANGLES_MRAD),
    ):
        size, factor = found.get(f"{key}_size"), units.get(str(found.get(f"{key}_units")))
        if factor is not None and isinstance(size, (int, float)) and 0 < size < np.inf:
            metadata[name] = float(size) * factor
    return metadata


def _check_version(file: Path, stream: Any) -> None:
    version = stream.attrs.get("version_major")
    if stream.attrs.get("emd_group_type") != "file" or version != 1:
        found = "no EMD file" if version is None else f"EMD of version {version}"
        raise BenchsuiteError(
            f"{file}: unknown layout: an HDF5 file, but {found}; allowed: EMD 1.0, with the attributes emd_group_type 'file' and "
            "version_major 1, as benchsuite and py4DSTEM 0.14 and later write it"
        )


def _series(file: Path, root: Any, data: EmdArray) -> TiltSeries:
    """Return the series written by benchsuite, its images on disk, after the checks that need none of them."""
    about, where = _read_items(root[ABOUT]), f"{file}: {root.name}/{ABOUT}"
    if about.get("format_version") != VERSION:
        raise BenchsuiteError(f"{where}: unknown layout: format_version is {about.get('format_version')}; allowed: {VERSION}")
    if lacking := [name for name in ("rotations", "optics", "defocus_A", "dose_e_per_A2") if name not in about]:
        raise BenchsuiteError(f"{where}: unknown layout: {', '.join(lacking)} missing; allowed: what `benchsuite export` writes")
    modality: Modality = "4dstem" if data.ndim == 6 else "adf"
    sizes = _metadata(root)
    for name in ("scan_step_A", "reciprocal_step_per_A")[: 2 if modality == "4dstem" else 1]:
        if name not in sizes:
            raise BenchsuiteError(f"{file}: no calibration: {root.name}/{CALIBRATION} has no {name} in a known unit")
    detector = about.get("detector_mrad")
    series = TiltSeries(
        modality=modality,
        data=data,  # type: ignore[arg-type]
        rotations=np.asarray(about["rotations"], dtype=np.float64),
        scan_step_A=sizes["scan_step_A"],
        optics=Optics(**about["optics"]),
        defocus_A=np.asarray(about["defocus_A"], dtype=np.float64),
        dose_e_per_A2=about["dose_e_per_A2"],
        detector_mrad=None if detector is None else (float(detector[0]), float(detector[1])),
        reciprocal_step_per_A=sizes["reciprocal_step_per_A"] if modality == "4dstem" else about.get("reciprocal_step_per_A"),
    )
    check_series(series, file)
    if "sha256" in about:
        check_fingerprint(series, about["sha256"], where)
    return series


def _image_names(file: Path, stream: Any) -> list[list[str]]:
    """Return the groups of the images by tilt and focus, from their names; else every data cube is a tilt."""
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
    return sorted(cubes, key=lambda row: natural_order(row[0]))


def _common_type(file: Path, stream: Any, names: Sequence[Sequence[str]]) -> tuple[tuple[int, ...], np.dtype]:
    """Return the shape of every image, (ny, nx) or (R_y, R_x, Q_y, Q_x), and its type."""
    found = {}
    for name in (flat := [name for row in names for name in row]):
        if "data" not in stream[name]:
            raise BenchsuiteError(f"{file}: {name} has no dataset `data`")
        data = stream[f"{name}/data"]
        found[name] = (tuple(data.shape), data.dtype)
        if data.ndim not in (2, 4) or data.dtype.kind not in "fiu":
            one = f"{data.dtype} of shape {data.shape}"
            raise BenchsuiteError(f"{file}: {name} is {one}; allowed: real numbers (R_y, R_x) or (R_y, R_x, Q_y, Q_x)")
        if found[name] != found[flat[0]]:
            one, other = (f"{entry} has shape {found[entry][0]} ({found[entry][1]})" for entry in (name, flat[0]))
            raise BenchsuiteError(f"{file}: {one}, {other}; allowed: one shape and type for all tilts and foci")
    return found[flat[0]]


def _read_image(file: Path, stream: Any, name: str) -> np.ndarray:
    """Return one image once its checksums have been checked."""
    try:
        return np.asarray(stream[f"{name}/data"][...])
    except OSError as error:
        raise BenchsuiteError(f"{file}: {name} is damaged: its data do not match their checksum ({error})") from error


def _arrays(root: Any) -> list[Any]:
    """The groups of arrays below a root."""
    found: list[Any] = []

    def visit(_name: str, item: Any) -> None:
        if item.attrs.get("emd_group_type") == "array":
            found.append(item)

    root.visititems(visit)
    return found


def _in_rows(file: Path, positions: Mapping[str, tuple[int, int]]) -> list[list[str]]:
    named = {position: name for name, position in positions.items()}
    tilts, foci = (1 + max(position[i] for position in named) for i in range(2))
    absent = next((place for place in itertools.product(range(tilts), range(foci)) if place not in named), None)
    if absent or len(named) < len(positions):
        fault = f"{_image_name(*absent)} is missing" if absent else "two images of one tilt and focus"
        raise BenchsuiteError(f"{file}: {fault}; allowed: one image for every focus of every tilt, counted from 0")
    return [[named[tilt, focus] for focus in range(foci)] for tilt in range(tilts)]


def _image_name(tilt: int, focus: int) -> str:
    """Return the name of the group of an image, which IMAGE_NAME matches."""
    return f"tilt_{tilt:03d}_focus_{focus:03d}"


def _write_items(group: Any, items: Mapping[str, Any]) -> None:
    """Write named values into a group.

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
        item.attrs["type"] = np.bytes_(ITEM_TYPES[type(value)].encode())


def _read_items(group: Any) -> dict[str, Any]:
    """Return the named values of a group."""
    return {name: _read_items(item) if hasattr(item, "items") else _read_item(item) for name, item in group.items()}


def _read_item(item: Any) -> Any:
    value = item[()]
    if isinstance(value, bytes):
        text = value.decode()
        return None if text == "_None" else text
    return value.item() if isinstance(value, np.generic) else value


def _names(series: TiltSeries) -> list[list[str]]:
    tilts, foci = series.data.shape[:2]
    return [[_image_name(tilt, focus) for focus in range(foci)] for tilt in range(tilts)]


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
    metadata = description(series)
    angles = {"tilt_angles_deg": angles_about_y(metadata["rotations"])}
    marks = {"format": "benchsuite tilt series", "format_version": VERSION, "sha256": fingerprint(series)}
    _write_items(_group(bundle, ROOT, "metadata", "Metadata"), {**marks, **metadata, **angles})
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


class Output(io.FileIO):
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
