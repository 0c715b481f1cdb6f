"""Scenario files: schema, loading with positions, sweeps and the library."""

from benchsuite.scenario.cells import Cell, Experiment, PhantomSpec, ReconstructorSpec, StepSpec
from benchsuite.scenario.loader import Loaded, load

__all__ = ["Cell", "Experiment", "Loaded", "PhantomSpec", "ReconstructorSpec", "StepSpec", "load"]
