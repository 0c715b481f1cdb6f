"""The contract between the harness and what can be plugged into it: the base classes, one file each, and what they exchange."""

from benchsuite.columns import Column, Margin
from benchsuite.contract.algorithm import Context
from benchsuite.contract.figure import Figure
from benchsuite.contract.metric import Metric, Scored, Scores
from benchsuite.contract.phantom import Phantom
from benchsuite.contract.plug import Cost
from benchsuite.contract.preprocessing import Preprocessing
from benchsuite.contract.reader import Contents, MappedArray, Reader
from benchsuite.contract.reconstructor import Iterate, Reconstructor
from benchsuite.contract.settings import Acquisition, Microscope, Simulation
from benchsuite.contract.simulator import Simulator

__all__ = [
    "Acquisition",
    "Column",
    "Contents",
    "Context",
    "Cost",
    "Figure",
    "Iterate",
    "MappedArray",
    "Margin",
    "Metric",
    "Microscope",
    "Phantom",
    "Preprocessing",
    "Reader",
    "Reconstructor",
    "Scored",
    "Scores",
    "Simulation",
    "Simulator",
]
