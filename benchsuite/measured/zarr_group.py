"""Tilt series as a zarr v3 group: the layout of `storage.save_series`, as a folder that is handed to others.

Beyond what the store's own checksums say, the group counts its chunks and has a checksum of what is not an image.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchsuite.data import TiltSeries
from benchsuite.errors import BenchsuiteError
from benchsuite.measured.checks import check_intensities, check_series, damage_reported
from benchsuite.measured.contents import Contents, of_series
from benchsuite.measured.description import check_fingerprint, fingerprint
from benchsuite.measured.whole_files import replacing
from benchsuite.storage import StoredArray, load_series, save_series

ARRAYS = ("data", "defocus_A", "rotations")
METADATA = "zarr.json"


def write_zarr(series: TiltSeries, folder: Path) -> Path:
    """Write a series, one tilt in memory at a time, and return the folder; a zarr group of that name is replaced.

    Raises BenchsuiteError for a series that `read_zarr` would refuse and where something else has that name, StoreError where the
    disk refuses.
    """
    import zarr

    check_series(series, folder)
    if folder.exists() and not (folder / METADATA).is_file():
        raise BenchsuiteError(f"{folder}: exists, and is no zarr group that could be replaced; give another name")
    with replacing(folder) as temporary:
        save_series(temporary, (_checked_tilt(series, tilt, folder) for tilt in range(len(series.data))), series)
        group = zarr.open_group(temporary, mode="a")
        group.attrs.update({"sha256": fingerprint(series), "stored_chunks": _stored_chunks(group)})
    return folder


def read_zarr(folder: Path) -> TiltSeries:
    """Return the series that `write_zarr` (or `save_series`) wrote; the data of a 4D-STEM series stay on disk.

    Everything is read once, so that damage shows here. Raises BenchsuiteError for a folder that is no such group or is damaged,
    and for NaN or negative intensities; the message says what is allowed.
    """
    series = _opened(folder)
    with damage_reported(folder):
        for tilt in range(len(series.data)):
            _checked_tilt(series, tilt, folder)
    return series


def zarr_contents(folder: Path, dataset: str | None = None) -> Contents:
    """Return the array of that path, or the tilt series of `write_zarr`, or the only array of two and more axes there is."""
    import zarr

    with damage_reported(folder):
        opened: Any = zarr.open(folder, mode="r")
        if dataset is None and isinstance(opened, zarr.Group):
            if "about" in opened.attrs:
                return of_series("zarr", _opened(folder))
            found = [name for name, array in opened.members(max_depth=None) if isinstance(array, zarr.Array) and array.ndim >= 2]
            if len(found) != 1:
                listed = ", ".join(found) or "none"
                raise BenchsuiteError(f"{folder}: say which array it is with series.dataset; arrays in it: {listed}")
            dataset = found[0]
        array = opened if dataset is None else opened[dataset.strip("/")]
        if not isinstance(array, zarr.Array):
            raise BenchsuiteError(f"{folder}: series.dataset {dataset} is not an array")
        absent = array.nchunks - array.nchunks_initialized
        if absent == array.nchunks:
            raise BenchsuiteError(f"{folder}: an array of shape {array.shape} was never written")
    remarks = (f"{folder.name}: {absent} of {array.nchunks} chunks are absent and read as {array.fill_value}",) if absent else ()
    return Contents("zarr", StoredArray(array), remarks=remarks)


def _opened(folder: Path) -> TiltSeries:
    """Return the series of a folder after the checks that need no images."""
    import zarr

    if not (folder / METADATA).is_file():
        raise BenchsuiteError(f"{folder}: no zarr v3 group (a folder with {METADATA}); allowed: what `benchsuite export` writes")
    with damage_reported(folder):
        group = zarr.open_group(folder, mode="r")
        missing = [name for name in ARRAYS if name not in group] + ([] if "about" in group.attrs else ["the attribute about"])
        if missing:
            raise BenchsuiteError(
                f"{folder}: unknown layout: {', '.join(missing)} missing; allowed: what `benchsuite export` writes"
            )
        if group.attrs.get("stored_chunks", (found := _stored_chunks(group))) != found:
            raise BenchsuiteError(f"{folder}: damaged: {found} chunks of {group.attrs['stored_chunks']} are there")
        series = load_series(folder)
        check_series(series, folder)
        if "sha256" in group.attrs:
            check_fingerprint(series, group.attrs["sha256"], f"{folder}: attributes")
    return series


def _checked_tilt(series: TiltSeries, tilt: int, where: Path) -> np.ndarray:
    images = np.asarray(series.data[tilt])
    check_intensities(images, f"{where}: tilt {tilt}")
    return images


def _stored_chunks(group: Any) -> int:
    return sum(array.nchunks_initialized for _, array in group.arrays())
