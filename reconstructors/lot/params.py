"""The parameters of LOT, for images and for diffraction patterns (`interaction: multislice`)."""

from __future__ import annotations

from typing import Any, Literal

from ase.data import chemical_symbols
from pydantic import Field, model_validator

from benchsuite.params import Count, Names, NonNegative, Params, Positive
from benchsuite.physics.multislice.objective import Loss

Interaction = Literal["direct", "rigid", "adaptive", "multislice"]
OF_PATTERNS = {"iterations": 16, "start": "peaks", "weakest": 0.08, "slice_A": 1.6, "oversampling": 2}  # other defaults for these


class LOTParams(Params):
    interaction: Interaction = Field(
        "adaptive", description="images: no probe (direct), the free-space probe (rigid), one that follows; patterns: multislice"
    )
    iterations: Count = Field(30, description="sweeps over all images after the orbitals have gathered (multislice: 16)")
    start: Literal["grid", "peaks"] = Field("grid", description="a regular grid over the particle, or peaks of a quick tomogram")
    grid_A: Positive = Field(1.0, description="spacing of the grid, at most half the distance of neighbouring atoms")
    merge_A: Positive = Field(1.6, description="orbitals nearer than this are one atom; less than the shortest bond")
    weakest: float = Field(
        0.3, ge=0, lt=1, description="least weight of an atom, of the mean of the strongest 5% (multislice: 0.08)"
    )
    slice_A: Positive = Field(4.0, description="thickness of the slices, each with its own probe (multislice: 1.6)")
    batch: Count = Field(6, description="images per step, about")
    position_step_A: Positive = Field(0.03, description="first step of the positions in the last sweeps")
    weight_step: Positive = Field(0.05, description="first step of the weights, relative to their mean")
    width_step_A2: NonNegative = Field(0.02, description="first step of the widths; 0 keeps them")
    probe_step: Positive = Field(1.5, description="adaptive: step of the probes, relative to the safe one")
    probe_radius_A: Positive | None = Field(None, description="adaptive: where the probe may change; default: its spread and 4 Å")
    initial_defocus: Literal["nominal", "zero"] = Field(
        "nominal", description="zero: probes do not know the focus of their section"
    )
    refine_drift: bool = Field(False, description="shift of every image, once a sweep in the last two thirds of the sweeps")
    refine_angles: bool = Field(False, description="rotation of every tilt, about all three axes, as often")
    drift_step_A: Positive = Field(0.02, description="a drift moves about so far in a sweep, and that only")
    angle_step_deg: Positive = Field(0.03, description="an angle likewise")
    oversampling: Count | None = Field(
        None,
        description="fine pixels per scan step, by default what resolves the probe; multislice: at last, per voxel (2)",
    )
    elements: Names = Field((), description="multislice: whose tabulated potentials atoms may have; default: one shape for all")
    loss: Loss = Field("auto", description="multislice: of the patterns; auto: poisson where the series has a dose")
    window_A: Positive | None = Field(None, description="multislice: side of the window of a probe; default: the whole field")
    refine_probe: bool = Field(False, description="multislice: let the aperture function follow in the last sweeps")

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
