"""No broken EMD file passes for a whole one."""

from __future__ import annotations

import shutil

import h5py
import numpy as np
import pytest

from benchsuite.errors import BenchsuiteError
from benchsuite.physics.rotations import random_rotation

CALIBRATION = "tilt_series/metadatabundle/calibration"
ABOUT = "tilt_series/metadatabundle/tilt_series"
FIRST = "tilt_series/tilt_000_focus_000"
GENERAL = np.stack([random_rotation(np.random.default_rng(i)) for i in range(3)])


def drop(*names):
    return lambda stream: [stream.__delitem__(name) for name in names]


def put(name, value):
    def edit(stream):
        if name in stream:
            del stream[name]
        stream[name] = value

    return edit


def set_value(name, index, value):
    def edit(stream):
        stream[name][index] = value

    return edit


BROKEN = {
    "no EMD": (lambda s: s.attrs.clear(), r"series\.dataset must name one of its arrays: "),
    "old EMD": (lambda s: s.attrs.update({"version_major": 0}), "EMD of version 0; allowed: EMD 1.0"),
    "new layout": (set_value(f"{ABOUT}/format_version", (), 2), "format_version is 2; allowed: 1"),
    "empty": (drop("tilt_series"), "unknown layout: no data in it; allowed: a DataCube"),
    "no rotations": (drop(f"{ABOUT}/rotations"), "unknown layout: rotations missing"),
    "rotations of other tilts": (put(f"{ABOUT}/rotations", GENERAL[:2]), r"rotations of shape \(2, 3, 3\) for 3 tilts"),
    "no rotation": (set_value(f"{ABOUT}/rotations", (1, 0, 0), 2.0), r"rotations\[1\] is not a rotation"),
    "another rotation": (set_value(f"{ABOUT}/rotations", ..., GENERAL), "do not match their checksum"),
    "no optics": (drop(f"{ABOUT}/optics"), "unknown layout: optics missing"),
    "no energy": (drop(f"{ABOUT}/optics/energy_keV"), "not a whole tilt series .*energy_keV"),
    "one defocus for two": (put(f"{ABOUT}/defocus_A", np.zeros(1)), "1 defocus values for 2 focus images"),
    "no calibration": (drop(CALIBRATION), "no calibration: .*calibration has no scan_step_A in a known unit"),
    "other calibration": (set_value(f"{CALIBRATION}/R_pixel_size", (), 0.2), "calibration, angles.* do not match their checksum"),
    "other dose": (set_value(f"{ABOUT}/dose_e_per_A2", (), 7.0), "do not match their checksum"),
    "one tilt gone": (drop("tilt_series/tilt_001_focus_001"), "tilt_001_focus_001 is missing; allowed: one image for every focus"),
    "last tilt gone": (drop("tilt_series/tilt_002_focus_000", "tilt_series/tilt_002_focus_001"), "3, 3, 3.* for 2 tilts"),
    "tilt twice": (lambda s: s.copy(FIRST, "tilt_series/tilt_0_focus_0"), "two images of one tilt and focus"),
    "no data": (drop(f"{FIRST}/data"), "tilt_000_focus_000 has no dataset `data`"),
    "other shape": (
        put("tilt_series/tilt_001_focus_000/data", np.zeros((4, 5, 6, 6), "f4")),
        r"\(4, 5, 6, 6\) .*one shape and type for all",
    ),
    "three axes": (put(f"{FIRST}/data", np.zeros((5, 6, 7), "f4")), r"float32 of shape \(5, 6, 7\); allowed: real numbers"),
    "complex": (put(f"{FIRST}/data", np.zeros((4, 5, 6, 7), "c8")), "complex64 .*allowed: real numbers"),
    "NaN": (
        set_value("tilt_series/tilt_002_focus_001/data", (1, 1, 1, 1), np.nan),
        "tilt 2: NaN or infinite values; allowed: finite numbers",
    ),
    "infinite": (
        set_value(f"{FIRST}/data", (1, 1, 1, 1), np.inf),
        "tilt 0: NaN or infinite values; allowed: finite numbers",
    ),
    "negative": (set_value(f"{FIRST}/data", (1, 1, 1, 1), -0.5), r"tilt 0: negative intensities \(down to -0.5\)"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_emd_file_is_refused_with_a_reason(tmp_path, emd, written, name):
    edit, message = BROKEN[name]
    file = shutil.copy(written / "s.emd", tmp_path / "s.emd")
    with h5py.File(file, "r+") as stream:
        edit(stream)
    with pytest.raises(BenchsuiteError, match=rf"s\.emd.*{message}"):
        emd.read(file)


def test_file_that_is_not_hdf5_is_refused(tmp_path, emd):
    (tmp_path / "text.h5").write_text("tilts")
    with pytest.raises(BenchsuiteError, match=r"text\.h5: not an HDF5 file"):
        emd.read(tmp_path / "text.h5")
    with pytest.raises(BenchsuiteError, match=r"none\.h5: no such file"):
        emd.read(tmp_path / "none.h5")
    with pytest.raises(BenchsuiteError, match="is a folder; give the name of a file"):
        emd.read(tmp_path)


@pytest.mark.parametrize("modality", ["adf", "4dstem"])
def test_a_flipped_bit_in_a_chunk_is_noticed(tmp_path, emd, modality, make):
    file = emd.write(make(modality), tmp_path / "s.emd")
    with h5py.File(file) as stream:
        chunk = stream["tilt_series/tilt_002_focus_001/data"].id.get_chunk_info(0)
    data = bytearray(file.read_bytes())
    for position in (chunk.byte_offset, chunk.byte_offset + chunk.size // 2, chunk.byte_offset + chunk.size - 1):
        flipped = bytearray(data)
        flipped[position] ^= 1
        file.write_bytes(flipped)
        with pytest.raises(BenchsuiteError, match=r"s\.emd: /tilt_series/tilt_002_focus_001 is damaged: .*checksum"):
            emd.read(file)


def test_damage_that_comes_later_is_noticed(tmp_path, emd, make):
    file = emd.write(make(), tmp_path / "s.emd")
    series = emd.read(file)
    file.write_bytes(file.read_bytes()[:-5000])
    with pytest.raises(BenchsuiteError, match=r"s\.emd: damaged, or not a whole tilt series"):
        series.data[2]


@pytest.mark.parametrize("part", [0.05, 0.5, 0.99])
def test_a_cut_file_is_refused(tmp_path, emd, part, make):
    file = emd.write(make(), tmp_path / "s.emd")
    data = file.read_bytes()
    file.write_bytes(data[: int(part * len(data))])
    with pytest.raises(BenchsuiteError, match="damaged, or not a whole tilt series"):
        emd.read(file)
