"""Data of any axis order and type as those of a `TiltSeries`: float32, (n_tilt, n_focus, …), a tilt in memory at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchsuite.contract.reader import AXES, ArrayOnDisk
from benchsuite.data import Modality
from benchsuite.errors import BenchsuiteError

CENTRED_AXES = ("y", "x", "scan_y", "scan_x", "q_y", "q_x")  # axes with an origin, at index n//2


@dataclass(frozen=True)
class Levels:
    """What is subtracted from intensities, and what they are divided by; `clip`: negative ones become 0."""

    background: float = 0.0
    divisor: float = 1.0
    clip: bool = False
    rounding: bool = False

    @property
    def exact(self) -> bool:
        """Whether values stay as they are."""
        return self.background == 0 and self.divisor == 1 and not self.rounding


class MeasuredArray:
    """An array on disk by tilts, as float32.

    axes: names of the array's axes, in its order. flip: those that are reversed about the index n//2: where their length is
    even, the first value, which has no mirror image, stays.
    """

    dtype = np.dtype(np.float32)

    def __init__(
        self, raw: ArrayOnDisk, kind: Modality, axes: Sequence[str], flip: Sequence[str], where: str, levels: Levels | None = None
    ) -> None:
        self._raw, self._kind, self._axes, self._flip, self._where = raw, kind, tuple(axes), tuple(flip), where
        self._levels = Levels() if levels is None else levels
        lengths = dict(zip(axes, raw.shape, strict=True))
        self.shape = tuple(int(lengths.get(name, 1)) for name in AXES[kind])
        self.ndim, self.size = len(self.shape), int(np.prod(self.shape, dtype=object))
        self.nbytes = self.size * self.dtype.itemsize

    def with_levels(self, levels: Levels) -> MeasuredArray:
        """Return the same array at other levels of intensity."""
        return MeasuredArray(self._raw, self._kind, self._axes, self._flip, self._where, levels)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        first, *rest = index if isinstance(index, tuple) else (index,)
        if first is Ellipsis:
            return np.asarray(self)[index]
        tilts = np.arange(len(self))[first]
        if tilts.ndim == 0:
            return self.tilt(int(tilts))[tuple(rest)]
        images = [self.tilt(int(tilt)) for tilt in tilts]
        return (np.stack(images) if images else np.empty((0, *self.shape[1:]), self.dtype))[(slice(None), *rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    def tilt(self, tilt: int) -> np.ndarray:
        """Return the data (n_focus, …) of a tilt. Raises BenchsuiteError for what is not finite, negative, or no float32."""
        where = f"{self._where}: tilt {tilt}"
        values = self.values(tilt)
        if not np.isfinite(values).all():
            raise BenchsuiteError(f"{where}: NaN or infinite values; allowed: finite numbers")
        if self._levels.exact:
            data = exact_float32(values, where)
        else:
            levels = self._levels
            data = ((values.astype(np.float64) - levels.background) / levels.divisor).astype(np.float32)
        if self._kind != "phase" and float(data.min()) < 0:
            if not self._levels.clip:
                raise BenchsuiteError(
                    f"{where}: negative intensities (down to {float(data.min()):g}); set series.background (a number or minimum) "
                    "or series.clip_negative: true"
                )
            data = np.maximum(data, 0)
        return data

    def values(self, tilt: int) -> np.ndarray:
        """Return the data of a tilt as the file has them, in our order of axes."""
        index: list[Any] = [slice(None)] * len(self._axes)
        rest = list(self._axes)
        if "tilt" in self._axes:
            index[self._axes.index("tilt")] = tilt
            rest.remove("tilt")
        block = np.asarray(self._raw[tuple(index)])
        if block.dtype.kind not in "fiu":
            raise BenchsuiteError(f"{self._where}: values of type {block.dtype}; allowed: real numbers")
        order = [name for name in AXES[self._kind] if name in rest]
        block = block.transpose([rest.index(name) for name in order])
        block = block if "focus" in order else block[None]
        for name in self._flip:
            block = reversed_about_centre(block, AXES[self._kind].index(name) - 1)
        return block


def reversed_about_centre(block: np.ndarray, axis: int) -> np.ndarray:
    """Return an array with an axis reversed about index n//2."""
    reversed_ = np.flip(block, axis)
    return reversed_ if block.shape[axis] % 2 else np.roll(reversed_, 1, axis)


def exact_float32(values: np.ndarray, where: str) -> np.ndarray:
    """Return values as float32. Raises BenchsuiteError where one of them is not exactly a float32."""
    with np.errstate(over="ignore", invalid="ignore"):
        data = np.ascontiguousarray(values, dtype=np.float32)
    safe = (values.dtype.kind == "f" and values.dtype.itemsize <= 4) or (values.dtype.kind in "iu" and values.dtype.itemsize <= 2)
    if not safe:
        back = data.astype(np.float64)
        lost = (back != values) if values.dtype.kind == "f" else (back != values.astype(np.float64)) | (np.abs(back) > 2**53)
        if lost.any():
            value = f"{values[lost].flat[0]!r} ({values.dtype})"
            raise BenchsuiteError(f"{where}: {value} is not exact in single precision; set series.round_to_float32: true")
    return data


def find_levels(array: MeasuredArray, background: float | str, normalise: float | str, electrons: float, base: Levels) -> Levels:
    """Return the levels that a user asks for, after a look at all tilts where they depend on them.

    electrons: incident ones per probe position, for normalise `electrons`.
    """
    level = 0.0 if background == "none" else background
    if level == "minimum":
        level = min(float(array.values(tilt).min()) for tilt in range(len(array)))
    divisor = {"none": 1.0, "electrons": electrons}.get(normalise, normalise) if isinstance(normalise, str) else normalise
    levels = replace(base, background=float(level))
    if divisor == "patterns":
        shifted = array.with_levels(replace(levels, rounding=True))
        sums = [float(shifted.tilt(tilt).sum(dtype=np.float64)) for tilt in range(len(array))]
        divisor = sum(sums) / float(np.prod(array.shape[:4]))
        if not divisor > 0:
            raise BenchsuiteError(f"series.normalise: patterns: they add up to {divisor:g}; allowed: more than 0")
    return replace(levels, divisor=float(divisor))
