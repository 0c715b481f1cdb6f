"""What a data file of any format holds: an array that is read where it is indexed, and what the file says about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from benchsuite.data import TiltSeries
from benchsuite.errors import BenchsuiteError
from benchsuite.measured.checks import damage_reported

LENGTHS_A = {"A": 1.0, "Å": 1.0, "\u212b": 1.0, "angstrom": 1.0, "pm": 0.01, "nm": 10.0, "µm": 1e4, "μm": 1e4, "um": 1e4, "m": 1e10}
RECIPROCALS_PER_A = {f"{one}{unit}": 1 / LENGTHS_A[unit] for unit in ("A", "Å", "nm") for one in ("1/", "1 / ")}
RECIPROCALS_PER_A |= {f"{unit}{power}": 1 / LENGTHS_A[unit] for unit in ("A", "Å", "nm") for power in ("^-1", "-1", "⁻¹")}
ANGLES_MRAD = {"mrad": 1.0, "rad": 1e3}


class Sliced(Protocol):
    """An array on disk: what is indexed is read, and nothing else."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...

    def __getitem__(self, index: Any, /) -> Any: ...


@dataclass(frozen=True)
class Contents:
    """An array of any type and axis order, unread.

    facts: what the file says of it, by the keys of the scenario's section `series` (`kind`, `scan_step_A`, `energy_keV`, …), and
    `rotations` (n, 3, 3) or `tilt_deg`, the angle of a file that holds one tilt. axes: their names, where the file says them.
    """

    format: str
    array: Sliced
    facts: Mapping[str, Any] = field(default_factory=dict)
    axes: tuple[str, ...] | None = None
    remarks: tuple[str, ...] = ()


class Mapped:
    """An array of a file, mapped only while a part of it is read: what stays mapped counts as memory of the process."""

    def __init__(self, file: Path, mapped: np.memmap) -> None:
        self._file, self._offset = file, mapped.offset
        self._order: Literal["C", "F"] = "C" if mapped.flags.c_contiguous else "F"
        self.shape, self.dtype = tuple(mapped.shape), mapped.dtype

    def __getitem__(self, index: Any) -> np.ndarray:
        with damage_reported(self._file):
            mapped = np.memmap(self._file, self.dtype, "r", self._offset, self.shape, self._order)
            return np.array(mapped[index])


AXES = {
    "adf": ("tilt", "focus", "y", "x"),
    "phase": ("tilt", "focus", "y", "x"),
    "4dstem": ("tilt", "focus", "scan_y", "scan_x", "q_y", "q_x"),
}


def of_series(format: str, series: TiltSeries) -> Contents:
    """Return the contents of a file that says everything there is to say."""
    facts = {
        "kind": series.modality,
        "rotations": np.asarray(series.rotations),
        "scan_step_A": series.scan_step_A,
        "reciprocal_step_per_A": series.reciprocal_step_per_A,
        "dose_e_per_A2": series.dose_e_per_A2,
        "defocus_A": tuple(map(float, series.defocus_A)),
        "detector_mrad": series.detector_mrad,
        **vars(series.optics),
    }
    return Contents(format, series.data, {name: value for name, value in facts.items() if value is not None}, AXES[series.modality])


class Stacked:
    """Arrays of one shape and type as the tilts of one."""

    def __init__(self, arrays: Sequence[Sliced]) -> None:
        self._arrays = arrays
        self.shape = (len(arrays), *arrays[0].shape)
        self.dtype = np.dtype(arrays[0].dtype)

    def __getitem__(self, index: Any) -> np.ndarray:
        tilt, *rest = index
        return np.asarray(self._arrays[tilt][tuple(rest)])


def stacked(contents: Sequence[Contents], names: Sequence[str]) -> Contents:
    """Return files of one tilt each as one. Raises BenchsuiteError where they differ in shape, type or calibration."""
    first = contents[0]
    for name, other in zip(names, contents, strict=True):
        for what, one, two in (("shape", first.array.shape, other.array.shape), ("type", first.array.dtype, other.array.dtype)):
            if one != two:
                raise BenchsuiteError(f"{name}: {what} {two}, {names[0]} has {one}; allowed: one {what} for all files")
    of_each = ("rotations", "tilt_deg")
    facts = {name: value for name, value in first.facts.items() if name not in of_each}
    for name, other in zip(names, contents, strict=True):
        for fact in facts:
            if fact in other.facts and not _same(facts[fact], other.facts[fact]):
                raise BenchsuiteError(
                    f"{name}: {fact} {other.facts[fact]}, {names[0]} has {facts[fact]}; allowed: one for all files"
                )
    angles = [one.facts["tilt_deg"] for one in contents if "tilt_deg" in one.facts]
    if len(angles) == len(contents):
        facts["angles_deg"] = angles
    remarks = tuple(dict.fromkeys(remark for one in contents for remark in one.remarks))
    axes = ("tilt", *first.axes) if first.axes and "tilt" not in first.axes else None
    return Contents(f"{len(contents)} files, {first.format}", Stacked([one.array for one in contents]), facts, axes, remarks)


def _same(a: Any, b: Any) -> bool:
    numbers = isinstance(a, (int, float)) and isinstance(b, (int, float))
    return bool(np.isclose(a, b, rtol=1e-6, atol=0)) if numbers else bool(a == b)
