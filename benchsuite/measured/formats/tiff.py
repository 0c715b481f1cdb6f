"""TIFF stacks through tifffile, read page by page."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite.contract.reader import Contents, Reader
from benchsuite.errors import BenchsuiteError
from benchsuite.measured.formats import LENGTHS_A

MAX_COMPRESSION = 2000  # a header that claims more than any of the codecs can hold is wrong
logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # the error reports what is wrong with a broken file


class TIFF(Reader):
    title = "TIFF stacks; pages are tilts"
    reference = "Gohlke, tifffile, doi:10.5281/zenodo.6795860"
    suffixes = (".tif", ".tiff")
    extra = "formats"

    def open(self, file: Path, dataset: str | None = None) -> Contents:
        import tifffile

        with tifffile.TiffFile(file) as tiff:
            if not tiff.series:
                raise BenchsuiteError(f"{file}: holds no images")
            series = tiff.series[0]
            _check_whole(file, tiff, series)
            return Contents(TiffArray(file, tuple(series.shape), np.dtype(series.dtype)), _metadata(tiff, tifffile))

    def write_stack(self, data: np.ndarray, pixel_A: float, file: Path) -> None:
        import tifffile

        metadata = {"axes": "ZYX", "spacing": pixel_A, "unit": "angstrom"}
        tifffile.imwrite(file, data, photometric="minisblack", metadata=metadata)  # 3 or 4 tilts are no RGB


class TiffArray:
    """The images of a TIFF file, read where they are indexed."""

    def __init__(self, file: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._file, self.shape, self.dtype = file, shape, dtype

    def __getitem__(self, index: Any) -> np.ndarray:
        import tifffile
        import zarr

        with tifffile.TiffFile(self._file) as tiff:
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
        room = sum(page.databytecounts) * (1 if page.compression == 1 else MAX_COMPRESSION)
        if series.dataoffset is None and page.nbytes > room:
            raise BenchsuiteError(f"{file}: damaged: a page of shape {page.shape} in {sum(page.databytecounts):,} bytes")
        end = max(end, *ends) if series.dataoffset is None else end
    if end > size:
        raise BenchsuiteError(f"{file}: damaged: {size:,} bytes, its images end at {end:,}")


def _metadata(tiff: Any, tifffile: Any) -> dict[str, Any]:
    """Header fields that are used: the pixel size of ImageJ, OME or tifffile; resolution tags alone are those of printers."""
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
    if factor is None or not isinstance(size, (int, float)) or not 0 < size < float("inf"):
        return {}
    return {"scan_step_A": float(size) * factor}


def _first(images: Any) -> Any:
    return images[0] if isinstance(images, list) else images
