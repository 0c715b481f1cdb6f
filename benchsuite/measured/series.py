"""A measured tilt series: its files opened, described, checked, and read tilt by tilt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from benchsuite.contract.reader import AXES, Contents
from benchsuite.data import Modality, Optics, TiltSeries
from benchsuite.errors import BenchsuiteError
from benchsuite.measured.array import CENTRED_AXES, Levels, MeasuredArray, find_levels
from benchsuite.measured.checks import KeyedError
from benchsuite.measured.files import find_files, open_file, stacked
from benchsuite.measured.settings import SeriesFile
from benchsuite.measured.tilts import describe_tilts, file_of_tilts, measured_rotations
from benchsuite.physics.detector import angle_step_mrad
from benchsuite.physics.electrons import wavelength_A
from benchsuite.physics.probe import centred_defocus_A
from benchsuite.storage import json_safe

MAX_FRACTION = 1.05  # of the electrons: more cannot reach a detector


@dataclass(frozen=True)
class Measured:
    """A series whose data are read where they are indexed, with the values of the files; the files, and their readers."""

    series: TiltSeries
    files: tuple[Path, ...]
    readers: tuple[str, ...]
    description: str
    remarks: tuple[str, ...]


def read_series(file: str | Path | Sequence[str | Path], **settings: Any) -> TiltSeries:
    """Return the series of a file of any registered format, or of one file per tilt.

    settings: keys of a scenario's section `series`, such as tilts=[-60, 0, 60] or energy_keV=300; what is left out is taken
    from the files. Images come in memory; patterns stay on disk and are read by tilt. Raises BenchsuiteError for what is missing,
    contradictory or damaged.
    """
    named: dict[str, Any] = {"file": str(file)} if isinstance(file, (str, Path)) else {"files": [str(each) for each in file]}
    try:
        section = SeriesFile.model_validate({**named, **json_safe(settings)})
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        raise BenchsuiteError(f"{file}: {problems}") from error
    series = levelled(open_measured(section), section)
    return series if series.modality == "4dstem" else replace(series, data=np.asarray(series.data))


def open_measured(section: SeriesFile) -> Measured:
    """Return the series of a section `series` with absolute paths; nothing but headers and small series is read.

    Raises KeyedError with the key that is wrong or missing, and BenchsuiteError where a file is.
    """
    files = find_files(section)
    readers, contents = _contents(section, files)
    kind = _kind(section, contents)
    axes = _axes(section, contents, kind)
    array = MeasuredArray(contents.array, kind, axes, _flip(section, kind), _where(files))
    if 0 in array.shape:
        raise KeyedError(_key(section), f"{_where(files)}: a series of shape {array.shape} is empty")
    tilts = file_of_tilts(section.tilting, files[0] if len(files) == 1 else None, contents.metadata)
    rotations = measured_rotations(section.tilting, tilts, contents.metadata, len(array))
    series = _series(section, contents.metadata, kind, array, rotations)
    shape = " × ".join(map(str, contents.array.shape))
    description = f"{_where(files)}: {contents.format}, {shape} {contents.array.dtype} as {', '.join(axes)}: {_description(series)}"
    read = tuple(dict.fromkeys([*files, *contents.files, *([tilts] if tilts else [])]))
    return Measured(series, read, tuple(readers), description, contents.remarks)


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
    if mean > MAX_FRACTION:
        what = "patterns add up to" if kind == "4dstem" else "intensities are"
        raise KeyedError(
            "series.normalise",
            f"with a dose, intensities must be fractions of the incident electrons, but {what} {mean:.4g} on average; set "
            "electrons (counts of single electrons), patterns, or a number; or leave out dose_e_per_A2",
        )


def _key(section: SeriesFile) -> str:
    return "series.file" if section.file is not None else "series.files"


def _contents(section: SeriesFile, files: tuple[Path, ...]) -> tuple[list[str], Contents]:
    """Return the readers of the files, and what the files hold."""
    try:
        readers, opened = zip(*(open_file(file, section.dataset, section.reader) for file in files), strict=True)
        contents = opened[0] if section.file is not None else stacked(opened, [str(file) for file in files])
    except BenchsuiteError as error:
        raise KeyedError(_key(section), str(error)) from error
    return sorted(set(readers)), contents


def _kind(section: SeriesFile, contents: Contents) -> Modality:
    names = section.axes or contents.axes or ()
    found: Modality | None = contents.metadata.get("kind")
    if names and found is None:
        found = "4dstem" if "scan_y" in names else "adf"
    counts: dict[int, Modality] = {2: "adf", 3: "adf", 5: "4dstem", 6: "4dstem"}
    kind = section.kind or found or counts.get(len(contents.array.shape))
    if kind is None:
        shape = contents.array.shape
        raise KeyedError(
            "series.kind", f"an array of shape {shape} may be images or patterns; set kind: adf, 4dstem or phase, or axes"
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
        if name not in AXES[kind] or name not in CENTRED_AXES:
            allowed = [one for one in AXES[kind] if one in CENTRED_AXES]
            raise KeyedError("series.flip", f"{name}; allowed: {', '.join(allowed)}")
    return section.flip


def _series(section: SeriesFile, metadata: Mapping[str, Any], kind: Modality, array: Any, rotations: np.ndarray) -> TiltSeries:
    def known(name: str, default: Any = None) -> Any:
        stated = getattr(section, name)
        return metadata.get(name, default) if stated is None else stated

    lacking = [name for name in ("scan_step_A", "energy_keV", "semiangle_mrad") if known(name) is None]
    reciprocal = None if "energy_keV" in lacking else _reciprocal_step(section, metadata, known("energy_keV"))
    if kind == "4dstem" and reciprocal is None and "energy_keV" not in lacking:
        lacking.append("reciprocal_step_per_A (or angle_step_mrad)")
    if lacking:
        them = "it" if len(lacking) == 1 else "them"
        raise KeyedError(_key(section), f"the file does not state {', '.join(lacking)}; give {them} in series")
    defocus = known("defocus_A", 0.0)
    defoci = np.atleast_1d(np.asarray(defocus, dtype=np.float64))
    if len(defoci) != array.shape[1]:
        raise KeyedError("series.defocus_A", f"{len(defoci)} values for {array.shape[1]} focus images; allowed: one for each")
    plane, depth_A = known("focal_plane", "centre"), known("specimen_depth_A")
    if plane == "entrance" and depth_A is None:
        raise KeyedError("series.focal_plane", "entrance needs specimen_depth_A, the extent of the specimen along the beam")
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
        ),
        defocus_A=np.array([centred_defocus_A(float(defocus), plane, depth_A or 0.0) for defocus in defoci]),
        dose_e_per_A2=float(known("dose_e_per_A2", np.inf)),
        detector_mrad=None if detector is None else (float(detector[0]), float(detector[1])),
        reciprocal_step_per_A=reciprocal,
    )
    _check_levels(section, series)
    return series


def _reciprocal_step(section: SeriesFile, metadata: Mapping[str, Any], energy_keV: float) -> float | None:
    for source in (vars(section), metadata):
        if source.get("reciprocal_step_per_A") is not None:
            return float(source["reciprocal_step_per_A"])
        if source.get("angle_step_mrad") is not None:
            return float(source["angle_step_mrad"]) * 1e-3 / wavelength_A(energy_keV)
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


def _description(series: TiltSeries) -> str:
    ny, nx = series.scan_shape
    parts = [series.modality, describe_tilts(series.rotations), f"{ny} × {nx} pixels of {series.scan_step_A:g} Å"]
    if series.modality == "4dstem":
        rows, columns = series.data.shape[4:]
        parts.append(f"patterns of {rows} × {columns} pixels of {angle_step_mrad(series):.3g} mrad")
    parts.append(f"{series.optics.energy_keV:g} keV, {series.optics.semiangle_mrad:g} mrad")
    dose = series.dose_e_per_A2
    return ", ".join([*parts, f"{dose:g} e/Å²" if np.isfinite(dose) else "dose unknown"])
