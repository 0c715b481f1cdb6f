"""Data files of every registered format: found, opened with all checks around the reader, joined, and written."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError

from benchsuite import registry
from benchsuite.atomic import clear_disk_errors, fsync_path, temporary_name, write_text
from benchsuite.contract.reader import ArrayOnDisk, Contents, Reader
from benchsuite.data import TiltSeries, Volume
from benchsuite.errors import BenchsuiteError, StoreError, choices
from benchsuite.measured.checks import KeyedError, angles_about_y, check_series, damage_reported, natural_order, regular_file
from benchsuite.measured.settings import FROM_FILES, SeriesFile

MAX_FILES = 10_000
OF_TILTS = ("rotations", "angles_deg", "tilt_deg")


def reader_of(file: Path, name: str | None = None) -> tuple[str, Reader]:
    """Return the name of a registered reader, by its name or by suffix and content of a file, and an instance.

    Raises BenchsuiteError where there is none, or where several take the file.
    """
    if name is not None:
        return name, registry.reader(name)()
    suffix = file.suffix.lower()
    fitting = {known: cls for known in registry.names("reader") if suffix in (cls := registry.reader(known)).suffixes}
    if not fitting:
        known = ", ".join(f"{one} ({' '.join(registry.reader(one).suffixes)})" for one in registry.names("reader"))
        raise BenchsuiteError(f"{file}: no reader takes {suffix or 'a file without suffix'}; a series can be read by {known}")
    if len(fitting) > 1:
        specific = {one: cls for one, cls in fitting.items() if cls.recognises is not Reader.recognises}
        recognising = {}
        for one, cls in specific.items():
            with damage_reported(file, cls.extra):
                if cls().recognises(file):
                    recognising[one] = cls
        fitting = recognising or {one: cls for one, cls in fitting.items() if one not in specific} or fitting
    if len(fitting) > 1:
        raise BenchsuiteError(f"{file}: the readers {' and '.join(fitting)} all take it; name one with series.reader")
    ((found, cls),) = fitting.items()
    return found, cls()


def open_file(file: Path, dataset: str | None = None, reader: str | None = None) -> tuple[str, Contents]:
    """Return the name of the reader of a file, and what the file holds, its array guarded and its metadata checked.

    Metadata that a scenario could not state are left out, with a remark. Raises BenchsuiteError that names the file.
    """
    name, opener = reader_of(file, reader)
    with damage_reported(file, opener.extra):
        contents = opener.open(file, dataset)
        array = _Guarded(file, contents.array)
    if array.dtype.kind not in "fiu":
        raise BenchsuiteError(f"{file}: values of type {array.dtype}; allowed: real numbers")
    metadata, unusable = _checked(file, name, contents.metadata)
    return name, replace(
        contents,
        array=array,
        metadata=metadata,
        remarks=(*contents.remarks, *unusable),
        format=contents.format or opener.title.split(";")[0],
    )


class _Guarded:
    """An array in a file whose reading raises nothing but BenchsuiteError, with the name of the file."""

    def __init__(self, file: Path, array: ArrayOnDisk) -> None:
        self._file, self._array = file, array
        self.shape, self.dtype = tuple(map(int, array.shape)), np.dtype(array.dtype)

    def __getitem__(self, index: Any) -> np.ndarray:
        with damage_reported(self._file):
            return np.asarray(self._array[index])


def _checked(file: Path, reader: str, metadata: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the metadata that are valid, and a remark on each that is not. Raises BenchsuiteError for a key that is none."""
    valid, remarks = {}, []
    for key, value in metadata.items():
        if key in OF_TILTS:
            valid[key] = value
            continue
        if key not in FROM_FILES:
            raise BenchsuiteError(f"{file}: the reader {reader} returns metadata {key!r}; {choices(key, (*FROM_FILES, *OF_TILTS))}")
        try:
            valid[key] = getattr(SeriesFile.model_validate({"file": str(file), key: value}), key)
        except ValidationError:
            remarks.append(f"{file.name}: {key} {value!r} of the header is not usable")
    return valid, remarks


def find_files(section: SeriesFile) -> tuple[Path, ...]:
    """Return the files of a section `series`, a pattern's in natural order. Raises KeyedError where there are none."""
    if section.file is not None:
        return (_readable(section.file, "series.file"),)
    if isinstance(section.files, str):
        if "**" in section.files:
            raise KeyedError("series.files", f"{section.files}: ** is not allowed; name one folder")
        found = sorted(glob.iglob(section.files), key=natural_order)
    else:
        found = list(section.files or ())
    if not found:
        raise KeyedError("series.files", f"{section.files}: no such files")
    if len(found) > MAX_FILES:
        raise KeyedError("series.files", f"{len(found):,} files; at most {MAX_FILES:,} are allowed")
    return tuple(_readable(name, "series.files") for name in found)


def _readable(name: str, key: str) -> Path:
    file = Path(name)
    folders = {suffix for reader in registry.names("reader") for suffix in registry.reader(reader).folders}
    return regular_file(file, key, file.suffix.lower() in folders)


class _Stacked:
    """Arrays of one shape and type as the tilts of one."""

    def __init__(self, arrays: Sequence[ArrayOnDisk]) -> None:
        self._arrays = arrays
        self.shape = (len(arrays), *arrays[0].shape)
        self.dtype = np.dtype(arrays[0].dtype)

    def __getitem__(self, index: Any) -> np.ndarray:
        tilt, *rest = index
        return np.asarray(self._arrays[tilt][tuple(rest)])


class _OnlyTilt:
    """The only tilt of an array."""

    def __init__(self, array: ArrayOnDisk) -> None:
        self._array, self.shape, self.dtype = array, tuple(array.shape[1:]), np.dtype(array.dtype)

    def __getitem__(self, index: Any) -> np.ndarray:
        return np.asarray(self._array[(0, *index)])


def stacked(contents: Sequence[Contents], names: Sequence[str]) -> Contents:
    """Return files of one tilt each as one. Raises BenchsuiteError where they differ in shape, type or calibration."""
    contents = [_of_one_tilt(one, name) for one, name in zip(contents, names, strict=True)]
    first = contents[0]
    for name, other in zip(names, contents, strict=True):
        for what, one, two in (("shape", first.array.shape, other.array.shape), ("type", first.array.dtype, other.array.dtype)):
            if one != two:
                raise BenchsuiteError(f"{name}: {what} {two}, {names[0]} has {one}; allowed: one {what} for all files")
    metadata = {name: value for name, value in first.metadata.items() if name not in OF_TILTS}
    for name, other in zip(names, contents, strict=True):
        for key, value in metadata.items():
            if key in other.metadata and not _same(value, other.metadata[key]):
                raise BenchsuiteError(f"{name}: {key} {other.metadata[key]}, {names[0]} has {value}; allowed: one for all files")
    angles = [one.metadata["tilt_deg"] for one in contents if "tilt_deg" in one.metadata]
    if len(angles) == len(contents):
        metadata["angles_deg"] = angles
    remarks = tuple(dict.fromkeys(remark for one in contents for remark in one.remarks))
    axes = ("tilt", *first.axes) if first.axes and "tilt" not in first.axes else None
    files = tuple(file for one in contents for file in one.files)
    array = _Stacked([one.array for one in contents])
    return Contents(array, metadata, axes, files, remarks, f"{len(contents)} files, {first.format}")


def _of_one_tilt(contents: Contents, name: str) -> Contents:
    """Return the contents of a file of one tilt without a tilt axis."""
    axes = contents.axes
    if axes is None or axes[0] != "tilt":
        return contents
    if contents.array.shape[0] != 1:
        raise BenchsuiteError(f"{name}: holds {contents.array.shape[0]} tilts; allowed in series.files: one tilt per file")
    return replace(contents, array=_OnlyTilt(contents.array), axes=axes[1:])


def _same(a: Any, b: Any) -> bool:
    numbers = isinstance(a, (int, float)) and isinstance(b, (int, float))
    return bool(np.isclose(a, b, rtol=1e-6, atol=0)) if numbers else bool(a == b)


def written_suffixes(what: Literal["stack", "series"]) -> list[str]:
    """Return the suffixes of the formats that stacks of images (and volumes), or whole series, can be written to."""
    classes = [registry.reader(name) for name in registry.names("reader")]
    return sorted({suffix for cls in classes if cls.writes(what) for suffix in cls.suffixes})


def write_series(series: TiltSeries, file: Path) -> list[Path]:
    """Write a series to a format that holds all of it, or images to a stack, averaged over foci; return the files.

    With a stack goes a `.rawtlt` of angles in degrees, where the rotations are about y. A file of that name is replaced when all
    is written. Raises BenchsuiteError for a series that could not be read back and where something else has that name, StoreError
    where the disk refuses.
    """
    if file.suffix.lower() in written_suffixes("series"):
        check_series(series, file)
        with _replacing(file, "series") as (writer, temporary):
            writer.write_series(series, temporary)
        return [file]
    if series.modality == "4dstem":
        allowed = ", ".join(written_suffixes("series"))
        raise BenchsuiteError(f"{file}: patterns do not fit into a stack of images; a 4dstem series can be written to {allowed}")
    _write_stack(series.data.mean(axis=1), series.scan_step_A, file)
    angles = angles_about_y(series.rotations)
    if angles is None:
        return [file]
    write_text(file.with_suffix(".rawtlt"), "".join(f"{angle:.6f}\n" for angle in angles))
    return [file, file.with_suffix(".rawtlt")]


def write_volume(volume: Volume, file: Path) -> list[Path]:
    """Write a volume (z, y, x), and return the file. Raises BenchsuiteError as `write_series`."""
    _write_stack(volume.data, volume.voxel_A, file)
    return [file]


def _write_stack(data: np.ndarray, pixel_A: float, file: Path) -> None:
    with _replacing(file, "stack") as (writer, temporary):
        writer.write_stack(np.asarray(data, dtype=np.float32), pixel_A, temporary)


@contextmanager
def _replacing(target: Path, what: Literal["stack", "series"]) -> Iterator[tuple[Reader, Path]]:
    """Yield the writer of a file (or folder) and a name beside it to write under; it takes the file's name when all is written.

    Otherwise what was written is deleted.
    """
    classes = [registry.reader(name) for name in registry.names("reader")]
    fitting = [cls for cls in classes if cls.writes(what) and target.suffix.lower() in cls.suffixes]
    if not fitting:
        raise BenchsuiteError(f"{target}: a {what} can be written to {', '.join(written_suffixes(what))}")
    writer = fitting[0]()
    if target.is_dir() and not (target.suffix.lower() in writer.folders and writer.recognises(target)):
        raise BenchsuiteError(f"{target}: is a folder that could not be replaced; give another name")
    temporary = temporary_name(target)
    try:
        with clear_disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            yield writer, temporary
            for path in [*temporary.rglob("*"), temporary] if temporary.is_dir() else [temporary]:
                fsync_path(path)
            _publish(temporary, target)
    except ImportError as error:
        with damage_reported(target, writer.extra):
            raise error
    except (OSError, RuntimeError) as error:
        raise StoreError(f"cannot write {target}: {error}; nothing half-written was left under that name") from error
    finally:
        _remove(temporary)


def _publish(temporary: Path, target: Path) -> None:
    old = temporary_name(target)
    if target.is_dir():
        os.rename(target, old)
    os.replace(temporary, target)
    fsync_path(target.parent)
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
