"""The simulated microscope: geometry of the tilts, limits of an experiment, simulation engines, and what a recording adds."""

from benchsuite.microscope.limits import check_specimen
from benchsuite.microscope.recording import dose_generator, record, true_drift_A, true_rotations
from benchsuite.microscope.simulation import (
    check_physics,
    empty_series,
    engine_name,
    simulate,
    simulate_cost,
    simulate_series,
    simulator_of,
    warnings_physics,
)
from benchsuite.microscope.tilts import camera_field_A, field_of_view_A, reconstruction_grid, rotations

__all__ = [
    "camera_field_A",
    "check_physics",
    "check_specimen",
    "dose_generator",
    "empty_series",
    "engine_name",
    "field_of_view_A",
    "reconstruction_grid",
    "record",
    "rotations",
    "simulate",
    "simulate_cost",
    "simulate_series",
    "simulator_of",
    "true_drift_A",
    "true_rotations",
    "warnings_physics",
]
