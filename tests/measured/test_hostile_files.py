"""Files that are not what they seem are refused with their name, before anything large is read; cut ones never pass for whole."""

from __future__ import annotations

import os
import re
import shutil
import tracemalloc
from contextlib import suppress

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchsuite.errors import BenchsuiteError
from benchsuite.measured.series import open_measured


def improper(folder):
    np.save(folder / "m.npy", np.stack([np.diag([1.0, 1.0, -1.0])] * 4))


def skewed(folder):
    np.save(folder / "m.npy", np.stack([np.eye(3) + 0.01 * np.eye(3, k=1)] * 4))


def text(content):
    return lambda folder: (folder / "m.txt").write_text(content)


def matrices(prepare, message, name="m.npy"):
    return prepare, {"tilts": {"file": name}}, f"series.tilts.file: .*{message}"


TILTS = {
    "improper": matrices(improper, r"matrix 0 is improper \(determinant −1\)"),
    "not orthogonal": matrices(skewed, r"matrix 0 is not orthogonal"),
    "too few": matrices(text("1\n2\n3"), "3 angles in .*for 4 tilts; allowed: one angle per tilt", "m.txt"),
    "words": matrices(text("1\n2\nthree\n4"), r"m\.txt:3: 'three' is not a row of numbers", "m.txt"),
    "NaN": matrices(text("1\n2\nnan\n4"), "NaN or infinite; allowed: finite", "m.txt"),
    "ragged": matrices(text("1 2 3\n1 2"), r"m\.txt:2: 2 numbers, the first row has 3", "m.txt"),
    "empty": matrices(text("# nothing\n"), "holds no numbers", "m.txt"),
    "not degrees": matrices(text("1\n2\n3\n4000"), "4000° .*−360 to 360", "m.txt"),
    "binary": matrices(lambda f: (f / "m.txt").write_bytes(bytes(range(256))), "damaged", "m.txt"),
    "pickle": matrices(lambda f: np.save(f / "m.npy", np.array([{}]), allow_pickle=True), "damaged.*Python objects"),
    "other kind": matrices(lambda f: (f / "m.doc").write_text("1"), r"can be read from \.rawtlt, \.tlt", "m.doc"),
    "gone": matrices(lambda f: None, "no such file", "m.txt"),
    "none at all": (lambda f: None, {"tilts": None}, r"series\.tilts: the file does not state them.*give 4 angles"),
}


@pytest.mark.parametrize("case", TILTS)
def test_tilts_that_are_none_are_refused(tmp_path, section, stack, case):
    prepare, keys, message = TILTS[case]
    np.save(tmp_path / "s.npy", stack)
    prepare(tmp_path)
    if isinstance(keys["tilts"], dict):
        keys = {"tilts": {"file": str(tmp_path / keys["tilts"]["file"])}}
    with pytest.raises(BenchsuiteError, match=message):
        open_measured(section(tmp_path / "s.npy", **keys))


def huge_mrc(file, writers):
    writers["s.mrc"](file)
    data = bytearray(file.read_bytes())
    data[:12] = np.array([30_000, 30_000, 4], "<i4").tobytes()
    file.write_bytes(data[:1100])


def huge_npy(file, writers):
    writers["s.npy"](file, np.zeros((4, 6, 8), np.float32))
    file.write_bytes(file.read_bytes().replace(b"(4, 6, 8), }          ", b"(4, 15000, 13000), }  "))


def huge_tiff(file, writers):
    writers["s.tif"](file, metadata=None)
    import tifffile

    with tifffile.TiffFile(file, mode="r+") as tiff:
        for page in tiff.pages:
            for tag, value in (("ImageWidth", 30_000), ("ImageLength", 30_000)):
                page.tags[tag].overwrite(value)


def huge_hdf5(file, writers):
    with h5py.File(file, "w") as stream:
        stream.create_dataset("a", shape=(4, 30_000, 30_000), dtype="f4", chunks=(1, 1000, 1000))


def linked(file, writers):
    os.symlink(file.name, file)


def hole(file, writers):
    os.mkfifo(file)


def two_arrays(file, writers):
    writers["s.h5"](file)
    with h5py.File(file, "r+") as stream:
        stream["other"] = np.zeros((4, 6, 8))


HOSTILE = {
    "a header of 14 GB": ("s.mrc", huge_mrc, "series.file: .*damaged"),
    "an array of 3 GB": ("s.npy", huge_npy, "series.file: .*damaged"),
    "pages of 4 GB": ("s.tif", huge_tiff, "series.file: .*(damaged|no images)"),
    "an array never written": ("s.h5", huge_hdf5, r"/a of shape \(4, 30000, 30000\) was never written"),
    "a link to itself": ("s.mrc", linked, "series.file: .*symbolic links"),
    "a pipe": ("s.mrc", hole, "is not a regular file"),
    "a folder": ("s.mrc", lambda f, w: f.mkdir(), "is a folder; give the name of a file"),
    "nothing": ("s.mrc", lambda f, w: None, "no such file"),
    "an empty file": ("s.mrc", lambda f, w: f.write_bytes(b""), "damaged"),
    "text": ("s.tif", lambda f, w: f.write_text("tilts"), "damaged"),
    "no HDF5": ("s.h5", lambda f, w: f.write_text("tilts"), "not an HDF5 file"),
    "another format": ("s.png", lambda f, w: f.write_text("tilts"), r"no reader takes \.png; .*mrc \(\.mrc .*zarr \(\.zarr\)"),
    "a zero side": ("s.npy", lambda f, w: np.save(f, np.zeros((4, 0, 8), "f4")), r"of shape \(4, 1, 0, 8\) is empty"),
    "complex": ("s.npy", lambda f, w: np.save(f, np.zeros((4, 6, 8), "c8")), "complex64; allowed: real numbers"),
    "objects": ("s.npy", lambda f, w: np.save(f, np.array([{}]), allow_pickle=True), "damaged.*Python objects"),
    "a number": ("s.npy", lambda f, w: np.save(f, np.float32(3)), r"series.kind: an array of shape \(\) may be"),
    "seven axes": ("s.npy", lambda f, w: np.save(f, np.zeros((1,) * 7, "f4")), r"series\.kind: an array of shape \(1, 1"),
    "two arrays": (
        "s.h5",
        two_arrays,
        r"series\.dataset must name one of its arrays: /data/stack \(4, 6, 8\), /other",
    ),
    "an empty zarr": ("s.zarr", lambda f, w: f.mkdir(), "damaged"),
    "no signal": ("s.hspy", lambda f, w: f.write_text("tilts"), "damaged"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_refused_with_little_memory(tmp_path, section, writers, case):
    name, prepare, message = HOSTILE[case]
    prepare(tmp_path / name, writers)
    tracemalloc.start()
    try:
        with pytest.raises(BenchsuiteError, match=f"(?s)^series.*{re.escape(name)}.*|^series") as caught:
            open_measured(section(tmp_path / name))
        assert tracemalloc.get_traced_memory()[1] < 1e8
    finally:
        tracemalloc.stop()
    assert re.search(message, str(caught.value)), str(caught.value)


def test_files_that_differ_are_refused(tmp_path, section, stack):
    for tilt in range(4):
        np.save(tmp_path / f"t{tilt}.npy", stack[tilt][:, : 8 - (tilt == 2)])
    with pytest.raises(
        BenchsuiteError, match=r"series\.files: .*t2\.npy: shape \(6, 7\), .*t0\.npy has \(6, 8\); allowed: one shape"
    ):
        open_measured(section(files=str(tmp_path / "t*.npy")))
    with pytest.raises(BenchsuiteError, match=r"series\.files: .*no such files"):
        open_measured(section(files=str(tmp_path / "none*.npy")))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_with_the_tilt(tmp_path, read, stack, value):
    data = stack.copy()
    data[2, 3, 3] = value
    np.save(tmp_path / "s.npy", data)
    with pytest.raises(BenchsuiteError, match=r"s\.npy: tilt 2: NaN or infinite"):
        np.asarray(read(tmp_path / "s.npy").data)


def test_a_dose_with_counts_is_a_contradiction(tmp_path, section, patterns):
    from benchsuite.measured.series import check_fractions

    np.save(tmp_path / "p.npy", patterns)
    asked = section(tmp_path / "p.npy", reciprocal_step_per_A=0.03, dose_e_per_A2=1e5)
    series = open_measured(asked).series
    with pytest.raises(BenchsuiteError, match=r"series\.normalise: with a dose, .*fractions of the incident electrons"):
        check_fractions(series.data[0], asked, "4dstem")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part=st.floats(0.0, 0.999))
@pytest.mark.parametrize("name", ["s.mrc", "s.tif", "s.h5", "s.npy", "s.emd"])
def test_a_cut_file_is_refused_or_whole(tmp_path, read, writers, stack, name, part):
    whole, cut = tmp_path / "whole" / name, tmp_path / name
    if not whole.exists():
        whole.parent.mkdir()
        writers[name](whole, stack)
    data = whole.read_bytes()
    cut.write_bytes(data[: int(part * len(data))])
    stated = {"tilts": None, "energy_keV": None, "semiangle_mrad": None} if name == "s.emd" else {}
    with suppress(BenchsuiteError):  # and nothing else
        assert np.array_equal(np.asarray(read(cut, **stated).data)[:, 0], stack)


def test_a_zarr_without_a_chunk_says_so(tmp_path, section, stack):
    import zarr

    array = zarr.create_array(tmp_path / "s.zarr", shape=stack.shape, chunks=(1, 6, 8), dtype="f4")
    array[:] = stack
    chunk = next(file for file in sorted((tmp_path / "s.zarr" / "c").rglob("*")) if file.is_file())
    chunk.unlink()
    assert "1 of 4 chunks are absent and read as 0" in "".join(open_measured(section(tmp_path / "s.zarr")).remarks)
    shutil.rmtree(tmp_path / "s.zarr" / "c")
    with pytest.raises(BenchsuiteError, match="was never written"):
        open_measured(section(tmp_path / "s.zarr"))
