"""Formats that RosettaSciIO reads: those of its formats that hold electron micrographs or patterns and open lazily."""

from __future__ import annotations

import glob
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite.contract.reader import Contents, Reader
from benchsuite.errors import BenchsuiteError
from benchsuite.measured.formats import ANGLES_MRAD, LENGTHS_A, RECIPROCALS_PER_A
from benchsuite.measured.formats.hdf5 import HDF5

PLUGINS = {
    ".blo": "blockfile",
    ".dm3": "digitalmicrograph",
    ".dm4": "digitalmicrograph",
    ".emd": "emd",
    ".emi": "tia",
    ".h5": "hspy",
    ".hdf5": "hspy",
    ".hspy": "hspy",
    ".mib": "quantumdetector",
    ".ser": "tia",
    ".tvips": "tvips",
    ".zspy": "zspy",
}
COMPANIONS = {".emi": (".emi", "_*.ser"), ".mib": (".mib", ".hdr"), ".tvips": ("000.tvips", "*.tvips")}  # read beside a file


class RosettaSciIO(Reader):
    title = "Gatan, Velox, NanoMEGAS, Quantum Detectors, TVIPS, TIA and HyperSpy files, by RosettaSciIO"
    reference = "doi:10.5281/zenodo.8011666"
    suffixes = tuple(PLUGINS)
    folders = (".zspy",)
    extra = "formats"

    def recognises(self, file: Path) -> bool:
        """Velox and HyperSpy files among those in HDF5; everything else."""
        if file.suffix.lower() not in HDF5.suffixes:
            return True
        import h5py

        if not h5py.is_hdf5(file):
            return False
        with h5py.File(file, "r") as stream:
            return ("Data" in stream and "Version" in stream) or "Experiments" in stream

    def open(self, file: Path, dataset: str | None = None) -> Contents:
        """Return the signal of that number or title, or the only one of two and more axes; a path is that of an HDF5 dataset."""
        if dataset is not None and dataset.startswith("/") and file.suffix.lower() in HDF5.suffixes:
            return HDF5().open(file, dataset)
        name = PLUGINS[file.suffix.lower()]
        reader = importlib.import_module(f"rsciio.{name}").file_reader
        signals = [signal for signal in reader(str(file), lazy=True) if np.ndim(signal["data"]) >= 2]
        chosen = _chosen(file, signals, dataset)
        ending, others = COMPANIONS.get(file.suffix.lower(), ("", ""))
        beside = sorted(file.parent.glob(glob.escape(file.name[: -len(ending)]) + others)) if ending else []
        data, format = DaskArray(chosen["data"]), f"{name} (RosettaSciIO)"
        return Contents(data, _metadata(chosen), _axes(chosen), tuple(beside), format=format)


class DaskArray:
    """A lazy array, computed where it is indexed."""

    def __init__(self, lazy: Any) -> None:
        self._lazy = lazy
        self.shape, self.dtype = tuple(lazy.shape), np.dtype(lazy.dtype)

    def __getitem__(self, index: Any) -> np.ndarray:
        part = self._lazy[index]
        return np.asarray(part.compute(scheduler="synchronous") if hasattr(part, "compute") else part)


def _chosen(file: Path, signals: Sequence[Mapping[str, Any]], dataset: str | None) -> Mapping[str, Any]:
    titles = [str(one.get("metadata", {}).get("General", {}).get("title", "")) for one in signals]
    if dataset is not None:
        fitting = [i for i, title in enumerate(titles) if dataset in (title, str(i))]
    else:
        fitting = list(range(len(signals)))
    if len(fitting) != 1:
        listed = ", ".join(f"{i} ({title or 'untitled'}, {np.shape(signals[i]['data'])})" for i, title in enumerate(titles))
        raise BenchsuiteError(f"{file}: series.dataset must name one of its signals, by number or title: {listed or 'none'}")
    return signals[fitting[0]]


def _axes(signal: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Names of the axes where navigation and signal dimensions leave no doubt."""
    kinds = tuple(bool(axis.get("navigate")) for axis in signal["axes"])
    known = {
        (False, False): ("y", "x"),
        (True, False, False): ("tilt", "y", "x"),
        (True, True, False, False): ("scan_y", "scan_x", "q_y", "q_x"),
        (True, True, True, False, False): ("tilt", "scan_y", "scan_x", "q_y", "q_x"),
    }
    return known.get(kinds)


def _metadata(signal: Mapping[str, Any]) -> dict[str, Any]:
    """Header fields that are used: the scales of the axes, acceleration voltage, convergence semi-angle and stage tilt."""
    metadata: dict[str, Any] = {}
    for name, axis in zip(_axes(signal) or (), signal["axes"], strict=False):
        unit, scale = str(axis.get("units", "")), axis.get("scale")
        if not isinstance(scale, (int, float)) or not scale:
            continue
        size = abs(float(scale))
        if name in ("x", "scan_x") and unit in LENGTHS_A:
            metadata["scan_step_A"] = size * LENGTHS_A[unit]
        elif name == "q_x" and unit in RECIPROCALS_PER_A:
            metadata["reciprocal_step_per_A"] = size * RECIPROCALS_PER_A[unit]
        elif name == "q_x" and unit in ANGLES_MRAD:
            metadata["angle_step_mrad"] = size * ANGLES_MRAD[unit]
    microscope = signal.get("metadata", {}).get("Acquisition_instrument", {}).get("TEM", {})
    fields = {
        "energy_keV": microscope.get("beam_energy"),
        "semiangle_mrad": microscope.get("convergence_angle"),
        "tilt_deg": microscope.get("Stage", {}).get("tilt_alpha"),
    }
    return metadata | {name: float(value) for name, value in fields.items() if isinstance(value, (int, float))}
