"""A simulation engine: the true atoms and the settings of the microscope in, noise-free images or diffraction patterns out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from ase import Atoms

from benchsuite.contract.plug import Cost, P, Plug
from benchsuite.contract.settings import Acquisition, Microscope, Simulation
from benchsuite.data import Modality

Allocate = Callable[[Modality, tuple[int, ...]], np.ndarray]


def in_memory(_modality: Modality, shape: tuple[int, ...]) -> np.ndarray:
    """Return zeros, float32: the plain way to hold what a simulator computes."""
    return np.zeros(shape, dtype=np.float32)


class Simulator(Plug[P]):
    """Base of all simulation engines (`simulation: {engine: NAME, params: {...}}` in a scenario).

    modalities: what it makes: images ("adf"), diffraction patterns with the virtual images of the same scan ("4dstem").
    substitute: the engine with the same physics that makes the modality which this one does not.
    libraries: packages whose versions decide the result, and are part of its key.
    forward_model: the module of `benchsuite.physics` that computes the scattering; empty where none of them does.
    unread: keys of the section `simulation` that it does not read; they are not part of the key of the result.
    caveat: a sentence for reports on the physics that its data lack.
    """

    modalities: ClassVar[tuple[Modality, ...]] = ("adf",)
    substitute: ClassVar[str | None] = None
    libraries: ClassVar[tuple[str, ...]] = ()
    forward_model: ClassVar[str] = ""
    unread: ClassVar[tuple[str, ...]] = ()
    caveat: ClassVar[str] = ""

    def check(self, microscope: Microscope, simulation: Simulation, acquisition: Acquisition) -> list[str]:
        """Return every reason why this engine cannot simulate the experiment, each as "section.key: message".

        Room for specimen and probe, aberrations, dose and tilts have been checked for all engines.
        """
        return []

    def warnings(self, microscope: Microscope, simulation: Simulation, acquisition: Acquisition) -> list[str]:
        """Return what this engine can simulate but rarely should, each as "section.key: message"."""
        return []

    def cost(self, microscope: Microscope, simulation: Simulation, acquisition: Acquisition) -> Cost:
        """Predict time and memory of one tilt."""
        return Cost(seconds=1.0, bytes=5e8)

    @abstractmethod
    def simulate(
        self,
        atoms: Atoms,
        rotation: np.ndarray,
        microscope: Microscope,
        simulation: Simulation,
        acquisition: Acquisition,
        *,
        seed: int = 0,
        drift_A: np.ndarray | None = None,
        device: str = "cpu",
        allocate: Allocate = in_memory,
    ) -> Mapping[Modality, np.ndarray]:
        """Return one noise-free tilt, float32, in fractions of the incident electrons, averaged over frozen phonons.

        "adf": (n_focus, ny, nx), of patterns only where the acquisition has an annular detector. "4dstem": (n_focus, ny, nx, q_y,
        q_x), the undiffracted beam at index q//2.

        atoms: positions in Å about the centre of the box; to be rotated actively by `rotation` (3, 3), r_lab = R r.
        seed: of the thermal displacements; equal seeds give equal results.
        drift_A: (n_focus, 2) shifts (x, y) of the specimen in each scan of patterns; images are shifted when they are recorded.
        allocate: gives zeroed arrays to fill, which may live on disk; plain arrays may be returned as well.
        """


def simulation_misfit(result: object, foci: int, acquisition: Acquisition) -> str | None:
    """Return what is wrong with the result of `Simulator.simulate`, or None."""
    image = (foci, *acquisition.scan.positions)
    expected: dict[str, tuple[int, ...]] = {"adf": image} if acquisition.detector is not None else {}
    if acquisition.mode == "4dstem":
        expected["4dstem"] = (*image, *acquisition.camera.pixels)
    if not isinstance(result, Mapping) or {*result} != {*expected}:
        found = sorted(map(str, result)) if isinstance(result, Mapping) else type(result).__name__
        return f"returned {found} instead of arrays for {sorted(expected)}"
    for modality, array in result.items():
        if array.shape != expected[modality] or array.dtype != np.float32:
            have = f"{modality} data of shape {array.shape} and type {array.dtype}"
            return f"returned {have}; expected shape {expected[modality]} and type float32"
        if not all(np.isfinite(row).all() for focus in array for row in focus):
            return f"returned {modality} data that are not finite"
    return None


AnySimulator = Simulator[Any]
