"""The sections of a scenario with data of one's own: `series`, a tilt series in files, and `truth`, atoms in a file.

How a file's axes, angles and coordinates become those of docs/conventions.md is stated here, never guessed.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from benchsuite.data import Modality
from benchsuite.params import AsTuple, Names, NonNegative, Numbers, Pair, Params, Positive, Vector3

NO_PHANTOM = "none"  # `phantom: none`: nothing is simulated
AxisName = Literal["tilt", "focus", "y", "x", "scan_y", "scan_x", "q_y", "q_x"]
Signed = Literal["x", "y", "z", "-x", "-y", "-z"]


class TiltsOfFile(Params):
    """At most one of `angles_deg` and `file`; without either, the angles that the data file holds or has beside it."""

    angles_deg: Numbers | None = Field(None, description="one angle per tilt")
    file: str | None = Field(
        None, min_length=1, description=".rawtlt, .tlt, .txt, .csv or .npy: (n) angles, (n, 3) Euler angles in degrees, or matrices"
    )
    axis: Literal["x", "y", "z"] | Vector3 = Field("y", description="tilt axis of angles, a direction of the image")
    sign: Literal[1, -1] = Field(1, description="-1: angles are counted the other way, about minus the axis")
    euler_order: Literal["zyx", "zyz", "zxz"] = Field("zyx", description="of Euler angles")
    inverse: bool = Field(False, description="matrices (or Euler angles) carry the laboratory to the specimen")

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
    """A tilt series in one file, or in one file per tilt. What is left out is what the files say."""

    label: str | None = Field(None, description="its name in tables, where series are swept")
    file: str | None = Field(None, min_length=1, description="one file (or zarr folder); relative to the scenario file")
    files: str | Names | None = Field(
        None, description="one file per tilt: a list, or a pattern such as tilt_*.h5 in natural order"
    )
    dataset: str | None = Field(
        None, min_length=1, description="which array of the file: a path in HDF5 or zarr, a title or number"
    )
    kind: Modality | None = Field(None, description="adf: images; 4dstem: patterns; phase: projected phases in rad")
    axes: Annotated[tuple[AxisName, ...], AsTuple] | None = Field(
        None, description="the axes of the array in order, such as [tilt, y, x] or [scan_y, scan_x, q_y, q_x]"
    )
    flip: Annotated[tuple[AxisName, ...], AsTuple] = Field((), description="axes that run against ours: they are turned round")
    tilts: Numbers | TiltsOfFile | None = Field(None, description="angles in degrees about y, or angles_deg or file with an axis")
    scan_step_A: Positive | None = Field(None, description="distance of neighbouring pixels or probe positions")
    reciprocal_step_per_A: Positive | None = Field(None, description="distance of neighbouring pixels of a pattern")
    angle_step_mrad: Positive | None = Field(None, description="the same as an angle")
    energy_keV: Positive | None = None
    semiangle_mrad: Positive | None = None
    defocus_A: float | Numbers | None = Field(None, description="positive is underfocus; a list for a focal series; default 0")
    aberrations_A: dict[str, float] | None = None
    focal_plane: Literal["entrance", "centre"] | None = None
    detector_mrad: Pair | None = Field(None, description="annulus of images; of patterns: makes virtual images for image methods")
    dose_e_per_A2: Positive | None = Field(None, description="of the whole series; default: not known, intensities are exact")
    background: float | Literal["none", "minimum"] = Field("none", description="subtracted: a number, or the least value there is")
    clip_negative: bool = Field(False, description="negative intensities become 0; otherwise they are refused")
    normalise: Positive | Literal["none", "patterns", "electrons"] = Field(
        "none",
        description="divides: by a number; patterns: so that the mean pattern adds up to 1; electrons: counts of single electrons, "
        "by the electrons per position of the dose",
    )
    round_to_float32: bool = Field(False, description="values that float32 cannot hold are rounded; otherwise they are refused")

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


class Frame(Params):
    """The frame of the atoms' file: our x, y, z as axes of the file, and what of the file is the centre of the box."""

    axes: Annotated[tuple[Signed, Signed, Signed], AsTuple] = Field(
        ("x", "y", "z"), description="our axes in the file's: [z, -y, x] says that our x is its z, our y its −y, our z its x"
    )
    mirrored: bool = Field(False, description="the axes are those of a left-handed frame, on purpose")
    centre: Literal["origin", "sphere", "mean"] | Vector3 = Field(
        "origin",
        description="what of the file is the centre of the box: its origin, the centre of the smallest sphere, a point",
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

    label: str | None = Field(None, description="its name in tables, where truths are swept")
    file: str = Field(min_length=1, description="file of atoms; relative to the scenario file")
    frame: Frame = Field(default_factory=Frame)
    register_: bool = Field(
        False, alias="register", description="find the frame: axes, rotation and shift, by matching the traced atoms"
    )
    least_fit: NonNegative = Field(0.3, le=1, description="register: below this nothing is scored")

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
