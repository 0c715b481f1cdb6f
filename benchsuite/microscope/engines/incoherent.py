"""ADF images without multiple scattering: the probe of every depth, convolved with what the slice there scatters.

    I(r) = Σ_k p_k ⊗ o_k,    o_k = Σ_elements C_e · 2 (1 − cos φ_k,e)        (Mao, Cui & Yu 2024, LOT eq. 7; Bosch & Lazić 2019)

p_k is the intensity, of unit sum, of the probe in free space at the depth of slice k; φ_k,e = σ ∫V dz the phase that the atoms of
one element in the slice add (tabulated potentials), so 2 (1 − cos φ) = |exp(iφ) − 1|² is all that they scatter, and C_e the part
of it that the detector collects from one such atom. Thermal motion blurs o_k by its Gaussian: the average over independent
displacements.

What is missing: scattering of electrons that have been scattered (channelling, loss of intensity with depth), and interference,
but for atoms of one element in one slice, whose phases add; slices thinner than the shortest bond keep that small. In return the
cost of an image grows as the number of slices times that of a transform, which makes a million atoms possible. Atoms are put on
the grid by Gaussian gridding (see `physics.gaussians.image_model`). What a sharp atom scatters depends on its place within a
pixel: by 1.8% for Au on pixels of 0.1 Å and 0.7% on 0.05 Å, by 0.15% for Si. The field is periodic, as in abTEM.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms

from benchsuite.contract.plug import Cost
from benchsuite.contract.settings import Acquisition, AnnularDetector, FrozenPhonons, Microscope, Scan, Simulation
from benchsuite.contract.simulator import Simulator
from benchsuite.data import Modality, Optics
from benchsuite.microscope.cost import INCOHERENT_FOCUS_S, INCOHERENT_SLICE_S, PROCESS_BYTES, STARTUP_S, work_of
from benchsuite.microscope.tilts import box_depth_A
from benchsuite.params import Params
from benchsuite.physics.electrons import interaction_per_VA, wavelength_A
from benchsuite.physics.fft import fftw
from benchsuite.physics.gaussians.engine_numba import add_product, in_slices, splat
from benchsuite.physics.gaussians.fine_grid import FineGrid
from benchsuite.physics.gaussians.image_model import SPREAD
from benchsuite.physics.probe import centred_defocus_A, probe_transfer

SINGLE_ATOM_FIELD_A, SINGLE_ATOM_FIELD_PX = 14.4, 1152  # pixels of 0.0125 Å


MAX_ANGLE_MRAD = 250.0  # of the field of a single atom


class Incoherent(Simulator[Params]):
    title = "Images without multiple scattering, for many atoms"
    reference = "Mao, Cui & Yu 2024 (LOT), eq. 7; Bosch & Lazić 2019"
    modalities = ("adf",)
    libraries = ("abtem",)
    forward_model = "gaussians.image_model"
    unread = ("method", "prism_interpolation", "window_A")
    caveat = "Images by the incoherent engine: single scattering of a probe in free space, no channelling."

    def check(self, microscope: Microscope, simulation: Simulation, acquisition: Acquisition) -> list[str]:
        """The pixels must resolve the intensity of the probe; the detector's angles are those of a single, finely drawn atom."""
        problems, detector = [], acquisition.detector
        finest = wavelength_A(microscope.energy_keV) / (4e-3 * microscope.semiangle_mrad)
        if simulation.sampling_A > finest * 1.001:
            problems.append(
                f"simulation.sampling_A: {simulation.sampling_A:g} Å does not resolve the probe; the incoherent engine needs at "
                f"most λ/(4α) = {finest:.3f} Å"
            )
        if detector is not None and detector.outer_mrad > MAX_ANGLE_MRAD:
            problems.append(
                f"acquisition.detector.outer_mrad: {detector.outer_mrad:g} mrad; the incoherent engine allows "
                f"{MAX_ANGLE_MRAD:g} mrad"
            )
        return problems

    def cost(self, microscope: Microscope, simulation: Simulation, acquisition: Acquisition) -> Cost:
        work, grid = work_of(microscope, simulation, acquisition), fine_grid(acquisition.scan, simulation)
        fine = math.prod(grid.shape)
        seconds = work.slices * fine * math.log2(fine) * (INCOHERENT_SLICE_S + work.foci * INCOHERENT_FOCUS_S)
        return Cost(STARTUP_S + seconds, PROCESS_BYTES + 4.0 * fine * work.slices * work.foci + 30 * fine)

    def simulate(
        self,
        atoms: Atoms,
        rotation: np.ndarray,
        microscope: Microscope,
        simulation: Simulation,
        acquisition: Acquisition,
        **_more: Any,
    ) -> Mapping[Modality, np.ndarray]:
        assert acquisition.detector is not None  # the checks of an experiment have seen to it
        recorded = (acquisition.scan, acquisition.detector, acquisition.frozen_phonons)
        return {"adf": _images(atoms, rotation, microscope, simulation, *recorded)}


def _images(
    atoms: Atoms,
    rotation: np.ndarray,
    microscope: Microscope,
    simulation: Simulation,
    scan: Scan,
    detector: AnnularDetector,
    phonons: FrozenPhonons | None,
) -> np.ndarray:
    """Return (n_focus, ny, nx) images."""
    symbols = np.array(atoms.get_chemical_symbols())
    elements = sorted(set(symbols.tolist()))
    blur_A = phonons.rms_A if phonons is not None else dict.fromkeys(elements, 0.0)
    grid = fine_grid(scan, simulation)
    probes = _probes(microscope, simulation, scan)
    box_A = box_depth_A(scan, simulation)
    positions = atoms.positions @ np.asarray(rotation, dtype=np.float64).T
    centre_y, centre_x = grid.centre
    u, v = positions[:, 0] / grid.pixel_A + centre_x, positions[:, 1] / grid.pixel_A + centre_y
    slices, thickness = _slices(simulation, box_A)
    squared = grid.frequencies_squared()
    width = np.full(len(atoms), SPREAD)
    plane = fftw.aligned((grid.shape[0], grid.shape[1] // 2)).view(np.float32)
    spectrum = fftw.aligned(grid.half_shape)
    totals = [fftw.aligned(grid.half_shape) for _ in microscope.defoci_A]
    scale = np.float32(1 / plane.size)
    annulus = (detector.inner_mrad, detector.outer_mrad)
    for element in elements:
        chosen = np.flatnonzero(symbols == element)
        phase = _phase_factor(element, simulation.potential, microscope.energy_keV, squared, grid.pixel_A) * scale
        collected = _collected(
            element, simulation.potential, microscope.energy_keV, microscope.semiangle_mrad, annulus, grid.pixel_A
        )
        thermal = (collected * np.exp(-2 * np.pi**2 * blur_A[element] ** 2 * squared)).astype(np.float32)
        order, start = in_slices(positions[chosen, 2], -box_A / 2, thickness, slices)
        peak = np.full(len(atoms), 1 / (np.pi * SPREAD * grid.pixel_A**2))
        for k in np.flatnonzero(np.diff(start)):
            plane[...] = 0
            splat(plane, chosen[order[start[k] : start[k + 1]]], u, v, peak, width)
            grid.forward(plane, spectrum)
            spectrum *= phase
            grid.backward(spectrum, plane)
            np.cos(plane, out=plane)
            np.subtract(1, plane, out=plane)
            grid.forward(plane, spectrum)
            spectrum *= thermal
            for total, stack in zip(totals, probes, strict=True):
                add_product(total.ravel(), spectrum.ravel(), stack[k].ravel())
    images = np.empty((len(totals), *scan.positions), np.float32)
    for image, total in zip(images, totals, strict=True):
        grid.backward(total, plane)
        image[...] = np.maximum(grid.picked(plane) * scale, 0)
    return images


def fine_grid(scan: Scan, simulation: Simulation) -> FineGrid:
    """Return the grid of the calculation: a whole number of pixels, no wider than `sampling_A`, per step of the scan."""
    return FineGrid(scan.positions, scan.step_A, math.ceil(scan.step_A / simulation.sampling_A - 1e-9))


def _slices(simulation: Simulation, box_A: float) -> tuple[int, float]:
    count = math.ceil(box_A / simulation.slice_A - 1e-6)
    return count, box_A / count


def _probes(microscope: Microscope, simulation: Simulation, scan: Scan) -> list[np.ndarray]:
    """Return (slices, rows, half columns) complex64 transfer functions for every focus; the same for all tilts."""
    box_A = box_depth_A(scan, simulation)
    foci = tuple(centred_defocus_A(defocus, microscope.focal_plane, box_A) for defocus in microscope.defoci_A)
    optics = (microscope.energy_keV, microscope.semiangle_mrad, tuple(sorted(microscope.aberrations_A.items())))
    grid = fine_grid(scan, simulation)
    return _probes_of(optics, foci, _slices(simulation, box_A), grid.shape, grid.pixel_A)


@functools.lru_cache(maxsize=1)
def _probes_of(
    optics: tuple[float, float, tuple[tuple[str, float], ...]],
    foci_A: tuple[float, ...],
    slices: tuple[int, float],
    shape: tuple[int, int],
    pixel_A: float,
) -> list[np.ndarray]:
    energy_keV, semiangle_mrad, aberrations = optics
    probe = Optics(energy_keV, semiangle_mrad, dict(aberrations))
    count, thickness = slices
    depths = thickness * (np.arange(count) - (count - 1) / 2)
    return [np.stack([probe_transfer(probe, focus - depth, shape, pixel_A) for depth in depths]) for focus in foci_A]


def _potential_factor(element: str, potential: str) -> Any:
    """Return the function of q² (1/Å²) that gives the Fourier transform of an atom's projected potential in V Å³."""
    from abtem.parametrizations import KirklandParametrization, LobatoParametrization

    tables = {"kirkland": KirklandParametrization, "lobato": LobatoParametrization}
    return tables[potential]().projected_scattering_factor(element)


def _phase_factor(element: str, potential: str, energy_keV: float, squared: np.ndarray, pixel_A: float) -> np.ndarray:
    """Return σ V̂(q), with what undoes the widening of the gridding, within the circle of frequencies that the pixels resolve."""
    factor = interaction_per_VA(energy_keV) * np.asarray(_potential_factor(element, potential)(squared))
    inside = squared < (0.5 / pixel_A) ** 2
    return np.where(inside, factor * np.exp(np.pi**2 * SPREAD * pixel_A**2 * squared), 0).astype(np.float32)


@functools.cache
def _collected(
    element: str, potential: str, energy_keV: float, semiangle_mrad: float, annulus_mrad: tuple[float, float], pixel_A: float
) -> float:
    """Return 2 C_e: an atom drawn on pixels of that width then scatters into the detector what one drawn finely does.

    Of what is scattered by an angle, the part counts that reaches the annulus from somewhere in the illuminating cone.
    """
    fine = SINGLE_ATOM_FIELD_A / SINGLE_ATOM_FIELD_PX
    scattered = np.exp(1j * _phase_of_one(element, potential, energy_keV, SINGLE_ATOM_FIELD_PX, fine)) - 1
    q = np.fft.fftfreq(SINGLE_ATOM_FIELD_PX, fine)
    angle = 1e3 * wavelength_A(energy_keV) * np.hypot(q[:, None], q)
    power = np.abs(np.fft.fft2(scattered)) ** 2 * fine**2 / SINGLE_ATOM_FIELD_PX**2
    cone, annulus = angle <= semiangle_mrad, (angle >= annulus_mrad[0]) & (angle < annulus_mrad[1])
    reached = np.fft.ifft2(np.fft.fft2(cone) * np.fft.fft2(annulus)).real / cone.sum()
    pixels = 2 * math.ceil(SINGLE_ATOM_FIELD_A / pixel_A / 2)
    coarse = _phase_of_one(element, potential, energy_keV, pixels, pixel_A)
    return float((power * reached).sum()) / float((1 - np.cos(coarse)).sum() * pixel_A**2)


def _phase_of_one(element: str, potential: str, energy_keV: float, pixels: int, pixel_A: float) -> np.ndarray:
    """Return the phase (pixels, pixels) of one atom at the origin."""
    q = np.fft.fftfreq(pixels, pixel_A)
    squared = q[:, None] ** 2 + q**2
    spectrum = interaction_per_VA(energy_keV) * np.asarray(_potential_factor(element, potential)(squared))
    return np.fft.ifft2(np.where(squared < (0.5 / pixel_A) ** 2, spectrum, 0)).real / pixel_A**2
