"""Spellings of the tilts, and the default grid."""

from __future__ import annotations

import numpy as np
import pytest

from benchsuite.contract.settings import Acquisition, Scan, Tilts, VolumeGrid
from benchsuite.errors import PhysicsError
from benchsuite.microscope import reconstruction_grid, rotations
from benchsuite.physics.rotations import rotation


def test_different_spellings_of_one_tilt_agree() -> None:
    expected = [rotation("y", angle) for angle in (-30.0, 0.0, 30.0)]
    spellings = [
        Tilts(range_deg=(-30.0, 30.0), count=3),
        Tilts(angles_deg=(-30.0, 0.0, 30.0)),
        Tilts(angles_deg=(-30.0, 0.0, 30.0), axis=(0.0, 2.0, 0.0)),
        Tilts(euler_deg=((0.0, -30.0, 0.0), (0.0, 0.0, 0.0), (0.0, 30.0, 0.0))),
        Tilts.model_validate({"matrices": [matrix.tolist() for matrix in expected]}),
    ]
    for tilts in spellings:
        np.testing.assert_allclose(rotations(tilts), expected, atol=1e-12)


def test_a_full_range_never_repeats_the_mirrored_end_view() -> None:
    matrices = rotations(Tilts(range_deg=(-90.0, 90.0), count=20))
    mirror = np.diag([-1.0, 1.0, -1.0])
    assert len(matrices) == 20
    distances = [np.abs(a - mirror @ b).max() for a in matrices for b in matrices]
    assert min(distances) > 0.1


def test_a_reflection_is_not_a_rotation() -> None:
    with pytest.raises(PhysicsError, match=r"matrices\.1 is not a rotation"):
        rotations(Tilts(matrices=(((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0)), ((1.0, 0, 0), (0, 1.0, 0), (0, 0, -1.0)))))


def test_an_axis_needs_a_length() -> None:
    with pytest.raises(PhysicsError, match="axis has length zero"):
        rotations(Tilts(angles_deg=(1.0,), axis=(0.0, 0.0, 0.0)))


@pytest.mark.parametrize(
    ("scan", "grid", "shape", "voxel"),
    [
        (Scan(step_A=0.4, positions=(64, 64)), VolumeGrid(), (64, 64, 64), 0.4),
        (Scan(step_A=0.4, positions=(40, 64)), VolumeGrid(), (64, 64, 64), 0.4),
        (Scan(step_A=0.4, positions=(64, 64)), VolumeGrid(voxel_A=0.3), (86, 86, 86), 0.3),
        (Scan(step_A=0.4, positions=(64, 64)), VolumeGrid(shape=(10, 12, 14)), (10, 12, 14), 0.4),
    ],
)
def test_the_grid_holds_the_field_of_view(scan: Scan, grid: VolumeGrid, shape: tuple[int, int, int], voxel: float) -> None:
    found = reconstruction_grid(Acquisition(tilts=Tilts(angles_deg=(0.0,)), scan=scan), grid)
    assert found.shape == shape
    assert found.voxel_A == voxel
