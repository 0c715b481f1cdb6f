"""Shared by the tests of own data: a small stack in every format, and the section `series` that reads it."""

from __future__ import annotations

import numpy as np
import pytest

from benchsuite.data import Optics, TiltSeries
from benchsuite.measured.files import write_series
from benchsuite.measured.series import levelled, open_measured
from benchsuite.measured.settings import SeriesFile
from benchsuite.physics.rotations import single_axis

ANGLES = [-60.0, -20.0, 20.0, 60.0]
STACK = np.random.default_rng(5).random((4, 6, 8), dtype=np.float32)
PATTERNS = np.random.default_rng(6).integers(0, 60_000, (4, 3, 4, 6, 8), dtype=np.uint16)


def write_mrc(file, data=STACK):
    import mrcfile

    with mrcfile.new(file, overwrite=True) as mrc:
        mrc.set_data(data)
        mrc.voxel_size = 0.37


def write_tiff(file, data=STACK, **more):
    import tifffile

    tifffile.imwrite(
        file, data, **{"photometric": "minisblack", "metadata": {"axes": "ZYX", "spacing": 0.37, "unit": "angstrom"}, **more}
    )


def write_hdf5(file, data=STACK):
    import h5py

    with h5py.File(file, "w") as stream:
        stream.create_dataset("data/stack", data=data, chunks=(1, *data.shape[1:]), compression="gzip")
        stream["angles"] = np.array(ANGLES)


def write_zarr(file, data=STACK):
    import zarr

    zarr.save_array(file, data)


def write_emd(file, data=STACK):
    series = TiltSeries("adf", data[:, None], single_axis(ANGLES), 0.37, Optics(300.0, 21.0), np.zeros(1))
    write_series(series, file)


WRITERS = {
    "s.mrc": write_mrc,
    "s.tif": write_tiff,
    "s.h5": write_hdf5,
    "s.npy": np.save,
    "s.zarr": write_zarr,
    "s.emd": write_emd,
}


@pytest.fixture(params=WRITERS)
def stack_file(request, tmp_path):
    """A file of STACK in every format in turn."""
    file = tmp_path / request.param
    WRITERS[request.param](file, STACK)
    return file


@pytest.fixture(scope="session")
def writers():
    """How each format is written, by the name of a file."""
    return WRITERS


@pytest.fixture(scope="session")
def stack():
    """What is in the stacks."""
    return STACK


@pytest.fixture(scope="session")
def patterns():
    """Counts of patterns: (tilt, scan_y, scan_x, q_y, q_x)."""
    return PATTERNS


@pytest.fixture(scope="session")
def angles():
    """The tilt angles of the stacks in degrees."""
    return ANGLES


@pytest.fixture(scope="session")
def section():
    """A function that makes the section `series` of a file, with what no stack says."""

    def make(file=None, **keys):
        given = {"tilts": ANGLES, "scan_step_A": 0.37, "energy_keV": 300.0, "semiangle_mrad": 21.0, **keys}
        if file is not None:
            given["file"] = str(file)
        return SeriesFile.model_validate({key: value for key, value in given.items() if value is not None})

    return make


@pytest.fixture(scope="session")
def read(section):
    """A function that reads a series: as the harness does, after its levels are found."""

    def opened(file=None, **keys):
        asked = section(file, **keys)
        return levelled(open_measured(asked), asked)

    return opened
