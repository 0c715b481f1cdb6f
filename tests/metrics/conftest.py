"""A spinel nanocube as a volume, with noise and a missing wedge, and the lattice of its cations."""

from __future__ import annotations

import numpy as np
import pytest

from benchsuite.data import Grid, Volume
from benchsuite.metrics.resolution import render
from benchsuite.phantoms.spinel import Spinel


def wedged(data, half_angle_deg):
    """Return a volume without the Fourier coefficients nearer than an angle to the plane of k_z and k_y."""
    spectrum = np.fft.rfftn(data)
    kz, kx = np.fft.fftfreq(len(data))[:, None, None], np.fft.rfftfreq(data.shape[2])
    missing = np.broadcast_to(np.abs(kz) > np.abs(kx) * np.tan(np.deg2rad(90 - half_angle_deg)), spectrum.shape).copy()
    missing[0] = False
    return np.fft.irfftn(np.where(missing, 0, spectrum), s=data.shape, axes=(0, 1, 2)).astype(np.float32)


@pytest.fixture(scope="session")
def spinel():
    """(atoms, volume): a cube of 30 Å on 128³ voxels of 0.4 Å, noise of half the volume's deviation, tilts up to 60° about y."""
    atoms = Spinel(Spinel.Params(edge_A=30.0)).build(np.random.default_rng(0))
    data = render(atoms, Grid((128,) * 3, 0.4), 0.45)
    data += 0.5 * data.std() * np.random.default_rng(0).standard_normal(data.shape).astype(np.float32)
    return atoms, Volume(wedged(data, 30.0), 0.4)
