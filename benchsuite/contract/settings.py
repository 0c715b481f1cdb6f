"""The settings of an experiment: sections `microscope`, `simulation`, `acquisition` and `grid` of a scenario.

One class per section; every key carries its unit or says it in its description.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from benchsuite.params import AsTuple, Count, CountPair, NonNegative, Numbers, Pair, Params, Positive, Vector3
from benchsuite.physics.probe import FocalPlane

Dose = Annotated[float, Field(gt=0, allow_inf_nan=True)]
Row3 = Annotated[tuple[Vector3, Vector3, Vector3], AsTuple]


class Microscope(Params):
    energy_keV: float = Field(300.0, gt=0, description="Acceleration voltage in kV")
    semiangle_mrad: float = Field(21.0, gt=0, description="Convergence semi-angle of the probe")
    defocus_A: float | Numbers = Field(0.0, description="Defocus, positive for underfocus; a list gives a focal series")
    focal_plane: FocalPlane = Field("centre", description="Plane of the box where zero defocus focuses")
    aberrations_A: dict[str, float] = Field(
        default_factory=dict,
        description="Polar aberration coefficients beyond defocus, such as C30 in Å, with their directions, such as phi12_deg",
    )

    @property
    def defoci_A(self) -> tuple[float, ...]:
        return self.defocus_A if isinstance(self.defocus_A, tuple) else (self.defocus_A,)


class Simulation(Params):
    engine: str = Field("abtem", description="Name of the simulation engine; `benchsuite list simulators` shows all")
    params: dict[str, Any] = Field(default_factory=dict, description="Further parameters of the engine; `benchsuite info ENGINE`")
    window_A: Positive | None = Field(None, description="Side of the window of a probe (native); default: the whole box")
    method: Literal["multislice", "prism"] = Field("multislice", description="Direct multislice or PRISM (abtem)")
    sampling_A: Positive = Field(0.1, description="Pixel width of potential and wave; the band limit is λ/(3·sampling)")
    slice_A: Positive = Field(2.0, description="Slice thickness")
    depth_A: Positive | None = Field(None, description="Height of the specimen box along the beam; default: a cube")
    prism_interpolation: Count = Field(4, description="PRISM interpolation factor f; the probe window is box/f (abtem)")
    potential: Literal["kirkland", "lobato"] = Field("kirkland", description="Parametrisation of the atomic potentials")
    margin_A: NonNegative = Field(2.0, description="Minimum distance of atoms from the faces of the box at any tilt")


class Tilts(Params):
    """Exactly one of: `range_deg` with `count`; `angles_deg`; `euler_deg`; `matrices`."""

    range_deg: Pair | None = Field(
        None, description="Lowest and highest tilt angle; a full 180° leaves out the last view, which mirrors the first"
    )
    count: Annotated[Count, Field(le=10_000)] | None = Field(None, description="Number of tilts in range_deg")
    angles_deg: Numbers | None = Field(None, description="Tilt angles about the tilt axis")
    axis: Literal["x", "y", "z"] | Vector3 = Field("y", description="Tilt axis of range_deg and angles_deg")
    euler_deg: Annotated[tuple[Vector3, ...], AsTuple] | None = Field(None, description="Three Euler angles per tilt")
    euler_order: Literal["zyx", "zyz", "zxz"] = Field("zyx", description="Order of the rotation axes of euler_deg")
    matrices: Annotated[tuple[Row3, ...], AsTuple] | None = Field(
        None, description="Rotation matrix per tilt, active: r_lab = R r_specimen"
    )

    @model_validator(mode="after")
    def _one_spelling(self) -> Tilts:
        given = [k for k in ("range_deg", "angles_deg", "euler_deg", "matrices") if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of range_deg (with count), angles_deg, euler_deg, matrices; found {given}")
        if (self.range_deg is None) != (self.count is None):
            raise ValueError("range_deg and count belong together")
        if len(getattr(self, given[0])) == 0:
            raise ValueError(f"{given[0]} is empty: at least one tilt is needed")
        return self


class Scan(Params):
    step_A: float = Field(0.4, gt=0, le=1000, description="Distance of neighbouring probe positions")
    positions: CountPair = Field((64, 64), description="Probe positions (ny, nx); the field of view is step × positions")


class AnnularDetector(Params):
    inner_mrad: NonNegative = Field(40.0, description="Inner collection semi-angle")
    outer_mrad: Positive = Field(64.0, description="Outer collection semi-angle")

    @model_validator(mode="after")
    def _outer_beyond_inner(self) -> AnnularDetector:
        if self.outer_mrad <= self.inner_mrad:
            raise ValueError(f"outer_mrad {self.outer_mrad:g} must exceed inner_mrad {self.inner_mrad:g}")
        return self


class Camera(Params):
    """The pixelated detector of 4D-STEM: the central pixels of the diffraction pattern, each 1/field wide, without binning."""

    pixels: CountPair = Field((64, 64), description="Detector pixels (q_y, q_x)")
    field_A: Positive | None = Field(
        None, description="Field whose reciprocal is the pixel width (native); default: the field of view"
    )


class FrozenPhonons(Params):
    count: Count = Field(8, description="Number of phonon configurations averaged per image, drawn independently for every tilt")
    rms_A: dict[str, NonNegative] = Field(description="RMS thermal displacement per axis in Å, by element")
    antithetic: bool = Field(
        False, description="Draw configurations in pairs of opposite displacements, whose mean displacement is zero"
    )

    @model_validator(mode="after")
    def _pairs(self) -> FrozenPhonons:
        if self.antithetic and self.count % 2:
            raise ValueError(f"antithetic configurations come in pairs: count {self.count} must be even")
        return self


class Imperfections(Params):
    """Imperfections of an experiment, all off by default. Reconstructors are not given them."""

    drift_A: NonNegative = Field(0.0, description="RMS specimen drift between images, per axis")
    tilt_error_deg: NonNegative = Field(0.0, description="RMS error of the nominal tilt angle")
    background: NonNegative = Field(
        0.0, description="Constant background of every image, as a fraction of the maximum of the series"
    )

    def any(self) -> bool:
        """Whether any imperfection is switched on."""
        return any((self.drift_A, self.tilt_error_deg, self.background))


class Acquisition(Params):
    mode: Literal["adf", "4dstem"] = Field(
        "adf", description="ADF images, or 4D-STEM diffraction patterns with virtual ADF images of the same scan"
    )
    tilts: Tilts = Field(description="Orientations of the specimen")
    scan: Scan = Field(default_factory=Scan, description="Probe positions of every scan")
    detector: AnnularDetector | None = Field(
        default_factory=AnnularDetector, description="Annular detector; null for 4D-STEM without virtual ADF images"
    )
    camera: Camera = Field(default_factory=Camera, description="Pixelated detector of 4D-STEM")
    dose_e_per_A2: Dose = Field(math.inf, description="Dose in electrons per Å² for the whole tilt series; .inf is noise-free")
    frozen_phonons: FrozenPhonons | None = Field(None, description="Thermal motion; null for atoms at rest")
    imperfections: Imperfections = Field(default_factory=Imperfections, description="Drift, tilt errors and background")


class VolumeGrid(Params):
    voxel_A: Positive | None = Field(None, description="Voxel width; default: the scan step, of 4D-STEM what the patterns resolve")
    shape: Annotated[tuple[Count, Count, Count], AsTuple] | None = Field(
        None, description="Number of voxels (nz, ny, nx); default: a cube over the field of view"
    )
