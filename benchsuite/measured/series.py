"""A tilt series of somebody's own files: opened, described, checked, and read tilt by tilt."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite.data import Modality, Optics, TiltSeries
from benchsuite.errors import BenchsuiteError
from benchsuite.measured.checks import KeyedError, regular_file
from benchsuite.measured.contents import AXES, Contents, stacked
from benchsuite.measured.generic_hdf5 import hdf5_contents
from benchsuite.measured.mrc import mrc_contents
from benchsuite.measured.npy import npy_contents
from benchsuite.measured.rosettasciio import READERS, rosettasciio_contents
from benchsuite.measured.series_array import CENTRED, Levels, MeasuredArray, find_levels
from benchsuite.measured.settings import SeriesFile
from benchsuite.measured.tiff import tiff_contents
from benchsuite.measured.tilts import file_of_tilts, measured_rotations, told_tilts
from benchsuite.measured.zarr_group import zarr_contents
from benchsuite.physics.detector import angle_step_mrad
from benchsuite.physics.electrons import wavelength_A

FORMATS: dict[str, Callable[[Path, str | None], Contents]] = {
    **dict.fromkeys(READERS, rosettasciio_contents),
    **dict.fromkeys((".mrc", ".mrcs", ".st", ".ali", ".rec"), mrc_contents),
    **dict.fromkeys((".tif", ".tiff"), tiff_contents),
    **dict.fromkeys((".emd", ".h5", ".hdf5", ".py4dstem"), hdf5_contents),
    ".npy": npy_contents,
    ".zarr": zarr_contents,
}
FOLDERS = (".zarr", ".zspy")
MOST_FILES = 10_000
MOST_FRACTION = 1.05  # of the electrons: more cannot reach a detector


@dataclass(frozen=True)
class Measured:
    """A series whose data are read where they are indexed, at the file's own levels; the files that it is read from; in words."""

    series: TiltSeries
    files: tuple[Path, ...]
    told: str
    remarks: tuple[str, ...] = ()


def open_measured(section: SeriesFile) -> Measured:
    """Return the series of a section `series` with absolute paths; nothing but headers and small series is read.

    Raises KeyedError with the key that is wrong or missing, and BenchsuiteError where a file is.
    """
    files = _files(section)
    contents = _contents(section, files)
    kind = _kind(section, contents)
    axes = _axes(section, contents, kind)
    array = MeasuredArray(contents.array, kind, axes, _flip(section, kind), _where(files))
    if 0 in array.shape:
        raise KeyedError(_key(section), f"{_where(files)}: a series of shape {array.shape} is empty")
    tilts = file_of_tilts(section.tilting, files[0] if len(files) == 1 else None, contents.facts)
    rotations = measured_rotations(section.tilting, tilts, contents.facts, len(array))
    series = _series(section, contents.facts, kind, array, rotations)
    shape = " × ".join(map(str, contents.array.shape))
    told = f"{_where(files)}: {contents.format}, {shape} {contents.array.dtype} as {', '.join(axes)}: {_told(series)}"
    return Measured(series, (*files, *((tilts,) if tilts else ())), told, contents.remarks)


def levelled(measured: Measured, section: SeriesFile) -> TiltSeries:
    """Return the series at the levels of intensity that the section asks for; all tilts are read where they depend on them.

    Raises KeyedError where a dose is given, but intensities are no fractions of the electrons.
    """
    series = measured.series
    if not isinstance(series.data, MeasuredArray):
        raise TypeError(f"data of type {type(series.data).__name__}")
    base = Levels(clip=section.clip_negative, rounding=section.round_to_float32)
    levels = find_levels(series.data, section.background, section.normalise, series.electrons_per_position, base)
    return replace(series, data=series.data.with_levels(levels))


def check_fractions(tilt: np.ndarray, section: SeriesFile, kind: Modality) -> None:
    """Raise KeyedError where a dose is given, and intensities (n_focus, …) of a tilt cannot be fractions of its electrons."""
    if section.dose_e_per_A2 is None or kind == "phase":
        return
    mean = float(tilt.sum(axis=(-1, -2)).mean(dtype=np.float64)) if kind == "4dstem" else float(tilt.mean(dtype=np.float64))
    if mean > MOST_FRACTION:
        what = "patterns add up to" if kind == "4dstem" else "intensities are"
        raise KeyedError(
            "series.normalise",
            f"with a dose, intensities must be fractions of the incident electrons, but {what} {mean:.4g} on average; say "
            "electrons (counts of single electrons), patterns, or a number; or leave out dose_e_per_A2",
        )


def _key(section: SeriesFile) -> str:
    return "series.file" if section.file is not None else "series.files"


def _files(section: SeriesFile) -> tuple[Path, ...]:
    if section.file is not None:
        return (regular_file(Path(section.file), "series.file", Path(section.file).suffix.lower() in FOLDERS),)
    if isinstance(section.files, str):
        if "**" in section.files:
            raise KeyedError("series.files", f"{section.files}: ** is not allowed; name one folder")
        found = sorted(glob.iglob(section.files), key=_natural)
    else:
        found = list(section.files or ())
    if not found:
        raise KeyedError("series.files", f"{section.files}: no such files")
    if len(found) > MOST_FILES:
        raise KeyedError("series.files", f"{len(found):,} files; at most {MOST_FILES:,} are allowed")
    return tuple(regular_file(Path(one), "series.files", Path(one).suffix.lower() in FOLDERS) for one in found)


def _natural(name: str) -> list[tuple[int, str]]:
    """A sorting key by which tilt_2 comes before tilt_10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def _contents(section: SeriesFile, files: tuple[Path, ...]) -> Contents:
    key = _key(section)
    opened = []
    for file in files:
        reader = FORMATS.get(file.suffix.lower())
        if reader is None:
            raise KeyedError(key, f"{file}: a series can be read from {', '.join(sorted(FORMATS))}")
        try:
            opened.append(reader(file, section.dataset))
        except BenchsuiteError as error:
            raise KeyedError(key, str(error)) from error
        if opened[-1].array.dtype.kind not in "fiu":
            raise KeyedError(key, f"{file}: values of type {opened[-1].array.dtype}; allowed: real numbers")
    if section.file is not None:
        return opened[0]
    try:
        return stacked([_single(one, file) for one, file in zip(opened, files, strict=True)], [str(file) for file in files])
    except BenchsuiteError as error:
        raise KeyedError(key, str(error)) from error


class _First:
    """The only tilt of an array."""

    def __init__(self, array: Any) -> None:
        self._array, self.shape, self.dtype = array, tuple(array.shape[1:]), np.dtype(array.dtype)

    def __getitem__(self, index: Any) -> np.ndarray:
        return np.asarray(self._array[(0, *index)])


def _single(contents: Contents, file: Path) -> Contents:
    """Return the contents of a file of one tilt without a tilt axis."""
    axes = contents.axes
    if axes is None or axes[0] != "tilt":
        return contents
    if contents.array.shape[0] != 1:
        raise BenchsuiteError(f"{file}: holds {contents.array.shape[0]} tilts; allowed in series.files: one tilt per file")
    return replace(contents, array=_First(contents.array), axes=axes[1:])


def _kind(section: SeriesFile, contents: Contents) -> Modality:
    names = section.axes or contents.axes or ()
    found: Modality | None = contents.facts.get("kind")
    if names and found is None:
        found = "4dstem" if "scan_y" in names else "adf"
    counts: dict[int, Modality] = {2: "adf", 3: "adf", 5: "4dstem", 6: "4dstem"}
    kind = section.kind or found or counts.get(len(contents.array.shape))
    if kind is None:
        shape = contents.array.shape
        raise KeyedError(
            "series.kind", f"an array of shape {shape} may be images or patterns; say kind: adf, 4dstem or phase, or axes"
        )
    return kind


def _axes(section: SeriesFile, contents: Contents, kind: Modality) -> tuple[str, ...]:
    known, shape = AXES[kind], contents.array.shape
    defaults = {len(known) - left: tuple(name for name in known if name not in ("focus", "tilt")[:left]) for left in range(3)}
    axes = section.axes or contents.axes
    if axes is None and len(shape) in defaults:
        axes = defaults[len(shape)]
    wrong = axes is None or len(axes) != len(shape) or not set(axes) <= set(known) or not set(known[2:]) <= set(axes)
    if axes is None or wrong:
        raise KeyedError(
            "series.axes",
            f"{list(axes) if axes else 'not given'} for an array of shape {shape} of kind {kind}; allowed: {len(shape)} of "
            f"{', '.join(known)} in the order of the array, with all but tilt and focus among them",
        )
    return tuple(axes)


def _flip(section: SeriesFile, kind: Modality) -> tuple[str, ...]:
    for name in section.flip:
        if name not in AXES[kind] or name not in CENTRED:
            allowed = [one for one in AXES[kind] if one in CENTRED]
            raise KeyedError("series.flip", f"{name}; allowed: {', '.join(allowed)}")
    return section.flip


def _series(section: SeriesFile, facts: Mapping[str, Any], kind: Modality, array: Any, rotations: np.ndarray) -> TiltSeries:
    def known(name: str, default: Any = None) -> Any:
        stated = getattr(section, name)
        return facts.get(name, default) if stated is None else stated

    lacking = [name for name in ("scan_step_A", "energy_keV", "semiangle_mrad") if known(name) is None]
    reciprocal = None
    if kind == "4dstem" and "energy_keV" not in lacking:
        reciprocal = _reciprocal_step(section, facts, known("energy_keV"))
        lacking += [] if reciprocal else ["reciprocal_step_per_A (or angle_step_mrad)"]
    if lacking:
        them = "it" if len(lacking) == 1 else "them"
        raise KeyedError(_key(section), f"the file does not tell {', '.join(lacking)}; say {them} in series")
    defocus = known("defocus_A", 0.0)
    defoci = np.atleast_1d(np.asarray(defocus, dtype=np.float64))
    if len(defoci) != array.shape[1]:
        raise KeyedError("series.defocus_A", f"{len(defoci)} values for {array.shape[1]} focus images; allowed: one for each")
    detector = known("detector_mrad") if kind == "adf" else None
    series = TiltSeries(
        modality=kind,
        data=array,
        rotations=rotations,
        scan_step_A=float(known("scan_step_A")),
        optics=Optics(
            float(known("energy_keV")),
            float(known("semiangle_mrad")),
            dict(known("aberrations_A", {})),
            known("focal_plane", "centre"),
        ),
        defocus_A=defoci,
        dose_e_per_A2=float(known("dose_e_per_A2", np.inf)),
        detector_mrad=None if detector is None else (float(detector[0]), float(detector[1])),
        reciprocal_step_per_A=reciprocal,
    )
    _check_levels(section, series)
    return series


def _reciprocal_step(section: SeriesFile, facts: Mapping[str, Any], energy_keV: float) -> float | None:
    for told in (vars(section), facts):
        if told.get("reciprocal_step_per_A") is not None:
            return float(told["reciprocal_step_per_A"])
        if told.get("angle_step_mrad") is not None:
            return float(told["angle_step_mrad"]) * 1e-3 / wavelength_A(energy_keV)
    return None


def _check_levels(section: SeriesFile, series: TiltSeries) -> None:
    """Raise KeyedError for levels of intensity, or a detector, that a series of this kind cannot have."""
    if section.normalise == "electrons" and not np.isfinite(series.dose_e_per_A2):
        raise KeyedError("series.normalise", "electrons needs dose_e_per_A2")
    if section.normalise == "patterns" and series.modality != "4dstem":
        raise KeyedError("series.normalise", f"patterns is for kind 4dstem, this is {series.modality}")
    if series.modality == "phase" and (section.normalise == "electrons" or section.clip_negative):
        raise KeyedError("series.normalise" if section.normalise == "electrons" else "series.clip_negative", "is not for phases")
    if series.modality != "4dstem":
        return
    reach = angle_step_mrad(series) * ((min(series.data.shape[4:]) - 1) // 2)
    if section.detector_mrad is not None and section.detector_mrad[1] > reach:
        raise KeyedError("series.detector_mrad", f"{section.detector_mrad[1]:g} mrad; the camera reaches to {reach:.1f} mrad")


def _where(files: tuple[Path, ...]) -> str:
    return str(files[0]) if len(files) == 1 else f"{files[0]} … {files[-1].name}"


def _told(series: TiltSeries) -> str:
    ny, nx = series.scan_shape
    parts = [series.modality, told_tilts(series.rotations), f"{ny} × {nx} pixels of {series.scan_step_A:g} Å"]
    if series.modality == "4dstem":
        rows, columns = series.data.shape[4:]
        parts.append(f"patterns of {rows} × {columns} pixels of {angle_step_mrad(series):.3g} mrad")
    parts.append(f"{series.optics.energy_keV:g} keV, {series.optics.semiangle_mrad:g} mrad")
    dose = series.dose_e_per_A2
    return ", ".join([*parts, f"{dose:g} e/Å²" if np.isfinite(dose) else "dose not known"])
