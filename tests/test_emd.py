"""Tilt series travel through EMD and zarr without loss, and no broken file passes for a whole one."""

from __future__ import annotations

import resource
import shutil
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import zarr

from benchsuite.data import Optics, TiltSeries
from benchsuite.electrons import wavelength_A
from benchsuite.emd import EmdArray, read_emd, write_emd
from benchsuite.errors import BenchsuiteError, StoreError
from benchsuite.export import angles_about_y, export_cell
from benchsuite.geometry import random_rotation, single_axis
from benchsuite.storage import StoredArray, save_series
from benchsuite.zarr_series import read_zarr, write_zarr

OPTICS = Optics(200.0, 21.4, {"C30": 1.2e4, "C12": 3.7, "phi12_deg": 20.1}, "entrance")
ANGLES = np.array([-31.7, 0.0, 70.3])
FORMATS = {"emd": (write_emd, read_emd, "s.emd"), "zarr": (write_zarr, read_zarr, "s.zarr")}
CALIBRATION = "tilt_series/metadatabundle/calibration"
ABOUT = "tilt_series/metadatabundle/tilt_series"
FIRST = "tilt_series/tilt_000_focus_000"


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr("benchsuite.series_files.fsync_path", lambda _: None)


def make(modality="4dstem", **changes):
    """A series of random counts with different lengths of all axes, two foci and every optional entry given."""
    rng = np.random.default_rng(7)
    shape = (3, 2, 4, 5, 6, 7)[: {"adf": 4, "4dstem": 6}[modality]]
    data = (rng.poisson(3.0, shape) / np.float32(977.3)).astype(np.float32)
    data[0, 0].flat[:3] = 1e-45, np.finfo(np.float32).max, -0.0
    adf = {"detector_mrad": (22.3, 61.7)}
    patterns = {"reciprocal_step_per_A": 0.1 / 3}
    series = TiltSeries(
        modality,
        data,
        single_axis(ANGLES),
        0.4 / 3,
        OPTICS,
        np.array([-10.1, 50.0]),
        1e5 / 3,
        **(adf if modality == "adf" else patterns),
    )
    return replace(series, **changes)


GENERAL = np.stack([random_rotation(np.random.default_rng(i)) for i in range(3)])
SERIES = {
    "adf": make("adf"),
    "adf with a pixel size of patterns": make("adf", reciprocal_step_per_A=0.03, detector_mrad=None),
    "4dstem": make(),
    "general rotations, noise-free, no aberrations": make(rotations=GENERAL, dose_e_per_A2=np.inf, optics=Optics(300, 20)),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with a whole s.emd and a whole s.zarr, to be copied."""
    folder = tmp_path_factory.mktemp("whole")
    write_emd(make(), folder / "s.emd")
    write_zarr(make(), folder / "s.zarr")
    return folder


def assert_equal(back, series):
    assert np.array_equal(np.asarray(back.data).view(np.uint32), series.data.view(np.uint32))
    assert back.data.shape == series.data.shape
    assert back.data.dtype == np.float32
    for name in ("rotations", "defocus_A"):
        assert np.array_equal(getattr(back, name), getattr(series, name))
        assert getattr(back, name).dtype == np.float64
    names = ("modality", "scan_step_A", "optics", "dose_e_per_A2", "detector_mrad", "reciprocal_step_per_A")
    assert [getattr(back, name) for name in names] == [getattr(series, name) for name in names]


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("name", SERIES)
def test_nothing_is_lost(tmp_path, fmt, name):
    write, read, file = FORMATS[fmt]
    path = write(SERIES[name], tmp_path / "new" / file)
    assert_equal(read(path), SERIES[name])
    assert_equal(read(write(read(path), path)), SERIES[name])
    assert [entry.name for entry in path.parent.iterdir()] == [file]


@pytest.mark.parametrize(("fmt", "kind"), [("emd", EmdArray), ("zarr", StoredArray)])
def test_patterns_stay_on_disk(tmp_path, fmt, kind):
    write, read, file = FORMATS[fmt]
    data = read(write(make(), tmp_path / file)).data
    assert isinstance(data, kind)
    assert isinstance(read(write(make("adf"), tmp_path / f"adf-{file}")).data, np.ndarray)


@pytest.mark.parametrize(
    "index",
    [
        1,
        -1,
        (2, 1),
        (2, -1, 3),
        slice(None),
        (slice(1, 3), 0),
        ([2, 0], 1, 2),
        (..., 3),
        (1, slice(None), 2, 1),
        slice(2, 2),
        (0, ...),
    ],
)
def test_images_on_disk_are_indexed_like_an_array(written, index):
    series = make()
    data = read_emd(written / "s.emd").data
    assert np.array_equal(data[index], series.data[index])
    assert data[index].shape == series.data[index].shape
    assert (data.shape, data.ndim, data.size, data.nbytes) == (series.data.shape, 6, series.data.size, series.data.nbytes)
    with pytest.raises(IndexError):
        data[3]


def test_the_layout_is_the_one_of_emd_1_0(tmp_path):
    series = make()
    with h5py.File(write_emd(series, tmp_path / "s.emd")) as stream:
        assert dict(stream.attrs).items() >= {"emd_group_type": "file", "version_major": 1, "version_minor": 0}.items()
        assert dict(stream["tilt_series"].attrs) == {"emd_group_type": "root", "python_class": "Root"}
        bundle = stream["tilt_series/metadatabundle"]
        assert bundle.attrs["emd_group_type"] == "metadatabundle"
        assert dict(bundle["calibration"].attrs) == {"emd_group_type": "metadata", "python_class": "Calibration"}
        calibration = {name: item[()] for name, item in bundle["calibration"].items() if isinstance(item, h5py.Dataset)}
        assert calibration["R_pixel_size"] == series.scan_step_A
        assert calibration["R_pixel_units"] == b"A"
        assert calibration["Q_pixel_size"] == series.reciprocal_step_per_A
        assert calibration["Q_pixel_units"] == b"A^-1"
        assert bundle["calibration/Q_pixel_size"].attrs["type"] == b"number"
        assert np.allclose(bundle["tilt_series/tilt_angles_deg"], ANGLES)
        cubes = [name for name in stream["tilt_series"] if name != "metadatabundle"]
        assert cubes == [f"tilt_00{tilt}_focus_00{focus}" for tilt in range(3) for focus in range(2)]
        cube = stream["tilt_series/tilt_002_focus_001"]
        assert dict(cube.attrs) == {"emd_group_type": "array", "python_class": "DataCube"}
        assert np.array_equal(cube["data"], series.data[2, 1])
        assert cube["data"].fletcher32
        assert cube["data"].compression == "gzip"
        assert cube["data"].attrs["units"]
        dims = [cube[f"dim{axis}"] for axis in range(4)]
        assert [(dim.attrs["name"], dim.attrs["units"]) for dim in dims] == [
            ("R_y", "A"),
            ("R_x", "A"),
            ("Q_y", "A^-1"),
            ("Q_x", "A^-1"),
        ]
        assert np.allclose(dims[1], series.scan_step_A * np.array([-2, -1, 0, 1, 2]))
        assert np.allclose(dims[2], series.reciprocal_step_per_A * np.array([-3, -2, -1, 0, 1, 2]))


def test_images_are_arrays_and_general_rotations_have_no_angles(tmp_path):
    with h5py.File(write_emd(make("adf", rotations=GENERAL), tmp_path / "s.emd")) as stream:
        assert stream[FIRST].attrs["python_class"] == "Array"
        assert stream[FIRST]["data"].shape == (4, 5)
        assert "dim2" not in stream[FIRST]
        assert stream[ABOUT]["tilt_angles_deg"].attrs["type"] == b"None"


def py4dstem_file(path, count=3, **calibration):
    """A file as py4DSTEM writes it: data cubes cube_1, cube_2, cube_10 … of 16-bit counts under one root with a calibration."""
    items = {"R_pixel_size": 0.5, "R_pixel_units": b"nm", "Q_pixel_size": 2.0, "Q_pixel_units": b"mrad", **calibration}
    with h5py.File(path, "w") as stream:
        stream.attrs.update({"emd_group_type": "file", "version_major": 1, "version_minor": 0})
        root = stream.create_group("datacube_root")
        root.attrs.update({"emd_group_type": "root", "python_class": "Root"})
        group = root.create_group("metadatabundle/calibration")
        group.attrs.update({"emd_group_type": "metadata", "python_class": "Calibration"})
        for name, value in items.items():
            group[name] = value
        for value in (10, 2, 1)[:count]:
            cube = root.create_group(f"cube_{value}")
            cube.attrs.update({"emd_group_type": "array", "python_class": "DataCube"})
            cube["data"] = np.full((2, 3, 4, 5), value, np.uint16)
        image = root.create_group("cube_1/virtual_image" if count == 3 else "virtual_image")
        image.attrs.update({"emd_group_type": "array", "python_class": "VirtualImage"})
        image["data"] = np.zeros((2, 3))
    return path


def test_a_file_of_py4dstem_needs_angles_and_optics(tmp_path):
    file = py4dstem_file(tmp_path / "p.h5")
    series = read_emd(file, angles_deg=ANGLES, optics=OPTICS)
    assert series.data.shape == (3, 1, 2, 3, 4, 5)
    assert series.data.dtype == np.float32
    assert list(series.data[:, 0, 0, 0, 0, 0]) == [1, 2, 10]
    assert np.array_equal(series.rotations, single_axis(ANGLES))
    assert series.scan_step_A == 5.0
    assert series.reciprocal_step_per_A == pytest.approx(2e-3 / wavelength_A(200.0))
    assert series.dose_e_per_A2 == np.inf
    assert list(series.defocus_A) == [0.0]
    with pytest.raises(
        BenchsuiteError, match=r"p\.h5: .*pass angles_deg \(3 angles in degrees about y.* and optics \(such as Optics"
    ):
        read_emd(file)
    with pytest.raises(BenchsuiteError, match="does not tell the optics; pass optics"):
        read_emd(file, angles_deg=ANGLES)
    with pytest.raises(BenchsuiteError, match="shape \\(2,\\); pass 3 angles"):
        read_emd(file, angles_deg=ANGLES[:2], optics=OPTICS)
    with pytest.raises(BenchsuiteError, match=r"rotations\[1\] is not a rotation"):
        read_emd(file, angles_deg=[0.0, np.nan, 0.0], optics=OPTICS)


@pytest.mark.parametrize(
    "calibration",
    [
        {"R_pixel_units": b"pixels"},
        {"Q_pixel_units": b"pixels"},
        {"Q_pixel_size": 0.0},
        {"R_pixel_size": np.nan},
        {"R_pixel_size": b"much"},
    ],
)
def test_a_file_without_pixel_sizes_is_refused(tmp_path, calibration):
    file = py4dstem_file(tmp_path / "p.h5", **calibration)
    with pytest.raises(
        BenchsuiteError, match=r"no calibration: .*metadatabundle/calibration has .*allowed: a positive number in A"
    ):
        read_emd(file, angles_deg=ANGLES, optics=OPTICS)


def test_what_a_file_says_cannot_be_said_again(tmp_path):
    file = write_emd(make(), tmp_path / "s.emd")
    with pytest.raises(BenchsuiteError, match="rotations of its own; leave out angles_deg"):
        read_emd(file, angles_deg=ANGLES)
    with pytest.raises(BenchsuiteError, match="optics of its own; leave out optics"):
        read_emd(file, optics=OPTICS)


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
    "no EMD": (lambda s: s.attrs.clear(), "unknown layout: an HDF5 file, but no EMD file; allowed: EMD 1.0"),
    "old EMD": (lambda s: s.attrs.update({"version_major": 0}), "EMD of version 0; allowed: EMD 1.0"),
    "new layout": (set_value(f"{ABOUT}/format_version", (), 2), "format_version is 2 .*allowed: 1"),
    "empty": (drop("tilt_series"), "unknown layout: no data in it; allowed: a DataCube"),
    "no rotations": (drop(f"{ABOUT}/rotations"), r"does not tell the rotations; pass angles_deg \(3 angles"),
    "rotations of other tilts": (put(f"{ABOUT}/rotations", GENERAL[:2]), r"rotations of shape \(2, 3, 3\) for 3 tilts"),
    "no rotation": (set_value(f"{ABOUT}/rotations", (1, 0, 0), 2.0), r"rotations\[1\] is not a rotation"),
    "another rotation": (set_value(f"{ABOUT}/rotations", ..., GENERAL), "do not match their checksum"),
    "no optics": (drop(f"{ABOUT}/optics"), "does not tell the optics; pass optics"),
    "no energy": (drop(f"{ABOUT}/optics/energy_keV"), "not a whole tilt series .*energy_keV"),
    "one defocus for two": (put(f"{ABOUT}/defocus_A", np.zeros(1)), "1 defocus values for 2 focus images"),
    "no calibration": (drop(CALIBRATION), "no calibration: .*R_pixel_size None .*allowed: a positive number in A"),
    "other calibration": (set_value(f"{CALIBRATION}/R_pixel_size", (), 0.2), "calibration, angles.* do not match their checksum"),
    "other dose": (set_value(f"{ABOUT}/dose_e_per_A2", (), 7.0), "do not match their checksum"),
    "one tilt gone": (drop("tilt_series/tilt_001_focus_001"), "tilt_001_focus_001 is missing; allowed: one image for every focus"),
    "last tilt gone": (drop("tilt_series/tilt_002_focus_000", "tilt_series/tilt_002_focus_001"), "3, 3, 3.* for 2 tilts"),
    "tilt twice": (lambda s: s.copy(FIRST, "tilt_series/tilt_0_focus_0"), "two images of one tilt and focus"),
    "no data": (drop(f"{FIRST}/data"), "tilt_000_focus_000 has no dataset `data`"),
    "other shape": (
        put("tilt_series/tilt_001_focus_000/data", np.zeros((4, 5, 6, 6), "f4")),
        r"\(4, 5, 6, 6\), .*one shape for all",
    ),
    "three axes": (put(f"{FIRST}/data", np.zeros((5, 6, 7), "f4")), r"float32 of shape \(5, 6, 7\); allowed: real numbers"),
    "complex": (put(f"{FIRST}/data", np.zeros((4, 5, 6, 7), "c8")), "complex64 .*allowed: real numbers"),
    "NaN": (set_value("tilt_series/tilt_002_focus_001/data", (1, 1, 1, 1), np.nan), "tilt_002_focus_001: NaN or infinite"),
    "infinite": (
        set_value(f"{FIRST}/data", (1, 1, 1, 1), np.inf),
        "tilt_000_focus_000: NaN or infinite intensities; allowed: finite",
    ),
    "negative": (set_value(f"{FIRST}/data", (1, 1, 1, 1), -0.5), r"negative intensities \(down to -0.5\); allowed: zero and above"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_emd_file_is_refused_with_a_reason(tmp_path, written, name):
    edit, message = BROKEN[name]
    file = shutil.copy(written / "s.emd", tmp_path / "s.emd")
    with h5py.File(file, "r+") as stream:
        edit(stream)
    with pytest.raises(BenchsuiteError, match=rf"s\.emd.*{message}"):
        read_emd(file)


def test_what_is_no_hdf5_file_is_refused(tmp_path):
    (tmp_path / "text.h5").write_text("tilts")
    with pytest.raises(BenchsuiteError, match=r"text\.h5: not an HDF5 file; allowed: EMD 1\.0"):
        read_emd(tmp_path / "text.h5")
    with pytest.raises(BenchsuiteError, match=r"none\.h5: cannot be read: No such file"):
        read_emd(tmp_path / "none.h5")
    with pytest.raises(BenchsuiteError, match="cannot be read: Is a directory"):
        read_emd(tmp_path)


@pytest.mark.parametrize("modality", ["adf", "4dstem"])
def test_a_flipped_bit_in_a_chunk_is_noticed(tmp_path, modality):
    file = write_emd(make(modality), tmp_path / "s.emd")
    with h5py.File(file) as stream:
        chunk = stream["tilt_series/tilt_002_focus_001/data"].id.get_chunk_info(0)
    data = bytearray(file.read_bytes())
    for position in (chunk.byte_offset, chunk.byte_offset + chunk.size // 2, chunk.byte_offset + chunk.size - 1):
        flipped = bytearray(data)
        flipped[position] ^= 1
        file.write_bytes(flipped)
        with pytest.raises(BenchsuiteError, match=r"s\.emd: /tilt_series/tilt_002_focus_001 is damaged: .*checksum"):
            read_emd(file)


def test_damage_that_comes_later_is_noticed(tmp_path):
    file = write_emd(make(), tmp_path / "s.emd")
    series = read_emd(file)
    file.write_bytes(file.read_bytes()[:-5000])
    with pytest.raises(BenchsuiteError, match=r"s\.emd: damaged, or not a whole tilt series"):
        series.data[2]


@pytest.mark.parametrize("part", [0.05, 0.5, 0.99])
def test_a_cut_file_is_refused(tmp_path, part):
    file = write_emd(make(), tmp_path / "s.emd")
    data = file.read_bytes()
    file.write_bytes(data[: int(part * len(data))])
    with pytest.raises(BenchsuiteError, match="damaged, or not a whole tilt series"):
        read_emd(file)


class Failing:
    """The images of a series, of which the last tilt cannot be had."""

    def __init__(self, data, error, seen):
        self.shape, self.ndim, self.dtype = data.shape, data.ndim, data.dtype
        self._data, self._error, self._seen = data, error, seen

    def __len__(self):
        return len(self._data)

    def __getitem__(self, tilt):
        self._seen.append(tilt)
        if tilt == len(self) - 1:
            raise self._error
        return self._data[tilt]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("unreadable")])
@pytest.mark.parametrize("fmt", FORMATS)
def test_an_interrupted_write_leaves_nothing_and_keeps_what_was_there(tmp_path, fmt, error):
    write, read, file = FORMATS[fmt]
    seen = []
    broken = make(data=Failing(make().data, error, seen))
    with pytest.raises((KeyboardInterrupt, StoreError)):
        write(broken, tmp_path / file)
    assert list(tmp_path.iterdir()) == []
    assert seen == [0, 1, 2]
    write(make("adf"), tmp_path / file)
    with pytest.raises((KeyboardInterrupt, StoreError)):
        write(broken, tmp_path / file)
    assert_equal(read(tmp_path / file), make("adf"))
    assert [path.name for path in tmp_path.iterdir()] == [file]


@contextmanager
def files_of_at_most(size):
    """Writing past `size` bytes fails, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("size", [3000, 20_000, 100_000])
@pytest.mark.parametrize("fmt", FORMATS)
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path, fmt, size):
    write, _, file = FORMATS[fmt]
    noise = np.random.default_rng(0).random((2, 1, 8, 8, 32, 32), dtype=np.float32)
    series = make(data=noise, rotations=GENERAL[:2], defocus_A=np.zeros(1))
    with files_of_at_most(size), pytest.raises(StoreError, match=r"cannot write .*File too large"):
        write(series, tmp_path / file)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_also_where_hdf5_stumbles_over_its_consequences(tmp_path, monkeypatch):
    def write_image(root, name, image, series):
        with files_of_at_most(100):
            root.file.flush()
        raise OSError("Can't synchronously write data (address of object past end of allocation)")

    monkeypatch.setattr("benchsuite.emd._write_image", write_image)
    with pytest.raises(StoreError, match=r"cannot write .*File too large"):
        write_emd(make(), tmp_path / "s.emd")
    assert list(tmp_path.iterdir()) == []


UNFIT = {
    "double precision": ({"data": make().data.astype(np.float64)}, "float64; allowed: float32"),
    "empty": ({"data": make().data[:, :, :0]}, "is empty"),
    "no detector pixel": ({"reciprocal_step_per_A": None}, "no calibration: reciprocal_step_per_A is None"),
    "no scan step": ({"scan_step_A": 0.0}, "no calibration: scan_step_A is None"),
    "mirrored": ({"rotations": -single_axis(ANGLES)}, r"rotations\[0\] is not a rotation"),
    "no defocus": ({"defocus_A": np.array([0.0, np.nan])}, "defocus_A is .*allowed: finite"),
    "no dose": ({"dose_e_per_A2": np.nan}, "dose_e_per_A2 is nan; allowed: a positive number, or inf"),
    "negative": ({"data": make().data - np.float32(0.001)}, "negative intensities"),
    "NaN": ({"data": make().data * np.float32("nan")}, "NaN or infinite intensities"),
}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_hdf5_survives_a_disk_that_takes_nothing(tmp_path, monkeypatch):
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    monkeypatch.setattr("benchsuite.series_files.temporary_name", lambda _: full)
    with pytest.raises(StoreError, match=r"cannot write .*s\.emd: the disk is full"):
        write_emd(make(), tmp_path / "s.emd")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("name", UNFIT)
def test_what_could_not_be_read_is_not_written(tmp_path, fmt, name):
    changes, message = UNFIT[name]
    write, _, file = FORMATS[fmt]
    with pytest.raises(BenchsuiteError, match=message):
        write(make(**changes), tmp_path / file)
    assert list(tmp_path.iterdir()) == []


def test_other_things_are_not_overwritten(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("years")
    for write in (write_emd, write_zarr):
        with pytest.raises(BenchsuiteError, match=r"is a folder|is no zarr group"):
            write(make(), tmp_path / "work")
    assert (tmp_path / "work" / "thesis.txt").read_text() == "years"


def test_a_zarr_group_of_the_store_can_be_read(tmp_path):
    series = make()
    save_series(tmp_path / "s.zarr", iter(series.data), series)
    assert_equal(read_zarr(tmp_path / "s.zarr"), series)


def zarr_flip(folder):
    chunk = next(file for file in sorted((folder / "data" / "c" / "1").rglob("*")) if file.is_file())
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(data)


def zarr_about(**changes):
    def edit(folder):
        group = zarr.open_group(folder)
        group.attrs["about"] = {**group.attrs["about"], **changes}

    return edit


def zarr_value(value):
    def edit(folder):
        zarr.open_group(folder)["data"][2, 0, 0, 0, 0, 0] = value

    return edit


BROKEN_ZARR = {
    "no folder": (shutil.rmtree, "no zarr v3 group"),
    "no group": (lambda folder: (folder / "zarr.json").unlink(), r"no zarr v3 group \(a folder with zarr.json\)"),
    "no JSON": (lambda folder: (folder / "zarr.json").write_text("{"), "damaged, or not a whole tilt series"),
    "no rotations": (lambda folder: shutil.rmtree(folder / "rotations"), "unknown layout: rotations missing"),
    "no description": (lambda folder: zarr.open_group(folder).attrs.clear(), "unknown layout: the attribute about missing"),
    "flipped bit": (zarr_flip, "damaged, .*checksum"),
    "lost chunk": (lambda folder: shutil.rmtree(folder / "data" / "c" / "1"), "damaged: 4 chunks of 5 are there"),
    "other step": (zarr_about(scan_step_A=0.2), "do not match their checksum"),
    "no step": (zarr_about(scan_step_A=0.0), "no calibration: scan_step_A is None"),
    "NaN": (zarr_value(np.nan), "tilt 2: NaN or infinite intensities"),
    "negative": (zarr_value(-1.0), "tilt 2: negative intensities"),
}


@pytest.mark.parametrize("name", BROKEN_ZARR)
def test_a_broken_zarr_group_is_refused_with_a_reason(tmp_path, written, name):
    edit, message = BROKEN_ZARR[name]
    folder = shutil.copytree(written / "s.zarr", tmp_path / "s.zarr")
    edit(folder)
    with pytest.raises(BenchsuiteError, match=rf"s\.zarr: .*{message}"):
        read_zarr(folder)


def export(series, file):
    run = SimpleNamespace(records={"0": {}}, folder="run", cell=lambda _: SimpleNamespace(series=lambda: series))
    return export_cell(run, "0", "series", file)


@pytest.mark.parametrize("modality", ["adf", "4dstem"])
def test_export_of_a_series_without_loss(tmp_path, modality):
    for suffix in (".emd", ".h5", ".hdf5", ".zarr"):
        file = tmp_path / f"s{suffix}"
        assert export(make(modality), file) == [file]
        assert_equal((read_zarr if suffix == ".zarr" else read_emd)(file), make(modality))


def test_export_of_a_stack_is_for_images(tmp_path):
    series = make("adf", data=np.random.default_rng(0).random((3, 2, 4, 5), dtype=np.float32))
    assert export(series, tmp_path / "s.mrc") == [tmp_path / "s.mrc", tmp_path / "s.rawtlt"]
    assert np.allclose(np.loadtxt(tmp_path / "s.rawtlt"), ANGLES)
    assert np.allclose(angles_about_y(series.rotations), ANGLES)
    for suffix in (".mrc", ".tiff"):
        with pytest.raises(BenchsuiteError, match=r"4dstem series can be written to \.emd, \.h5, \.hdf5, \.zarr"):
            export(make(), tmp_path / f"p{suffix}")
    with pytest.raises(BenchsuiteError, match=r"series can be written to \.mrc, \.tif, \.tiff, \.emd, \.h5, \.hdf5, \.zarr"):
        export(make(), tmp_path / "p.png")


def test_without_h5py_the_extra_is_named(tmp_path, monkeypatch):
    file = write_emd(make(), tmp_path / "s.emd")
    monkeypatch.setitem(sys.modules, "h5py", None)
    for action in (lambda: read_emd(file), lambda: write_emd(make(), tmp_path / "t.emd")):
        with pytest.raises(BenchsuiteError, match=r"extra `formats`: pip install 'benchsuite\[formats\]'"):
            action()
