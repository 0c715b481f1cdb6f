"""The sections of a scenario with measured data: `series`, a tilt series in files, and `truth`, atoms in a file.

How a file's axes, angles and coordinates become those of docs/conventions.md is stated in them, never guessed.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from benchsuite.data import Modality
from benchsuite.params import AsTuple, Names, NonNegative, Numbers, Pair, Params, Positive, Vector3
from benchsuite.physics.probe import FocalPlane

NO_PHANTOM = "none"  # `phantom: none`: nothing is simulated
AxisName = Literal["tilt", "focus", "y", "x", "scan_y", "scan_x", "q_y", "q_x"]
Signed = Literal["x", "y", "z", "-x", "-y", "-z"]


class TiltsOfFile(Params):
    """At most one of `angles_deg` and `file`; without either, the angles that the data file holds or has beside it."""

    angles_deg: Numbers | None = Field(None, description="Angles in degrees, one per tilt")
    file: str | None = Field(
        None,
        min_length=1,
        description="File (.rawtlt, .tlt, .txt, .csv, .npy) of angles, of (n, 3) Euler angles in degrees, or of matrices",
    )
    axis: Literal["x", "y", "z"] | Vector3 = Field("y", description="Tilt axis of the angles, as a direction in the image")
    sign: Literal[1, -1] = Field(1, description="Sense of the angles; -1: about minus the axis")
    euler_order: Literal["zyx", "zyz", "zxz"] = Field("zyx", description="Order of the Euler angles")
    inverse: bool = Field(False, description="Whether matrices (or Euler angles) carry the laboratory to the specimen")

    @model_validator(mode="after")
    def _one_source(self) -> TiltsOfFile:
        if self.angles_deg is not None and self.file is not None:
            raise ValueError("give angles_deg or file, not both")
        if self.angles_deg is not None and len(self.angles_deg) == 0:
            raise ValueError("angles_deg is empty: at least one tilt is needed")
        if not isinstance(self.axis, str) and not any(self.axis):
            raise ValueError("axis has length zero")
        return self


class SeriesFile(Params):
    """A tilt series in one file, or in one file per tilt. What is left out is taken from the files."""

    label: str | None = Field(None, description="Name in tables, where series are swept")
    file: str | None = Field(None, min_length=1, description="Data file, or zarr folder; relative to the scenario file")
    files: str | Names | None = Field(
        None, description="Data files, one per tilt: a list, or a pattern such as tilt_*.h5 in natural order"
    )
    dataset: str | None = Field(None, min_length=1, description="Array of the file: a path in HDF5 or zarr, or a title or number")
    reader: str | None = Field(None, min_length=1, description="Registered reader; default: by suffix and content of the file")
    kind: Modality | None = Field(
        None, description="Kind of data: images (adf), patterns (4dstem), or projected phases in rad (phase)"
    )
    axes: Annotated[tuple[AxisName, ...], AsTuple] | None = Field(
        None, description="Axes of the array in its order, such as [tilt, y, x] or [scan_y, scan_x, q_y, q_x]"
    )
    flip: Annotated[tuple[AxisName, ...], AsTuple] = Field((), description="Axes of the array to reverse")
    tilts: Numbers | TiltsOfFile | None = Field(None, description="Angles in degrees about y; or angles_deg or file, with an axis")
    scan_step_A: Positive | None = Field(None, description="Distance of neighbouring pixels or probe positions")
    reciprocal_step_per_A: Positive | None = Field(None, description="Distance of neighbouring detector pixels in reciprocal space")
    angle_step_mrad: Positive | None = Field(
        None, description="Angle between neighbouring detector pixels, instead of reciprocal_step_per_A"
    )
    energy_keV: Positive | None = Field(None, description="Acceleration voltage in kV")
    semiangle_mrad: Positive | None = Field(None, description="Convergence semi-angle")
    defocus_A: float | Numbers | None = Field(
        None, description="Defocus, positive for underfocus; a list for a focal series; default: 0"
    )
    aberrations_A: dict[str, float] | None = Field(None, description="Polar aberration coefficients beyond defocus, such as C30")
    focal_plane: FocalPlane | None = Field(None, description="Plane of the specimen where zero defocus focuses; default: centre")
    specimen_depth_A: Positive | None = Field(
        None, description="Extent of the specimen along the beam, which focal_plane: entrance needs"
    )
    detector_mrad: Pair | None = Field(
        None, description="Annulus of the detector; of patterns: annulus of the virtual images for methods that take images"
    )
    dose_e_per_A2: Positive | None = Field(
        None, description="Electron dose of the whole series; default: unknown, intensities count as noise-free"
    )
    background: float | Literal["none", "minimum"] = Field(
        "none", description="Background to subtract: a number, or the minimum of the series"
    )
    clip_negative: bool = Field(False, description="Whether negative intensities become 0; otherwise they are refused")
    normalise: Positive | Literal["none", "patterns", "electrons"] = Field(
        "none",
        description="Normalisation of intensities: a divisor; patterns (the mean pattern sums to 1); or electrons (counts "
        "of electrons become fractions of the electrons per position)",
    )
    round_to_float32: bool = Field(
        False, description="Whether values that float32 cannot hold are rounded; otherwise they are refused"
    )

    @model_validator(mode="after")
    def _consistent(self) -> SeriesFile:
        if (self.file is None) == (self.files is None):
            raise ValueError("give exactly one of file and files")
        if self.reciprocal_step_per_A is not None and self.angle_step_mrad is not None:
            raise ValueError("give reciprocal_step_per_A or angle_step_mrad, not both")
        if self.detector_mrad is not None and not 0 <= self.detector_mrad[0] < self.detector_mrad[1]:
            raise ValueError(
                f"detector_mrad {list(self.detector_mrad)}: allowed: an inner angle of at least 0 and a larger outer one"
            )
        return self

    @field_validator("axes")
    @classmethod
    def _each_once(cls, axes: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if axes is not None and len(set(axes)) < len(axes):
            raise ValueError(f"{list(axes)}: an axis is named twice")
        return axes

    @property
    def tilting(self) -> TiltsOfFile:
        """How the specimen is tilted, whichever way it is spelt."""
        return self.tilts if isinstance(self.tilts, TiltsOfFile) else TiltsOfFile(angles_deg=self.tilts)


FROM_FILES = (
    "kind",
    "scan_step_A",
    "reciprocal_step_per_A",
    "angle_step_mrad",
    "energy_keV",
    "semiangle_mrad",
    "defocus_A",
    "aberrations_A",
    "focal_plane",
    "specimen_depth_A",
    "detector_mrad",
    "dose_e_per_A2",
)  # keys of the section that a file's metadata may state, too


class Frame(Params):
    """The frame of the atoms' file: the specimen's x, y, z as axes of the file, and the point of the file at the box centre."""

    axes: Annotated[tuple[Signed, Signed, Signed], AsTuple] = Field(
        ("x", "y", "z"),
        description="Axes of the specimen as axes of the file: [z, -y, x] maps x to the file's z, y to its −y, z to its x",
    )
    mirrored: bool = Field(False, description="Whether the axes are left-handed on purpose")
    centre: Literal["origin", "sphere", "mean"] | Vector3 = Field(
        "origin",
        description="Point of the file placed at the box centre: origin, mean, centre of the smallest sphere, or coordinates",
    )

    @model_validator(mode="after")
    def _handed(self) -> Frame:
        if len({axis[-1] for axis in self.axes}) < 3:
            raise ValueError(f"axes {list(self.axes)}: allowed: x, y and z once each, with or without a minus")
        if (determinant(self.axes) < 0) != self.mirrored:
            hand = "left" if determinant(self.axes) < 0 else "right"
            raise ValueError(f"axes {list(self.axes)} are {hand}-handed: mirrored must be {str(hand == 'left').lower()}")
        return self


class Truth(Params):
    """Atoms to compare with, from any file that ASE reads."""

    label: str | None = Field(None, description="Name in tables, where truths are swept")
    file: str = Field(min_length=1, description="File of atoms; relative to the scenario file")
    frame: Frame = Field(default_factory=Frame)
    register_: bool = Field(
        False, alias="register", description="Whether to find the frame (axes, rotation, shift) by matching the traced atoms"
    )
    least_fit: NonNegative = Field(0.3, le=1, description="Lowest registration fit at which atoms are scored")

    @model_validator(mode="after")
    def _one_frame(self) -> Truth:
        if self.register_ and self.frame != Frame():
            raise ValueError("register finds the frame: leave out frame")
        return self


def determinant(axes: tuple[str, ...]) -> int:
    """Return +1 where signed axes are a right-handed frame, −1 where they are a left-handed one."""
    order = ["xyz".index(axis[-1]) for axis in axes]
    parity = 1 if (order[1] - order[0]) % 3 == 1 else -1
    return parity * (-1) ** sum(axis.startswith("-") for axis in axes)


def dump(params: Params) -> dict[str, Any]:
    """Return the section as plain values that validate again."""
    return params.model_dump(mode="json", by_alias=True)
