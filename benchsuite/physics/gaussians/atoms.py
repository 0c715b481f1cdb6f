"""Atoms as local orbitals, how an image sees them, and what is known of a loss: what the model and its engines share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import ModuleType

import numpy as np

from benchsuite.physics.backend import Array, get_array_module
from benchsuite.physics.gaussians.fine_grid import FineGrid
from benchsuite.physics.gaussians.probe_stack import ProbeStack
from benchsuite.physics.rotations import rotation_from_vector


@dataclass(frozen=True)
class Orbitals:
    """Atoms as local orbitals: positions (n, 3) in Å about the centre of the box, weight (n,) W in Å², width (n,) B in Å²."""

    positions: np.ndarray
    weight: np.ndarray
    width: np.ndarray

    def __len__(self) -> int:
        return len(self.weight)

    @property
    def height(self) -> np.ndarray:
        """H, the peak of the projected Gaussian."""
        return self.weight / (np.pi * self.width)

    def kept(self, which: np.ndarray) -> Orbitals:
        """Return the orbitals of a mask or of indices."""
        return Orbitals(self.positions[which], self.weight[which], self.width[which])


@dataclass(frozen=True)
class View:
    """How one image sees the specimen, and the stack of probes with which, one for every focus.

    rotation: (3, 3), nominal. correction: (3,) in rad about the axes of the laboratory. drift: (2,) = (x, y) in Å.
    """

    rotation: np.ndarray
    stack: int
    correction: np.ndarray
    drift: np.ndarray

    def corrected(self) -> np.ndarray:
        """The rotation with its correction."""
        return rotation_from_vector(self.correction) @ self.rotation

    def moved(self, drift: np.ndarray, correction: np.ndarray) -> View:
        """Return the view with that added to its drift and correction."""
        return replace(self, drift=self.drift + drift, correction=self.correction + correction)


@dataclass
class ProbeGradient:
    """∂L/∂p (slices, w, w) of a stack on its windows, and the power Σ |O_k|² (rows, half columns) of the planes it came from."""

    gradient: np.ndarray
    power: np.ndarray

    def add(self, other: ProbeGradient) -> None:
        """Add another one of the same stack."""
        self.gradient += other.gradient
        self.power += other.power


@dataclass(frozen=True)
class Gradient:
    """loss: (m,) ½ Σ residual² of each image. total: (m,) Σ residual. atoms: (n, 5) derivatives by x, y, z, W, B.

    views: (m, 5) by drift x, y and rotations about x, y, z of the laboratory. probes: by stack, where they were asked for.
    """

    loss: np.ndarray
    total: np.ndarray
    atoms: np.ndarray
    views: np.ndarray
    probes: dict[int, ProbeGradient]


class Imaging:
    """What images are drawn on and with: pixels, slices along the beam, and a stack of probes for every focus or none (direct).

    Slices are those of the probes, all as thick as the first two are apart; atoms beyond the ends belong to the outermost ones.
    weights: (ny, nx//2 + 1) of the frequencies of the residual; None: all alike.
    """

    def __init__(self, grid: FineGrid, probes: ProbeStack | None, threads: int, xp: ModuleType) -> None:
        self.grid, self.probes, self.threads, self.xp = grid, probes, threads, xp
        self.weights: np.ndarray | None = None
        self.slices, self.first_depth_A, self.thickness_A, self.spread_A2 = 1, 0.0, np.inf, 0.0
        if probes is not None:
            depths = probes.depths_A
            self.slices, self.spread_A2 = len(depths), probes.spread_A2
            self.thickness_A = float(depths[1] - depths[0]) if len(depths) > 1 else np.inf
            self.first_depth_A = float(depths[0]) - self.thickness_A / 2 if len(depths) > 1 else 0.0


class ProjectedAtoms:
    """The atoms as one view projects them.

    lab: (3, n) laboratory positions in Å; u, v: (n,) column and row in fine pixels; peak: (n,) heights of the widened Gaussians and
    width: (n,) in squared fine pixels. All in the module of the atoms' arrays.
    """

    def __init__(self, imaging: Imaging, atoms: Orbitals, view: View) -> None:
        xp, grid = get_array_module(atoms.weight), imaging.grid
        self.rotation = view.corrected()
        self.lab: Array = xp.ascontiguousarray(xp.asarray(self.rotation) @ atoms.positions.T)
        centre_y, centre_x = grid.centre
        self.u = (self.lab[0] + view.drift[0]) / grid.pixel_A + centre_x
        self.v = (self.lab[1] + view.drift[1]) / grid.pixel_A + centre_y
        width = atoms.width + imaging.spread_A2
        self.peak = atoms.weight / (np.pi * width)
        self.width = width / grid.pixel_A**2
