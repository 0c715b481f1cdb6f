"""Grids of waves: windows that the FFT likes, the fields that patterns resolve, shifts within a pixel."""

from __future__ import annotations

import numpy as np
import pytest

from benchsuite.contract_suite import small_problem
from benchsuite.microscope.engines import native
from benchsuite.physics.multislice.series_model import field_pixels
from benchsuite.physics.multislice.waves import WaveGrid, unique_subpixel_shifts, window_pixels


@pytest.mark.parametrize(
    ("window_A", "pixel_A", "field_px", "side"),
    [
        (None, 0.4, 64, 64),
        (16.0, 0.4, 64, 40),
        (34.0, 0.4, 128, 96),  # 88 has a factor of 11
        (13.6, 0.1, 256, 144),  # 136 has a factor of 17
        (30.0, 0.1, 256, 256),
    ],
)
def test_window_pixels_are_a_multiple_of_eight_without_large_factors(window_A, pixel_A, field_px, side):
    assert window_pixels(window_A, pixel_A, field_px) == side


def test_simulation_and_reconstruction_have_the_same_windows():
    assert native.window_pixels is window_pixels


def test_field_pixels_divide_what_patterns_resolve():
    series, _ = small_problem("4dstem")
    assert field_pixels(series, 0.5) == 24
    assert field_pixels(series, 0.25) == 48


def test_wave_grid_without_a_window_takes_the_field():
    assert WaveGrid(0.02, 0.4, 1.6, 5, 64, (60, 60)).window_px == 64


def test_shifts_of_a_scan_of_half_pixels_are_two_along_each_axis():
    grid = WaveGrid(0.02, 0.4, 1.6, 5, 64, (64, 64))
    steps = 0.2 * np.arange(-4, 4)
    positions = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    origins, shifts = grid.window_origins(positions, (64, 64))
    different, index = unique_subpixel_shifts(shifts)
    assert len(different) == 4
    placed = (origins - grid.pad_px + grid.window_px // 2 - 32) * grid.pixel_A + different[index]
    np.testing.assert_allclose(placed[:, ::-1], positions, atol=1e-12)
