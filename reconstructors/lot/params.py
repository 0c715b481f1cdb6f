"""The parameters of LOT, for images and for diffraction patterns (`interaction: multislice`)."""

from __future__ import annotations

from typing import Any, Literal

from ase.data import chemical_symbols
from pydantic import Field, model_validator

from benchsuite.params import Count, Names, NonNegative, Params, Positive
from benchsuite.physics.multislice.noise_model import Loss

Interaction = Literal["direct", "rigid", "adaptive", "multislice"]
OF_PATTERNS = {"iterations": 16, "start": "peaks", "weakest": 0.08, "slice_A": 1.6, "oversampling": 2}  # other defaults for these


class LOTParams(Params):
    interaction: Interaction = Field(
        "adaptive",
        description="Forward model: images without probe (direct), with free (rigid) or fitted probe (adaptive); multislice",
    )
    iterations: Count = Field(30, description="Iterations over all images after the orbitals have merged (multislice: 16)")
    start: Literal["grid", "peaks"] = Field(
        "grid", description="Initial model: a regular grid over the particle, or the peaks of a quick tomogram"
    )
    grid_A: Positive = Field(1.0, description="Spacing of the initial grid, at most half the distance of neighbouring atoms")
    merge_A: Positive = Field(1.6, description="Distance below which orbitals merge; less than the shortest bond")
    weakest: float = Field(
        0.3, ge=0, lt=1, description="Smallest weight of an atom, relative to the mean of the strongest 5% (multislice: 0.08)"
    )
    slice_A: Positive = Field(4.0, description="Slice thickness, with a separate probe per slice (multislice: 1.6)")
    batch: Count = Field(6, description="Approximate number of images per step")
    position_step_A: Positive = Field(0.03, description="Initial step of the positions in the last iterations")
    weight_step: Positive = Field(0.05, description="Initial step of the weights, relative to their mean")
    width_step_A2: NonNegative = Field(0.02, description="Initial step of the widths; 0: fixed widths")
    probe_step: Positive = Field(1.5, description="Adaptive: step of the probes, relative to the largest stable step")
    probe_radius_A: Positive | None = Field(
        None, description="Adaptive: radius within which the probe is fitted; default: its spread and 4 Å"
    )
    initial_defocus: Literal["nominal", "zero"] = Field(
        "nominal", description="Initial focus of the probes: nominal, or zero for unknown"
    )
    refine_drift: bool = Field(
        False, description="Refine the shift of each image, once per iteration in the last two thirds of the iterations"
    )
    refine_angles: bool = Field(False, description="Refine the orientation of each tilt about all three axes, once per iteration")
    drift_step_A: Positive = Field(0.02, description="Fixed step of the drift correction per iteration")
    angle_step_deg: Positive = Field(0.03, description="Fixed step of the angle correction per iteration")
    oversampling: Count | None = Field(
        None,
        description="Fine pixels per scan step; default: as many as resolve the probe (multislice: 2 per voxel at the end)",
    )
    elements: Names = Field((), description="Multislice: elements with tabulated potentials; default: one shape for all atoms")
    loss: Loss = Field("auto", description="Multislice: loss of the patterns; auto: Poisson if the series has a dose")
    window_A: Positive | None = Field(None, description="Multislice: side of the probe window; default: the whole field")
    refine_probe: bool = Field(False, description="Multislice: refine the aperture function in the last iterations")

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_patterns(cls, given: Any) -> Any:
        patterns = isinstance(given, dict) and given.get("interaction") == "multislice"
        return {**OF_PATTERNS, **given} if patterns else given

    @model_validator(mode="after")
    def _fits_interaction(self) -> LOTParams:
        if self.interaction == "multislice":
            if self.start == "grid":
                raise ValueError("start: grid is for images; interaction: multislice starts from peaks, or refines other atoms")
        else:
            of_patterns = [name for name in ("elements", "loss", "window_A", "refine_probe") if name in self.model_fields_set]
            changed = [name for name in of_patterns if getattr(self, name) != type(self).model_fields[name].default]
            if changed:
                raise ValueError(f"{changed[0]} is for interaction: multislice, not {self.interaction}")
        unknown = [name for name in self.elements if name not in chemical_symbols[1:]]
        if unknown:
            raise ValueError(f"{unknown[0]} in elements is no chemical symbol")
        return self
