"""From a volume to the diffraction patterns of a tilt series: multislice kernel, tilted slices and probes put together."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from benchsuite.data import Grid, TiltSeries
from benchsuite.physics.backend import Array
from benchsuite.physics.electrons import interaction_per_VA, wavelength_A
from benchsuite.physics.multislice.model import Multislice
from benchsuite.physics.multislice.sliced_view import Interpolation, SlicedView, slice_edges_A
from benchsuite.physics.multislice.waves import WaveGrid, Waves, window_pixels
from benchsuite.physics.probe import PROBE_TAILS, aperture_function, incoherent_modes

Selection = slice | np.ndarray  # some of the probes of an image, by slice or indices
FIELD_TOLERANCE = 1e-3  # how far 1/(reciprocal step · voxel) may be from a whole number, as a part of it
POSITION_MARGIN_A = 2.0  # how far a refined position may leave the volume


def field_pixels(series: TiltSeries, voxel_A: float) -> int:
    """Return the pixels along one side of the field that the patterns resolve, 1/(reciprocal step), in voxels.

    Raises ValueError where voxels do not divide it: wave and volume must share their pixels.
    """
    exact = 1 / (float(series.reciprocal_step_per_A or np.nan) * voxel_A)
    field_px = round(exact)
    if abs(exact - field_px) > FIELD_TOLERANCE * exact:
        field = exact * voxel_A
        raise ValueError(
            f"voxels of {voxel_A:g} Å do not divide the field of {field:.4g} Å that patterns of step {1 / field:.4g} 1/Å resolve; "
            f"the nearest that do are {field / np.ceil(exact):.4f} and {field / np.floor(exact):.4f} Å (grid.voxel_A)"
        )
    return int(field_px)


@dataclass(frozen=True)
class Discretisation:
    """How the physics is sampled: slices no thicker than `slice_A`, a probe window of at least `window_A` (None: the field).

    With `slices`, so many of exactly that thickness, about the centre of the volume, whatever the depth of the grid.
    The probe is `modes` ones that do not interfere (`probe.incoherent_modes`).
    """

    slice_A: float
    window_A: float | None
    interpolation: Interpolation = "cubic"
    slices: int | None = None
    modes: int = 1

    def edges_A(self, grid: Grid) -> np.ndarray:
        """Return the (slices + 1,) depths between the slices."""
        if self.slices is None:
            return slice_edges_A(grid, self.slice_A)
        return self.slice_A * (np.arange(self.slices + 1) - self.slices / 2)


class SeriesModel:
    """The patterns of a series as a function of a phase volume σV in rad/Å (nz, ny, nx) on a grid, in numpy or cupy.

    Raises ValueError, with the numbers, where patterns, scan and grid do not fit each other.
    """

    def __init__(self, series: TiltSeries, grid: Grid, how: Discretisation, xp: ModuleType = np, threads: int = 1) -> None:
        self.series, self.grid, self.xp, self.how = series, grid, xp, how
        self.sigma = interaction_per_VA(series.optics.energy_keV)
        wavelength = wavelength_A(series.optics.energy_keV)
        self.edges_A = how.edges_A(grid)
        thickness = float(self.edges_A[1] - self.edges_A[0])
        field_px = field_pixels(series, grid.voxel_A)
        qy, qx = (min(have, field_px) for have in series.data.shape[4:])
        ny, nx = series.scan_shape
        self.entrance_A = float(self.edges_A[0] + self.edges_A[1]) / 2  # slices act in their middle
        window_px = window_pixels(how.window_A, grid.voxel_A, field_px)
        self._check_window(window_px, wavelength)
        slices = len(self.edges_A) - 1
        self.waves = WaveGrid(
            wavelength, grid.voxel_A, thickness, slices, field_px, (qy, qx), window_px, margin_A=POSITION_MARGIN_A
        )
        self.kernel = Multislice(self.waves, xp, threads)
        x, y = (series.scan_step_A * (np.arange(count) - count // 2) for count in (nx, ny))
        raster = np.stack(np.broadcast_arrays(x[None, :], y[:, None]), axis=-1).reshape(-1, 2)
        self._check_scan(raster)
        self.positions_A = np.broadcast_to(raster, (*series.data.shape[:2], *raster.shape)).copy()
        self.apertures = [
            xp.asarray(self._aperture(self._defocus_A(float(defocus)), field_px, wavelength)) for defocus in series.defocus_A
        ]
        self._cached: dict[int, tuple[Array, np.ndarray, np.ndarray, Waves]] = {}
        self._latest: tuple[tuple[int, int, bool], Array] | None = None
        self.probes(0, 0)

    @functools.cached_property
    def views(self) -> list[SlicedView]:
        """How every tilt slices the volume."""
        return [
            SlicedView(rotation, self.grid, self.edges_A, self.how.interpolation, self.xp) for rotation in self.series.rotations
        ]

    def _aperture(self, defocus_A: float, field_px: int, wavelength_A: float) -> np.ndarray:
        """The aperture function (field, field), or (modes, field, field)."""
        coherent = aperture_function(self.series.optics, defocus_A, field_px, self.grid.voxel_A, wavelength_A)
        return coherent if self.how.modes == 1 else incoherent_modes(coherent, self.how.modes)

    def _defocus_A(self, defocus_A: float) -> float:
        """The defocus in the plane where the first slice acts."""
        return defocus_A - self.entrance_A

    def _check_window(self, window_px: int, wavelength_A: float) -> None:
        semiangle = self.series.optics.semiangle_mrad * 1e-3
        depth = -2 * self.entrance_A
        furthest = max(max(abs(d), abs(d - depth)) for d in (self._defocus_A(float(f)) for f in self.series.defocus_A))
        spread = 2 * (semiangle * furthest + PROBE_TAILS * wavelength_A / semiangle)
        if window_px * self.grid.voxel_A < spread:
            raise ValueError(
                f"a probe window of {window_px * self.grid.voxel_A:.1f} Å is less than the {spread:.1f} Å over which the probe "
                "spreads; enlarge window_A (or the field of view)"
            )

    def _check_scan(self, raster: np.ndarray) -> None:
        for axis, side in zip("xy", self.grid.shape[:0:-1], strict=True):
            low, high = (index * self.grid.voxel_A for index in (-(side // 2), side - 1 - side // 2))
            along = raster[:, "xy".index(axis)]
            if along.min() < low - 1e-6 or along.max() > high + self.grid.voxel_A:
                raise ValueError(
                    f"the scan leaves the volume: {axis} runs from {along.min():.2f} to {along.max():.2f} Å, the volume "
                    f"from {low:.2f} to {high:.2f} Å; enlarge grid.shape"
                )

    def seen_in_every_view(self) -> Array:
        """Return a mask (nz, ny, nx) of the voxels that no tilt carries out of the volume.

        The others are seen in a part of the views only, which does not determine them.
        """
        nz, ny, nx = self.grid.shape
        index = np.stack(np.meshgrid(np.arange(nz), np.arange(ny), np.arange(nx), indexing="ij"), axis=-1).reshape(-1, 3)
        positions = self.grid.positions(index)
        low = self.grid.origin_A - self.grid.voxel_A / 2
        high = low + self.grid.voxel_A * np.array(self.grid.shape[::-1])
        inside = np.ones(len(index), dtype=bool)
        for rotation in self.series.rotations:
            turned = positions @ np.asarray(rotation).T
            inside &= ((turned >= low - 1e-6) & (turned <= high + 1e-6)).all(axis=1)
        return self.xp.asarray(inside.reshape(self.grid.shape))

    @property
    def probe_count(self) -> int:
        """Probe positions of one image."""
        return int(self.positions_A.shape[2])

    def probes(self, tilt: int, focus: int, selection: Selection | None = None) -> tuple[np.ndarray, Waves]:
        """Return origins of windows (n, 2) and waves of the probes of one image, or of a selection of them.

        Waves of a whole image are kept while neither aperture nor positions change; then a selection's are made for it alone.
        """
        aperture, positions = self.apertures[focus], self.positions_A[tilt, focus]
        cached = self._cached.get(focus)
        if cached is None or cached[0] is not aperture or not np.array_equal(cached[1], positions):
            if cached is not None and selection is not None:
                origins, shifts = self.waves.window_origins(positions[selection], self.grid.shape[1:])
                return origins, self.kernel.waves(aperture, shifts)
            origins, shifts = self.waves.window_origins(positions, self.grid.shape[1:])
            cached = self._cached[focus] = (aperture, positions.copy(), origins, self.kernel.waves(aperture, shifts))
        _, _, origins, waves = cached
        return (origins, waves) if selection is None else (origins[selection], waves.selected(selection))

    def shifts_A(self, tilt: int, focus: int, selection: Selection) -> np.ndarray:
        """Return (n, 2) = (y, x) distances of selected probes from the centres of their windows."""
        return self.waves.window_origins(self.positions_A[tilt, focus, selection], self.grid.shape[1:])[1]

    def measured(self, tilt: int, focus: int, roots: bool = False) -> Array:
        """Return the intensities (n, rows, columns) of one image, or their roots, cropped to what voxels resolve, zero beam first.

        The latest image is kept, so that batches of its probes read it once.
        """
        if self._latest is not None and self._latest[0] == (tilt, focus, roots):
            return self._latest[1]
        patterns = np.asarray(self.series.data[tilt, focus], dtype=np.float32)
        patterns = patterns.reshape(-1, *patterns.shape[2:])
        (qy, qx), (have_y, have_x) = self.waves.detector, patterns.shape[1:]
        top, left = have_y // 2 - qy // 2, have_x // 2 - qx // 2
        centred = patterns[:, top : top + qy, left : left + qx]
        ordered = self.xp.asarray(np.ascontiguousarray(np.fft.ifftshift(centred, axes=(1, 2))))
        if roots:
            self.xp.sqrt(ordered, out=ordered)
        self._latest = (tilt, focus, roots), ordered
        return ordered

    def transmission(self, tilt: int, phase: Array) -> Array:
        """Return the transmission functions of the tilted slices, with vacuum round them."""
        return self.kernel.transmission(self.views[tilt].forward(phase))

    def calculated(self, tilt: int, focus: int, phase: Array, intensity_scale: float = 1.0) -> Array:
        """Return the patterns (n, rows, columns) of one image, zero beam first."""
        return self.through(tilt, focus, self.transmission(tilt, phase), intensity_scale)

    def through(self, tilt: int, focus: int, transmission: Array, intensity_scale: float = 1.0) -> Array:
        """Return the patterns (n, rows, columns) of one image behind given transmission functions."""
        origins, waves = self.probes(tilt, focus)
        return self.kernel.intensities(transmission, origins, waves.scaled(intensity_scale))

    def r_factor(self, tilt: int, transmission: Array, intensity_scales: np.ndarray) -> float:
        """Return Σ|I − I_calc| / ΣI over all images of a tilt; `intensity_scales` (n_focus,) those of the probes."""
        wrong, all_of_it = 0.0, 0.0
        for focus in range(self.series.data.shape[1]):
            measured = self.measured(tilt, focus)
            found = self.through(tilt, focus, transmission, float(intensity_scales[focus]))
            wrong += float(abs(found - measured).sum(dtype=np.float64))
            all_of_it += float(measured.sum(dtype=np.float64))
        return wrong / all_of_it if all_of_it > 0 else 0.0
