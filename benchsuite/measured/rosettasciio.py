"""What RosettaSciIO reads (doi:10.5281/zenodo.8011666): Gatan, Velox, NanoMEGAS, Quantum Detectors, TVIPS, TIA, HyperSpy.

Of its formats those are offered that hold electron micrographs or patterns; it opens them lazily.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite.errors import BenchsuiteError
from benchsuite.measured.checks import damage_reported, import_extra
from benchsuite.measured.contents import ANGLES_MRAD, LENGTHS_A, RECIPROCALS_PER_A, Contents

READERS = {
    ".blo": "blockfile",
    ".dm3": "digitalmicrograph",
    ".dm4": "digitalmicrograph",
    ".emd": "emd",
    ".emi": "tia",
    ".hspy": "hspy",
    ".mib": "quantumdetector",
    ".ser": "tia",
    ".tvips": "tvips",
    ".zspy": "zspy",
}


def rosettasciio_contents(file: Path, dataset: str | None = None) -> Contents:
    """Return the signal of that title or number, or the only one of two and more axes, with the calibration of its axes."""
    name = READERS[".hspy" if file.suffix.lower() in (".h5", ".hdf5") else file.suffix.lower()]
    reader = import_extra(f"rsciio.{name}", file, "formats").file_reader
    with damage_reported(file):
        signals = [one for one in reader(str(file), lazy=True) if np.ndim(one["data"]) >= 2]
        chosen = _chosen(file, signals, dataset)
        return Contents(f"{name} (RosettaSciIO)", DaskArray(file, chosen["data"]), _facts(chosen), _axes(chosen))


class DaskArray:
    """A lazy array, computed where it is indexed."""

    def __init__(self, file: Path, lazy: Any) -> None:
        self._file, self._lazy = file, lazy
        self.shape, self.dtype = tuple(lazy.shape), np.dtype(lazy.dtype)

    def __getitem__(self, index: Any) -> np.ndarray:
        part = self._lazy[index]
        with damage_reported(self._file):
            return np.asarray(part.compute(scheduler="synchronous") if hasattr(part, "compute") else part)


def _chosen(file: Path, signals: Sequence[Mapping[str, Any]], dataset: str | None) -> Mapping[str, Any]:
    titles = [str(one.get("metadata", {}).get("General", {}).get("title", "")) for one in signals]
    if dataset is not None:
        fitting = [i for i, title in enumerate(titles) if dataset in (title, str(i))]
    else:
        fitting = list(range(len(signals)))
    if len(fitting) != 1:
        listed = ", ".join(f"{i} ({title or 'untitled'}, {np.shape(signals[i]['data'])})" for i, title in enumerate(titles))
        raise BenchsuiteError(
            f"{file}: say which signal it is with series.dataset, by number or title; there are: {listed or 'none'}"
        )
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


def _facts(signal: Mapping[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    places = _axes(signal) or ()
    for place, axis in zip(places, signal["axes"], strict=False):
        unit, scale = str(axis.get("units", "")), axis.get("scale")
        if not isinstance(scale, (int, float)) or not scale:
            continue
        size = abs(float(scale))
        if place in ("x", "scan_x") and unit in LENGTHS_A:
            facts["scan_step_A"] = size * LENGTHS_A[unit]
        elif place == "q_x" and unit in RECIPROCALS_PER_A:
            facts["reciprocal_step_per_A"] = size * RECIPROCALS_PER_A[unit]
        elif place == "q_x" and unit in ANGLES_MRAD:
            facts["angle_step_mrad"] = size * ANGLES_MRAD[unit]
    microscope = signal.get("metadata", {}).get("Acquisition_instrument", {}).get("TEM", {})
    told = {
        "energy_keV": microscope.get("beam_energy"),
        "semiangle_mrad": microscope.get("convergence_angle"),
        "tilt_deg": microscope.get("Stage", {}).get("tilt_alpha"),
    }
    return facts | {name: float(value) for name, value in told.items() if isinstance(value, (int, float))}
