"""The simulated microscope: geometry of the tilts, limits of the grid, images by abTEM, and what a recording adds."""

from benchsuite.microscope.adf import simulate_adf
from benchsuite.microscope.cost import simulate_cost
from benchsuite.microscope.limits import check_fits, check_physics, warnings_physics
from benchsuite.microscope.recording import record, true_drift_A, true_rotations
from benchsuite.microscope.tilts import camera_field_A, field_of_view_A, reconstruction_grid, rotations, specimen_box_A

__all__ = [
    "camera_field_A",
    "check_fits",
    "check_physics",
    "field_of_view_A",
    "reconstruction_grid",
    "record",
    "rotations",
    "simulate_adf",
    "simulate_cost",
    "specimen_box_A",
    "true_drift_A",
    "true_rotations",
    "warnings_physics",
]
