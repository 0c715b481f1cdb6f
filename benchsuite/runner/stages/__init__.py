"""The flow of a cell, one file per stage: phantom → image → series → reconstruction → atoms → scores."""

from benchsuite.runner.stages.atoms import AtomsStage
from benchsuite.runner.stages.base import Stage, ensure
from benchsuite.runner.stages.image import ImageStage
from benchsuite.runner.stages.phantom import PhantomStage
from benchsuite.runner.stages.reconstruction import ReconstructionStage
from benchsuite.runner.stages.scores import ScoresStage
from benchsuite.runner.stages.series import SeriesStage

__all__ = [
    "AtomsStage",
    "ImageStage",
    "PhantomStage",
    "ReconstructionStage",
    "ScoresStage",
    "SeriesStage",
    "Stage",
    "ensure",
]
