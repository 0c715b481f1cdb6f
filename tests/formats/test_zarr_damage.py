"""No broken zarr group passes for a whole one."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import zarr

from benchsuite.errors import BenchsuiteError


def flip_bit(folder):
    chunk = next(file for file in sorted((folder / "data" / "c" / "1").rglob("*")) if file.is_file())
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(data)


def set_about(**changes):
    def edit(folder):
        group = zarr.open_group(folder)
        group.attrs["about"] = {**group.attrs["about"], **changes}

    return edit


def set_value(value):
    def edit(folder):
        zarr.open_group(folder)["data"][2, 0, 0, 0, 0, 0] = value

    return edit


BROKEN = {
    "no folder": (shutil.rmtree, "no such file"),
    "no group": (lambda folder: (folder / "zarr.json").unlink(), "damaged, or not a whole tilt series"),
    "no JSON": (lambda folder: (folder / "zarr.json").write_text("{"), "damaged, or not a whole tilt series"),
    "no rotations": (lambda folder: shutil.rmtree(folder / "rotations"), "unknown layout: rotations missing"),
    "no description": (
        lambda folder: zarr.open_group(folder).attrs.clear(),
        "series.dataset must name one of its arrays: data, rotations",
    ),
    "flipped bit": (flip_bit, "damaged, .*checksum"),
    "lost chunk": (lambda folder: shutil.rmtree(folder / "data" / "c" / "1"), "damaged: 4 chunks of 5 are there"),
    "other step": (set_about(scan_step_A=0.2), "do not match their checksum"),
    "no step": (set_about(scan_step_A=0.0), "no calibration: scan_step_A is None"),
    "NaN": (set_value(np.nan), "tilt 2: NaN or infinite values"),
    "negative": (set_value(-1.0), "tilt 2: negative intensities"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_zarr_group_is_refused_with_a_reason(tmp_path, written, zarr_format, name):
    edit, message = BROKEN[name]
    folder = shutil.copytree(written / "s.zarr", tmp_path / "s.zarr")
    edit(folder)
    with pytest.raises(BenchsuiteError, match=rf"s\.zarr: .*{message}"):
        zarr_format.read(folder)
