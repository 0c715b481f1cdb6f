"""The flow of a cell, one file per stage: phantom → image → series → reconstruction (or refinement) → atoms → scores."""

from benchsuite.runner.stages.base import Stage, ensure
from benchsuite.runner.stages.flow import Flow, flow, flows
from benchsuite.runner.stages.image import ImageStage
from benchsuite.runner.stages.phantom import PhantomStage
from benchsuite.runner.stages.series import SeriesStage

__all__ = [
    "Flow",
    "ImageStage",
    "PhantomStage",
    "SeriesStage",
    "Stage",
    "ensure",
    "flow",
    "flows",
]
