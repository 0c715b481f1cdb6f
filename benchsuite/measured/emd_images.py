"""The images in an EMD file: which groups hold them by tilt and focus, the shape they share, and one of them, checked."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite.errors import BenchsuiteError
from benchsuite.measured.checks import check_intensities
from benchsuite.measured.emd_layout import IMAGE_NAME, image_name


def image_names(file: Path, stream: Any) -> list[list[str]]:
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


def common_shape(file: Path, stream: Any, names: Sequence[Sequence[str]]) -> tuple[int, ...]:
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


def read_image(file: Path, stream: Any, name: str) -> np.ndarray:
    """Return one image as float32 once its checksums and intensities have been checked."""
    try:
        values = stream[f"{name}/data"][...]
    except OSError as error:
        raise BenchsuiteError(f"{file}: {name} is damaged: its data do not match their checksum ({error})") from error
    with np.errstate(over="ignore"):
        image = np.asarray(values, dtype=np.float32)
    check_intensities(image, f"{file}: {name}")
    return image


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
        fault = f"{image_name(*absent)} is missing" if absent else "two images of one tilt and focus"
        raise BenchsuiteError(f"{file}: {fault}; allowed: one image for every focus of every tilt, counted from 0")
    return [[named[tilt, focus] for focus in range(foci)] for tilt in range(tilts)]
