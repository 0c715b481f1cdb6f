"""The data types that flow through the house. Frozen; arrays in the axis order given here; lengths in Å.

Specimen models (truth and traced) are `ase.Atoms` whose positions are relative to the centre of the specimen box.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from ase import Atoms

Modality = Literal["adf", "4dstem", "phase"]
NON_ATOM = "X"  # the symbol of a traced peak that is no atom
SUBSTRATE = "substrate"  # the array of a ground truth that is true for atoms which belong to no answer


def is_atom(atoms: Atoms) -> np.ndarray:
    """Return a mask (n,) of the atoms of a classified model that are no spurious peaks."""
    return atoms.numbers != 0


def particle_of(truth: Atoms) -> Atoms:
    """Return a ground truth without its substrate."""
    return truth[~truth.arrays[SUBSTRATE]] if SUBSTRATE in truth.arrays else truth


def substrate_of(truth: Atoms) -> np.ndarray:
    """Return the positions (n, 3) of the substrate of a ground truth."""
    return truth.positions[truth.arrays[SUBSTRATE]] if SUBSTRATE in truth.arrays else np.empty((0, 3))


@dataclass(frozen=True)
class Optics:
    """The probe-forming optics: everything a reconstructor may know about the incident wave.

    Aberrations beyond defocus, which a series states for each of its images, are coefficients in Å by their usual polar names
    (C30 = spherical).
    """

    energy_keV: float
    semiangle_mrad: float
    aberrations_A: Mapping[str, float] = field(default_factory=dict)


def electrons_per_position(dose_e_per_A2: float, images: int, scan_step_A: float) -> float:
    """Return the incident electrons per probe position of a series: the dose is for all its images together."""
    return dose_e_per_A2 / images * scan_step_A**2


@dataclass(frozen=True)
class TiltSeries:
    """What the microscope delivers, and all that a reconstructor gets to see.

    data: float32, fractions of the incident electrons per probe position:
        adf: (n_tilt, n_focus, ny, nx); 4dstem: (n_tilt, n_focus, scan_y, scan_x, q_y, q_x).
        With a finite dose: counts / electrons_per_position.
        phase, which ptychography makes of patterns: (n_tilt, 1, ny, nx) projected phases in rad, on pixels of `scan_step_A`.
    rotations: (n_tilt, 3, 3) nominal specimen-to-laboratory rotations, r_lab = R r_specimen.
    defocus_A: (n_focus,) Δf = −C1 (Kirkland), positive is underfocus, about the centre of the box: the crossover is at z = Δf.
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
        """Incident electrons per probe position."""
        return electrons_per_position(self.dose_e_per_A2, self.data.shape[0] * self.data.shape[1], self.scan_step_A)

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
    """The answer of a preprocessing step.

    shifts_A: (n_tilt, 2), the displacements (x, y) that an alignment removed; None of steps that align nothing.
    extras: named arrays for figures and metrics of a user's own, which the harness never reads; one entry per tilt as their first
        axis where a step works tilt by tilt.
    remark: what a user should know, such as why nothing was changed.
    """

    series: TiltSeries
    shifts_A: np.ndarray | None = None
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)
    remark: str = ""


@dataclass(frozen=True)
class Grid:
    """A cubic-voxel grid centred on the specimen box: voxel [iz, iy, ix] is at voxel_A · (index − N//2)."""

    shape: tuple[int, int, int]
    voxel_A: float

    @classmethod
    def cube(cls, field_A: float, voxel_A: float, even: bool = False) -> Grid:
        """Return the smallest cube over a field; of an even number of voxels along a side where asked for."""
        side = max(1, math.ceil(field_A / voxel_A - 1e-9))
        side += side % 2 if even else 0
        return cls((side, side, side), voxel_A)

    @classmethod
    def over(cls, series: TiltSeries) -> Grid:
        """Return a cube over the field of view, of voxels as wide as the pixels of images, or as patterns resolve."""
        patterns = series.modality == "4dstem"
        voxel_A = (
            1 / (float(series.reciprocal_step_per_A or math.nan) * max(series.data.shape[4:])) if patterns else series.scan_step_A
        )
        # an odd number of voxels would leave out the first position of an even scan
        return cls.cube(series.scan_step_A * max(series.scan_shape), voxel_A, even=patterns)

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
class Slices:
    """The specimen as a single view shows it: slices normal to the beam, too thick for atoms.

    phase: (n, ny, nx) in rad, on the pixels of the reconstruction grid. edges_A: (n + 1,), the depths z between which they lie.
    """

    phase: np.ndarray
    edges_A: np.ndarray


@dataclass(frozen=True)
class Fit:
    """How a reconstruction describes its data, and what it found out about the experiment; None for what a method does not say.

    r_factor_per_image: (n,), Σ|I − I_calc| / Σ|I| of every image, or of all patterns of every tilt.
    image_measured, image_calculated: (ny, nx), the least tilted view.
    background: the constant under all images.
    drift_A: (n, 2), displacement (x, y) of every view. angle_corrections_deg: (n, 3), rotation of every view.
    positions_A: (n_tilt, n_focus, n, 2), probe positions (x, y).
    apertures: (n_focus, ny, nx) complex64, aperture functions in the order of the FFT; (n_focus, modes, ny, nx) of several modes.
    probes, probes_initial: (n_focus, n_depth, n, n), intensities of the fitted and of the initial probe at probe_depths_A
        (n_depth,), on pixels of `probe_pixel_A`.
    focus_A: (n_focus,), the defocus at which every probe was found to be sharpest.
    """

    r_factor_per_image: np.ndarray | None = None
    image_measured: np.ndarray | None = None
    image_calculated: np.ndarray | None = None
    background: np.ndarray | None = None
    drift_A: np.ndarray | None = None
    angle_corrections_deg: np.ndarray | None = None
    positions_A: np.ndarray | None = None
    apertures: np.ndarray | None = None
    probes: np.ndarray | None = None
    probes_initial: np.ndarray | None = None
    probe_depths_A: np.ndarray | None = None
    probe_pixel_A: np.ndarray | None = None
    focus_A: np.ndarray | None = None

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what there is, by name."""
        return {name: array for name, array in vars(self).items() if array is not None}


@dataclass(frozen=True)
class Reconstruction:
    """The answer of a reconstructor: a volume, or atoms, or both.

    history: (n, 2) float64, iteration and loss (nan where an iteration has no loss).
    slices: of a method for single views. fit: how it describes the data.
    extras: named arrays for figures and metrics of a user's own; the harness and the built-in scores never read them.
    """

    volume: Volume | None
    atoms: Atoms | None
    history: np.ndarray
    seconds: float
    slices: Slices | None = None
    fit: Fit = field(default_factory=Fit)
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)
