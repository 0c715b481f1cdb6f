"""benchsuite: benchmark suite for atomic electron tomography.

All that a script, a notebook or a plugin needs is a name of this package: `import benchsuite as bs`, then `bs.phantom`,
`bs.simulate`, `bs.reconstruct`, `bs.trace`, `bs.score`, `bs.Run`, and the base classes of what can be plugged in. A name is
imported when it is first used, so that `import benchsuite` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

API = {
    "Acquisition": "benchsuite.contract.settings",
    "Column": "benchsuite.columns",
    "Contents": "benchsuite.contract.reader",
    "Context": "benchsuite.contract.algorithm",
    "Cost": "benchsuite.contract.cost",
    "Count": "benchsuite.params",
    "Figure": "benchsuite.contract.figure",
    "Grid": "benchsuite.data",
    "Iterate": "benchsuite.contract.reconstructor",
    "Margin": "benchsuite.columns",
    "MappedArray": "benchsuite.contract.reader",
    "Metric": "benchsuite.contract.metric",
    "Microscope": "benchsuite.contract.settings",
    "Modality": "benchsuite.data",
    "NonNegative": "benchsuite.params",
    "Optics": "benchsuite.data",
    "Params": "benchsuite.params",
    "Phantom": "benchsuite.contract.phantom",
    "Positive": "benchsuite.params",
    "Preprocessed": "benchsuite.data",
    "Preprocessing": "benchsuite.contract.preprocessing",
    "Projector": "benchsuite.physics.projection.projector",
    "Reader": "benchsuite.contract.reader",
    "Reconstruction": "benchsuite.data",
    "Reconstructor": "benchsuite.contract.reconstructor",
    "Run": "benchsuite.results",
    "Scored": "benchsuite.contract.metric",
    "Scores": "benchsuite.contract.metric",
    "Simulation": "benchsuite.contract.settings",
    "Simulator": "benchsuite.contract.simulator",
    "TiltSeries": "benchsuite.data",
    "Volume": "benchsuite.data",
    "read_series": "benchsuite.measured.series",
    "write_series": "benchsuite.measured.files",
}  # public name: the module that defines it

__all__ = ["API", "__version__", *API]


def __getattr__(name: str) -> Any:
    if name not in API:
        raise AttributeError(f"module 'benchsuite' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(API[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
