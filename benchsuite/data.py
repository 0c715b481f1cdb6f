"""The data types that flow through the house. Frozen; arrays in the axis order given here; lengths in Å.

Specimen models (truth and traced) are `ase.Atoms` whose positions are relative to the centre of the specimen box.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from ase import Atoms

Modality = Literal["adf", "4dstem", "phase"]
SUBSTRATE = "substrate"  # the array of a ground truth that is true for atoms which belong to no answer


def particle_of(truth: Atoms) -> Atoms:
    """Return a ground truth without its substrate."""
    return truth[~truth.arrays[SUBSTRATE]] if SUBSTRATE in truth.arrays else truth


def substrate_of(truth: Atoms) -> np.ndarray:
    """Return the positions (n, 3) of the substrate of a ground truth."""
    return truth.positions[truth.arrays[SUBSTRATE]] if SUBSTRATE in truth.arrays else np.empty((0, 3))


@dataclass(frozen=True)
class Optics:
    """The probe-forming optics: everything a reconstructor may know about the incident wave.

    Defocus is positive underfocus, Δf = −C1 (Kirkland). Aberrations beyond it are coefficients in Å by their usual polar
    names (C30 = spherical). `focal_plane` says where Δf = 0 focuses: at the "entrance" or the "centre" of the specimen box.
    """

    energy_keV: float
    semiangle_mrad: float
    aberrations_A: Mapping[str, float] = field(default_factory=dict)
    focal_plane: Literal["entrance", "centre"] = "centre"


@dataclass(frozen=True)
class TiltSeries:
    """What the microscope delivers, and all that a reconstructor gets to see.

    data: float32, fractions of the incident electrons per probe position:
        adf: (n_tilt, n_focus, ny, nx); 4dstem: (n_tilt, n_focus, scan_y, scan_x, q_y, q_x).
        With a finite dose: counts / electrons_per_position.
        phase, which ptychography makes of patterns: (n_tilt, 1, ny, nx) projected phases in rad, on pixels of `scan_step_A`.
    rotations: (n_tilt, 3, 3) nominal specimen-to-laboratory rotations, r_lab = R r_specimen.
    defocus_A: (n_focus,) positive underfocus.
    scan_step_A: distance of neighbouring probe positions; position [iy, ix] is at step · (ix − nx//2, iy − ny//2).
    detector_mrad: inner and outer angle for adf.
    reciprocal_step_per_A: distance of detector pixels for 4dstem.
    dose_e_per_A2: for the whole series, inf for noise-free data.
    """

    modality: Modality
    data: np.ndarray
    rotations: np.ndarray
    scan_step_A: float
    optics: Optics
    defocus_A: np.ndarray
    dose_e_per_A2: float = float("inf")
    detector_mrad: tuple[float, float] | None = None
    reciprocal_step_per_A: float | None = None

    def __post_init__(self) -> None:
        dimensions = {"adf": 4, "4dstem": 6, "phase": 4}[self.modality]
        if self.data.ndim != dimensions:
            raise ValueError(f"{self.modality} data must have {dimensions} axes, not shape {self.data.shape}")
        if self.rotations.shape != (len(self.data), 3, 3):
            raise ValueError(f"rotations of shape {self.rotations.shape} for {len(self.data)} tilts")
        if len(self.defocus_A) != self.data.shape[1]:
            raise ValueError(f"{len(self.defocus_A)} defocus values for {self.data.shape[1]} focus images")

    @property
    def electrons_per_position(self) -> float:
        """Incident electrons per probe position: dose / (number of images) × step²."""
        return self.dose_e_per_A2 / (self.data.shape[0] * self.data.shape[1]) * self.scan_step_A**2

    def view(self, tilt: int) -> TiltSeries:
        """Return the series of one of the tilts, with its share of the dose."""
        one = slice(tilt, tilt + 1)
        share = self.dose_e_per_A2 / len(self.data)
        return replace(self, data=self.data[one], rotations=self.rotations[one], dose_e_per_A2=share)

    @property
    def scan_shape(self) -> tuple[int, int]:
        """(ny, nx) probe positions of one image."""
        return self.data.shape[2], self.data.shape[3]


@dataclass(frozen=True)
class Preprocessed:
    """What a preprocessing makes of a series. extras: named arrays for scores and figures, of a step that works tilt by tilt with
    one entry per tilt as their first axis. remark: what a user should know, such as why nothing was changed.
    """

    series: TiltSeries
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)
    remark: str = ""


@dataclass(frozen=True)
class Grid:
    """A cubic-voxel grid centred on the specimen box: voxel [iz, iy, ix] is at voxel_A · (index − N//2)."""

    shape: tuple[int, int, int]
    voxel_A: float

    @property
    def origin_A(self) -> np.ndarray:
        """(x, y, z) of voxel [0, 0, 0]."""
        return -self.voxel_A * (np.array(self.shape[::-1]) // 2)

    def positions(self, index: np.ndarray) -> np.ndarray:
        """Return (n, 3) positions (x, y, z) in Å of (n, 3) fractional indices (iz, iy, ix)."""
        return np.asarray(index, dtype=np.float64)[:, ::-1] * self.voxel_A + self.origin_A

    def indices(self, positions: np.ndarray) -> np.ndarray:
        """Return (n, 3) fractional indices (iz, iy, ix) of (n, 3) positions (x, y, z) in Å."""
        return ((np.asarray(positions, dtype=np.float64) - self.origin_A) / self.voxel_A)[:, ::-1]


def scanned(series: TiltSeries, grid: Grid) -> tuple[slice, slice]:
    """Return the pixels (rows, columns) of a grid, seen along the beam, that a scan covers."""
    places = []
    for count, positions in zip(grid.shape[1:], series.scan_shape, strict=True):
        half = min(int(series.scan_step_A * positions / 2 / grid.voxel_A + 1e-6), count // 2)
        places.append(slice(count // 2 - half, count // 2 + half))
    return places[0], places[1]


@dataclass(frozen=True)
class Volume:
    """A reconstructed density: data float32 (nz, ny, nx) on its grid, in the specimen frame."""

    data: np.ndarray
    voxel_A: float

    @property
    def grid(self) -> Grid:
        nz, ny, nx = self.data.shape
        return Grid((nz, ny, nx), self.voxel_A)


@dataclass(frozen=True)
class Reconstruction:
    """The answer of a reconstructor: a volume, or atoms, or both.

    history: (n, 2) float64, iteration and loss (nan where an iteration has no loss).
    extras: named arrays for figures (probes, phases, masks).
    """

    volume: Volume | None
    atoms: Atoms | None
    history: np.ndarray
    seconds: float
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)
