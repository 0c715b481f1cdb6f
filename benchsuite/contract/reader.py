"""A reader opens files of one format, headers only; where the format can be written, it writes them, too."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from benchsuite.data import Modality, TiltSeries

AXES: dict[Modality, tuple[str, ...]] = {
    "adf": ("tilt", "focus", "y", "x"),
    "phase": ("tilt", "focus", "y", "x"),
    "4dstem": ("tilt", "focus", "scan_y", "scan_x", "q_y", "q_x"),
}


class ArrayOnDisk(Protocol):
    """An array in a file: what is indexed, by a tuple of integers and slices, is read, and nothing else."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...

    def __getitem__(self, index: Any, /) -> Any: ...


@dataclass(frozen=True)
class Contents:
    """What a file holds.

    array: real numbers of any type, in any order of axes, unread.
    metadata: header values that are used, by the keys of a scenario's section `series` (`scan_step_A`, `energy_keV`, `defocus_A`;
        also `kind`), in their units; besides, `rotations` (n, 3, 3), or `angles_deg`, (n) about the tilt axis, or `tilt_deg` of a
        file that holds one tilt. A key of the scenario takes precedence.
    axes: the array's axes in its order, as in AXES; None where the file does not state them.
    files: further files that are read, such as the data beside a header: their content, too, is part of the key of a result.
    remarks: sentences for the user, such as on parts of the file that are missing or on header fields that are not used.
    format: a name more specific than the reader's title.
    """

    array: ArrayOnDisk
    metadata: Mapping[str, Any] = field(default_factory=dict)
    axes: tuple[str, ...] | None = None
    files: tuple[Path, ...] = ()
    remarks: tuple[str, ...] = ()
    format: str = ""

    @classmethod
    def of_series(cls, series: TiltSeries, format: str) -> Contents:
        """Return the contents of a file that holds a series with everything that belongs to it."""
        metadata = {
            "kind": series.modality,
            "rotations": np.asarray(series.rotations),
            "scan_step_A": series.scan_step_A,
            "reciprocal_step_per_A": series.reciprocal_step_per_A,
            "dose_e_per_A2": series.dose_e_per_A2 if np.isfinite(series.dose_e_per_A2) else None,
            "defocus_A": tuple(map(float, series.defocus_A)),
            "detector_mrad": series.detector_mrad,
            **vars(series.optics),
        }
        given = {name: value for name, value in metadata.items() if value is not None}
        return cls(series.data, given, AXES[series.modality], format=format)


class MappedArray:
    """An array that lies in a file as it is, mapped only while a part of it is read: what stays mapped counts as memory."""

    def __init__(self, file: Path, dtype: Any, shape: tuple[int, ...], offset: int = 0, order: Literal["C", "F"] = "C") -> None:
        self._file, self._offset, self._order = file, offset, order
        self.dtype, self.shape = np.dtype(dtype), tuple(shape)
        self[(slice(0),) * len(shape)]  # a file that is too short is refused here

    @classmethod
    def of(cls, file: Path, mapped: np.memmap) -> MappedArray:
        """Return the array that another library has mapped whole."""
        return cls(file, mapped.dtype, mapped.shape, mapped.offset, "C" if mapped.flags.c_contiguous else "F")

    def __getitem__(self, index: Any) -> np.ndarray:
        return np.array(np.memmap(self._file, self.dtype, "r", self._offset, self.shape, self._order)[index])


class Reader(ABC):
    """Base of all file formats: `series: {file: …}` in a scenario opens them, `benchsuite export` writes those that can be written.

    suffixes: in lower case, with the dot. Where formats share one, those that define `recognises` are asked first.
    folders: those of the suffixes that are folders.
    extra: the extra of benchsuite that installs the libraries, which are imported where they are used.

    Whatever `open`, `recognises` and the array raise reaches the user as one message that names the file.
    """

    title: ClassVar[str]
    reference: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    folders: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str] = ""

    def recognises(self, file: Path) -> bool:
        """Return whether the content of a file is of this format; asked only where formats share a suffix."""
        return True

    @abstractmethod
    def open(self, file: Path, dataset: str | None = None) -> Contents:
        """Return what a file holds after reading its headers. `dataset` names one of several arrays (`series.dataset`).

        Raises any exception for a file that is damaged: cut off, inconsistent, or claiming more data than it has.
        """

    def write_stack(self, data: np.ndarray, pixel_A: float, file: Path) -> None:
        """Write float32 images (tilt, y, x) or a volume (z, y, x) with their pixel size; `file` is new."""
        raise NotImplementedError

    def write_series(self, series: TiltSeries, file: Path) -> None:
        """Write all of a series, one tilt in memory at a time, so that `open` returns it bit for bit; `file` is new."""
        raise NotImplementedError

    @classmethod
    def writes(cls, what: Literal["stack", "series"]) -> bool:
        """Whether the format can be written."""
        name = f"write_{what}"
        return getattr(cls, name) is not getattr(Reader, name)
