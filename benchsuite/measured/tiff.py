"""TIFF stacks through tifffile, page by page, with the calibration that ImageJ, OME or tifffile itself writes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite.errors import BenchsuiteError
from benchsuite.measured.checks import damage_reported, import_extra
from benchsuite.measured.contents import LENGTHS_A, Contents

MOST_COMPRESSED = 2000  # times: a header that claims more than any of the codecs can hold is wrong
logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it has to say of a broken file is said by the error


def tiff_contents(file: Path, dataset: str | None = None) -> Contents:
    """Return the first series of images of a TIFF file. Raises BenchsuiteError where data are cut off."""
    tifffile = import_extra("tifffile", file, "formats")
    with damage_reported(file), tifffile.TiffFile(file) as tiff:
        if not tiff.series:
            raise BenchsuiteError(f"{file}: holds no images")
        series = tiff.series[0]
        _check_whole(file, tiff, series)
        step = _step_A(tiff, tifffile)
        array = TiffArray(file, tuple(series.shape), np.dtype(series.dtype))
    return Contents("TIFF", array, {} if step is None else {"scan_step_A": step})


class TiffArray:
    """The images of a TIFF file, read where they are indexed."""

    def __init__(self, file: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._file, self.shape, self.dtype = file, shape, dtype

    def __getitem__(self, index: Any) -> np.ndarray:
        import zarr

        tifffile = import_extra("tifffile", self._file, "formats")
        with damage_reported(self._file), tifffile.TiffFile(self._file) as tiff:
            _check_whole(self._file, tiff, tiff.series[0])
            with tiff.series[0].aszarr(level=0) as store:
                return np.asarray(zarr.open_array(store, mode="r")[index])


def _check_whole(file: Path, tiff: Any, series: Any) -> None:
    """Raise BenchsuiteError where the file ends before its data do: strips that are not there would be read as zeros."""
    size, end = tiff.filehandle.size, 0
    if series.dataoffset is not None:
        end = series.dataoffset + series.nbytes
    for page in series.pages:
        if page is None:
            raise BenchsuiteError(f"{file}: damaged: pages are missing")
        ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True) if count]
        if not ends or len(ends) < len(page.dataoffsets):
            raise BenchsuiteError(f"{file}: damaged: a page without data")
        room = sum(page.databytecounts) * (1 if page.compression == 1 else MOST_COMPRESSED)
        if series.dataoffset is None and page.nbytes > room:
            raise BenchsuiteError(f"{file}: damaged: a page of shape {page.shape} in {sum(page.databytecounts):,} bytes")
        end = max(end, *ends) if series.dataoffset is None else end
    if end > size:
        raise BenchsuiteError(f"{file}: damaged: {size:,} bytes, its images end at {end:,}")


def _step_A(tiff: Any, tifffile: Any) -> float | None:
    """The pixel size in Å, where a program that means it has written one; resolution tags alone are those of printers."""
    size, unit = None, ""
    if tiff.is_ome:
        pixels = _first(tifffile.xml2dict(tiff.ome_metadata).get("OME", {}).get("Image", {})).get("Pixels", {})
        size, unit = pixels.get("PhysicalSizeX"), str(pixels.get("PhysicalSizeXUnit", "µm"))
    elif tiff.is_imagej:
        tag = tiff.pages[0].tags.get("XResolution")
        size = tag.value[1] / tag.value[0] if tag is not None and tag.value[0] else None
        unit = str((tiff.imagej_metadata or {}).get("unit", "")).replace("\\u00B5", "µ").replace("micron", "µm")
    elif tiff.is_shaped and tiff.shaped_metadata:
        size, unit = tiff.shaped_metadata[0].get("spacing"), str(tiff.shaped_metadata[0].get("unit", ""))
    factor = LENGTHS_A.get(unit)
    known = factor is not None and isinstance(size, (int, float)) and 0 < size < float("inf")
    return float(size) * factor if known and factor is not None and size is not None else None


def _first(images: Any) -> Any:
    return images[0] if isinstance(images, list) else images
