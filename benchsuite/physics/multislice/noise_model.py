"""Noise models: how well calculated patterns agree with measured ones, as a loss and its derivative.

amplitude   Σ (√I_calc − √I)²
poisson     Σ I_calc − I + (I + ε) ln((I + ε)/(I_calc + ε)), unbiased where a pixel counts less than an electron

The compiled engine has both in `far_field.residual`, told apart by the sign of `floor`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from benchsuite.data import TiltSeries
from benchsuite.physics.backend import Array, get_array_module

Loss = Literal["auto", "amplitude", "poisson"]
POISSON_FLOOR = 0.03  # counts added to both sides: bounds the weight of pixels that expect next to nothing
NOISE_FREE_FLOOR = 1e-5  # the same as a fraction of the incident intensity, where there is no dose


@dataclass(frozen=True)
class Amplitude:
    """Squared distance of the amplitudes.

    takes_roots: gradients are given √I instead of I. curvature: of the loss at its minimum, in units of the Fisher information of
    one electron per position.
    """

    floor: ClassVar[float] = -1.0
    takes_roots: ClassVar[bool] = True
    curvature: ClassVar[float] = 0.5

    def value(self, calculated: Array, measured: Array) -> float:
        """Return the loss of intensities, summed over all pixels."""
        xp = get_array_module(calculated)
        return float(((xp.sqrt(calculated) - xp.sqrt(measured)) ** 2).sum(dtype=np.float64))

    def residual(self, intensity: Array, root: Array) -> tuple[Array, Array]:
        """Return the loss of every pixel and the factor of Ψ in ∂L/∂Ψ*."""
        amplitude = get_array_module(intensity).sqrt(intensity)
        difference = amplitude - root
        return difference**2, difference / amplitude


@dataclass(frozen=True)
class Poisson:
    """Negative log-likelihood of counts. floor: ε, as a fraction of the incident intensity."""

    floor: float
    takes_roots: ClassVar[bool] = False
    curvature: ClassVar[float] = 1.0

    def value(self, calculated: Array, measured: Array) -> float:
        """Return the loss of intensities, summed over all pixels."""
        xp = get_array_module(calculated)
        expected, counted = calculated + np.float32(self.floor), measured + np.float32(self.floor)
        return float((expected - counted + counted * xp.log(counted / expected)).sum(dtype=np.float64))

    def residual(self, intensity: Array, measured: Array) -> tuple[Array, Array]:
        """Return the loss of every pixel and the factor of Ψ in ∂L/∂Ψ*."""
        xp = get_array_module(intensity)
        expected, counted = intensity + np.float32(self.floor), measured + np.float32(self.floor)
        ratio = counted / expected
        return expected - counted + counted * xp.log(xp.where(counted > 0, ratio, 1)), 1 - ratio


NoiseModel = Amplitude | Poisson
AMPLITUDE = Amplitude()


def noise_model(loss: Loss, series: TiltSeries, floor: float = POISSON_FLOOR) -> NoiseModel:
    """Return the noise model of a series; auto: Poisson where it has a dose. floor: ε in electrons per pixel."""
    dosed = math.isfinite(series.dose_e_per_A2)
    if loss == "amplitude" or (loss == "auto" and not dosed):
        return AMPLITUDE
    return Poisson(floor / series.electrons_per_position if dosed else NOISE_FREE_FLOOR)
