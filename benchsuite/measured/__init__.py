"""Tilt series in files that are handed to others, without loss: EMD, as py4DSTEM opens it, and zarr groups."""

from benchsuite.measured.emd_reader import read_emd
from benchsuite.measured.emd_writer import write_emd
from benchsuite.measured.zarr_group import read_zarr, write_zarr

__all__ = ["read_emd", "read_zarr", "write_emd", "write_zarr"]
