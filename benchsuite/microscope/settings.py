"""The settings of the microscope: sections `microscope`, `simulation`, `acquisition` and `grid` of a scenario.

One class per section; every key carries its unit or says it in its description.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from benchsuite.params import AsTuple, Count, CountPair, NonNegative, Numbers, Pair, Params, Positive, Vector3

Dose = Annotated[float, Field(gt=0, allow_inf_nan=True)]
Row3 = Annotated[tuple[Vector3, Vector3, Vector3], AsTuple]


class Microscope(Params):
    energy_keV: float = Field(300.0, gt=0, description="acceleration voltage in kV")
    semiangle_mrad: float = Field(21.0, gt=0, description="convergence semi-angle")
    defocus_A: float | Numbers = Field(0.0, description="positive is underfocus; a list gives a focal series per tilt")
    focal_plane: Literal["entrance", "centre"] = Field("centre", description="the plane of the box where zero defocus focuses")
    aberrations_A: dict[str, float] = Field(default_factory=dict, description="polar coefficients beyond defocus, such as C30")

    @property
    def defoci_A(self) -> tuple[float, ...]:
        return self.defocus_A if isinstance(self.defocus_A, tuple) else (self.defocus_A,)


class Simulation(Params):
    engine: Literal["abtem", "native", "incoherent"] = Field(
        "abtem",
        description="abTEM; native: our own kernel for 4D-STEM; incoherent: images without multiple scattering, for many atoms",
    )
    window_A: Positive | None = Field(None, description="engine native: side of a probe's window; default: the whole box")
    method: Literal["multislice", "prism"] = Field("multislice", description="direct multislice or a scattering matrix")
    sampling_A: Positive = Field(0.1, description="pixel of potential and wave; band limit λ/(3·sampling)")
    slice_A: Positive = Field(2.0, description="slice thickness of the multislice")
    depth_A: Positive | None = Field(None, description="height of the box along the beam; default: the field of view, a cube")
    prism_interpolation: Count = Field(4, description="PRISM interpolation factor f; the probe window is box/f")
    potential: Literal["kirkland", "lobato"] = Field("kirkland", description="parametrisation of the atomic potentials")
    margin_A: NonNegative = Field(2.0, description="least distance of any atom from the faces of the box, after tilting")


class Tilts(Params):
    """Exactly one of: `range_deg` with `count`; `angles_deg`; `euler_deg`; `matrices`."""

    range_deg: Pair | None = Field(None, description="first and last angle; a full 180° leaves the mirrored last view out")
    count: Annotated[Count, Field(le=10_000)] | None = None
    angles_deg: Numbers | None = None
    axis: Literal["x", "y", "z"] | Vector3 = Field("y", description="tilt axis of range_deg and angles_deg")
    euler_deg: Annotated[tuple[Vector3, ...], AsTuple] | None = None
    euler_order: Literal["zyx", "zyz", "zxz"] = "zyx"
    matrices: Annotated[tuple[Row3, ...], AsTuple] | None = Field(None, description="active rotations, r_lab = R r")

    @model_validator(mode="after")
    def _one_way_of_saying_it(self) -> Tilts:
        given = [k for k in ("range_deg", "angles_deg", "euler_deg", "matrices") if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of range_deg (with count), angles_deg, euler_deg, matrices; found {given}")
        if (self.range_deg is None) != (self.count is None):
            raise ValueError("range_deg and count belong together")
        if len(getattr(self, given[0])) == 0:
            raise ValueError(f"{given[0]} is empty: at least one tilt is needed")
        return self


class Scan(Params):
    step_A: float = Field(0.4, gt=0, le=1000)
    positions: CountPair = Field((64, 64), description="probe positions (ny, nx); the field of view is step · positions")


class AnnularDetector(Params):
    inner_mrad: NonNegative = 40.0
    outer_mrad: Positive = 64.0

    @model_validator(mode="after")
    def _outer_beyond_inner(self) -> AnnularDetector:
        if self.outer_mrad <= self.inner_mrad:
            raise ValueError(f"outer_mrad {self.outer_mrad:g} must exceed inner_mrad {self.inner_mrad:g}")
        return self


class Camera(Params):
    """The pixelated detector of 4D-STEM: the central pixels of the pattern, each 1/field wide; nothing is binned."""

    pixels: CountPair = Field((64, 64), description="pixels (q_y, q_x)")
    field_A: Positive | None = Field(None, description="pixels are 1/field wide (engine native); default: the field of view")


class FrozenPhonons(Params):
    count: Count = Field(8, description="configurations averaged per image, drawn anew for every tilt")
    rms_A: dict[str, NonNegative] = Field(description="RMS thermal displacement per axis, by element")
    antithetic: bool = Field(
        False, description="configurations come in pairs of opposite displacements, so that few average to the rest positions"
    )

    @model_validator(mode="after")
    def _pairs(self) -> FrozenPhonons:
        if self.antithetic and self.count % 2:
            raise ValueError(f"antithetic configurations come in pairs: count {self.count} must be even")
        return self


class Imperfections(Params):
    """What an experiment adds; all off by default. None of it is told to a reconstructor."""

    drift_A: NonNegative = Field(0.0, description="RMS shift of an image, per axis")
    tilt_error_deg: NonNegative = Field(0.0, description="RMS error of the recorded tilt angle")
    background: NonNegative = Field(0.0, description="constant added to every image, as a fraction of the series maximum")

    def any(self) -> bool:
        """Whether anything is switched on."""
        return any((self.drift_A, self.tilt_error_deg, self.background))


class Acquisition(Params):
    mode: Literal["adf", "4dstem"] = Field("adf", description="images, or patterns with a virtual ADF image beside them")
    tilts: Tilts
    scan: Scan = Field(default_factory=Scan)
    detector: AnnularDetector | None = Field(
        default_factory=AnnularDetector, description="the annulus of adf images; null: 4dstem records no virtual ADF image"
    )
    camera: Camera = Field(default_factory=Camera)
    dose_e_per_A2: Dose = Field(math.inf, description="electrons per Å² for the whole series; .inf is noise-free")
    frozen_phonons: FrozenPhonons | None = None
    imperfections: Imperfections = Field(default_factory=Imperfections)


class VolumeGrid(Params):
    voxel_A: Positive | None = Field(None, description="default: the scan step")
    shape: Annotated[tuple[Count, Count, Count], AsTuple] | None = Field(
        None, description="voxels (nz, ny, nx); default: a cube that holds the field of view"
    )
