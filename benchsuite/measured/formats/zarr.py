"""Tilt series as a zarr v3 group, the layout of `storage.save_series`, and any other array in zarr.

Besides the checksums of zarr, the group counts its chunks and has a checksum of what is not an image.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchsuite.contract.reader import Contents, Reader
from benchsuite.data import TiltSeries
from benchsuite.errors import BenchsuiteError
from benchsuite.measured.checks import check_fingerprint, check_series, checked_tilts, fingerprint
from benchsuite.storage import StoredArray, load_series, save_series

ARRAYS = ("data", "defocus_A", "rotations")
METADATA = "zarr.json"


class Zarr(Reader):
    title = "Zarr: tilt series of benchsuite, or any array"
    reference = "https://zarr-specs.readthedocs.io"
    suffixes = (".zarr",)
    folders = (".zarr",)

    def recognises(self, file: Path) -> bool:
        return any((file / name).is_file() for name in (METADATA, ".zarray", ".zgroup"))

    def open(self, file: Path, dataset: str | None = None) -> Contents:
        """Return the array of that path, or the tilt series written by benchsuite, or the only array of two and more axes."""
        import zarr

        opened: Any = zarr.open(file, mode="r")
        if dataset is None and isinstance(opened, zarr.Group):
            if "about" in opened.attrs:
                return Contents.of_series(_opened(file), "zarr of benchsuite")
            found = [name for name, array in opened.members(max_depth=None) if isinstance(array, zarr.Array) and array.ndim >= 2]
            if len(found) != 1:
                listed = ", ".join(sorted(found)) or "none"
                raise BenchsuiteError(f"{file}: series.dataset must name one of its arrays: {listed}")
            dataset = found[0]
        array = opened if dataset is None else opened[dataset.strip("/")]
        if not isinstance(array, zarr.Array):
            raise BenchsuiteError(f"{file}: series.dataset {dataset} is not an array")
        absent = array.nchunks - array.nchunks_initialized
        if absent == array.nchunks:
            raise BenchsuiteError(f"{file}: an array of shape {array.shape} was never written")
        remarks = (f"{file.name}: {absent} of {array.nchunks} chunks are absent and read as {array.fill_value}",) if absent else ()
        return Contents(StoredArray(array), remarks=remarks)

    def write_series(self, series: TiltSeries, file: Path) -> None:
        import zarr

        save_series(file, checked_tilts(series, file), series)
        group = zarr.open_group(file, mode="a")
        group.attrs.update({"sha256": fingerprint(series), "stored_chunks": _stored_chunks(group)})


def _opened(folder: Path) -> TiltSeries:
    """Return the series of a group after the checks that need no images."""
    import zarr

    group = zarr.open_group(folder, mode="r")
    missing = [name for name in ARRAYS if name not in group]
    if missing:
        raise BenchsuiteError(f"{folder}: unknown layout: {', '.join(missing)} missing; allowed: what `benchsuite export` writes")
    if group.attrs.get("stored_chunks", (found := _stored_chunks(group))) != found:
        raise BenchsuiteError(f"{folder}: damaged: {found} chunks of {group.attrs['stored_chunks']} are there")
    series = load_series(folder)
    check_series(series, folder)
    if "sha256" in group.attrs:
        check_fingerprint(series, group.attrs["sha256"], f"{folder}: attributes")
    return series


def _stored_chunks(group: Any) -> int:
    return sum(array.nchunks_initialized for _, array in group.arrays())
