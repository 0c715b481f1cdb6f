"""Shared by the tests of files of tilt series: small series, both formats, whole files to be broken, and a disk that is full."""

from __future__ import annotations

import resource
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from benchsuite.data import Optics, TiltSeries
from benchsuite.measured.files import write_series
from benchsuite.measured.series import read_series
from benchsuite.physics.rotations import single_axis

OPTICS = Optics(200.0, 21.4, {"C30": 1.2e4, "C12": 3.7, "phi12_deg": 20.1})
ANGLES = np.array([-31.7, 0.0, 70.3])


def write(series: TiltSeries, file: Path) -> Path:
    """Write a series and return the file."""
    return write_series(series, file)[0]


def read_whole(file: Path) -> TiltSeries:
    """Read a series, and all of its data once, so that damage shows."""
    series = read_series(file)
    np.asarray(series.data)
    return series


class Format(NamedTuple):
    """A format that holds all of a series: how it is written and read, and the name of a file."""

    write: Callable[[TiltSeries, Path], Path]
    read: Callable[[Path], TiltSeries]
    file: str


FORMATS = {"emd": Format(write, read_whole, "s.emd"), "zarr": Format(write, read_whole, "s.zarr")}


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr("benchsuite.measured.files.fsync_path", lambda _: None)


@pytest.fixture(params=FORMATS)
def fmt(request):
    """Each format in turn."""
    return FORMATS[request.param]


@pytest.fixture(scope="session")
def emd():
    """EMD: how it is written and read."""
    return FORMATS["emd"]


@pytest.fixture(scope="session")
def zarr_format():
    """Zarr: how it is written and read."""
    return FORMATS["zarr"]


@pytest.fixture(scope="session")
def angles():
    """The tilt angles of `make` in degrees."""
    return ANGLES


@pytest.fixture(scope="session")
def optics():
    """The optics of `make`."""
    return OPTICS


@pytest.fixture(scope="session")
def make():
    """A function that makes a series of random counts: different lengths of all axes, two foci, every optional entry given."""

    def build(modality="4dstem", **changes):
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

    return build


@pytest.fixture(scope="session")
def written(tmp_path_factory, make):
    """A folder with a whole s.emd and a whole s.zarr, to be copied."""
    folder = tmp_path_factory.mktemp("whole")
    write_series(make(), folder / "s.emd")
    write_series(make(), folder / "s.zarr")
    return folder


@pytest.fixture(scope="session")
def assert_equal():
    """A function that asserts that a series read is the one written, bit for bit."""

    def compare(back, series):
        assert np.array_equal(np.asarray(back.data).view(np.uint32), series.data.view(np.uint32))
        assert back.data.shape == series.data.shape
        assert back.data.dtype == np.float32
        for name in ("rotations", "defocus_A"):
            assert np.array_equal(getattr(back, name), getattr(series, name))
            assert getattr(back, name).dtype == np.float64
        names = ("modality", "scan_step_A", "optics", "dose_e_per_A2", "detector_mrad", "reciprocal_step_per_A")
        assert [getattr(back, name) for name in names] == [getattr(series, name) for name in names]

    return compare


@pytest.fixture(scope="session")
def files_of_at_most():
    """A context in which writing past a size in bytes fails, as on a full disk."""

    @contextmanager
    def limited(size):
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    return limited
