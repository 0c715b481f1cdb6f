"""The contract between the harness and what can be plugged into it: the base classes, one file each, and what they exchange."""

from benchsuite.contract.algorithm import Context
from benchsuite.contract.cost import Cost
from benchsuite.contract.metric import Metric, Scored
from benchsuite.contract.phantom import Phantom
from benchsuite.contract.preprocessing import Preprocessing
from benchsuite.contract.reconstructor import Iterate, Reconstructor

__all__ = ["Context", "Cost", "Iterate", "Metric", "Phantom", "Preprocessing", "Reconstructor", "Scored"]
