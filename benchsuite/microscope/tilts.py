"""From the scenario's spelling of the tilts to rotation matrices, and from the scan to the grid of the volume."""

from __future__ import annotations

import numpy as np

from benchsuite.contract.settings import Acquisition, Scan, Simulation, Tilts, VolumeGrid
from benchsuite.data import Grid
from benchsuite.errors import PhysicsError
from benchsuite.physics.rotations import euler, is_rotation, single_axis, tilt_angles


def angles_deg(tilts: Tilts) -> np.ndarray | None:
    """Return the (n,) single-axis angles in degrees, or None for tilts given as matrices or Euler angles."""
    if tilts.range_deg is not None and tilts.count is not None:
        return tilt_angles(*tilts.range_deg, tilts.count)
    return None if tilts.angles_deg is None else np.asarray(tilts.angles_deg, dtype=np.float64)


def rotations(tilts: Tilts) -> np.ndarray:
    """Return the (n, 3, 3) nominal rotations. Raises PhysicsError for a matrix that is not a rotation, or an axis of no length."""
    if not isinstance(tilts.axis, str) and not any(tilts.axis):
        raise PhysicsError("axis has length zero")
    angles = angles_deg(tilts)
    if angles is not None:
        return single_axis(angles, tilts.axis)
    if tilts.euler_deg is not None:
        return euler(tilts.euler_deg, tilts.euler_order)
    matrices = np.asarray(tilts.matrices, dtype=np.float64)
    for number, matrix in enumerate(matrices):
        if not is_rotation(matrix):
            raise PhysicsError(f"matrices.{number} is not a rotation (orthogonal, determinant +1)")
    return matrices


def field_of_view_A(scan: Scan) -> float:
    """Return the side of the specimen box across the beam: the larger side of the scanned field."""
    return scan.step_A * max(scan.positions)


def camera_field_A(acquisition: Acquisition) -> float:
    """Return the side of the field whose reciprocal is the width of a camera pixel: by default the field of view."""
    return acquisition.camera.field_A or field_of_view_A(acquisition.scan)


def box_depth_A(scan: Scan, simulation: Simulation) -> float:
    """Return the height of the specimen box along the beam: by default that of a cube."""
    return simulation.depth_A or field_of_view_A(scan)


def specimen_box_A(scan: Scan, simulation: Simulation) -> tuple[float, float, float]:
    """Return the (x, y, z) sides within which a tilted specimen must stay: the scanned field, and the depth of the box."""
    ny, nx = scan.positions
    return nx * scan.step_A, ny * scan.step_A, box_depth_A(scan, simulation)


def reconstruction_grid(acquisition: Acquisition, grid: VolumeGrid) -> Grid:
    """Return the grid of the volume: by default a cube over the field of view.

    Its voxels are one scan step wide for images, and for 4D-STEM what the patterns resolve: camera field / camera pixels.
    """
    field = field_of_view_A(acquisition.scan)
    images, camera = acquisition.mode == "adf", max(acquisition.camera.pixels)
    voxel = grid.voxel_A or (acquisition.scan.step_A if images else camera_field_A(acquisition) / camera)
    default = Grid.cube(field, voxel, even=not images)
    return default if grid.shape is None else Grid(grid.shape, voxel)
