"""Gaussians on a plane: splat and gather as compiled loops; and the engine of local orbitals on CPU cores, with FFTW.

    plane[y, x] += a exp(−((x − u)² + (y − v)²)/b)

within a square that holds all but exp(−CUTOFF_EXPONENT) of the peak. The exponential is a product of two one-dimensional ones,
each made by the recurrence exp(−(t + 1)²/b) = exp(−t²/b) · exp(−(2t + 1)/b), so that an atom costs five exponentials whatever its
width. The loops over a row are vector code. Atoms are added one after the other: equal input gives equal bits. Images are divided
into a fixed number of pieces, so that the number of threads does not change a bit either.
"""

from __future__ import annotations

import queue
from collections.abc import Sequence

import numpy as np
from scipy.fft import irfft2, rfft2

from benchsuite.physics.compiled import compiled, run_pieces
from benchsuite.physics.fft import fftw
from benchsuite.physics.gaussians.atoms import Gradient, Imaging, Orbitals, ProbeGradient, ProjectedAtoms, View
from benchsuite.physics.gaussians.fine_grid import FineGrid

PIECES = 4  # groups of images whose gradients are added up apart, whatever the number of threads
CUTOFF_EXPONENT = 12.0  # exp(−CUTOFF_EXPONENT) of a peak is left out
MAX_SQUARE_PX = 256  # pixels of the square of one atom


@compiled
def _profile(centre: float, width: float, length: int, values: np.ndarray, start_and_count: np.ndarray) -> None:
    """Fill `values` with the Gaussian along one axis of `length` pixels; set where it starts and how many pixels it has.

    It has none far outside, nor where `centre` is not a number, of which an index cannot be made.
    """
    start_and_count[:] = 0
    if not -MAX_SQUARE_PX < centre < length + MAX_SQUARE_PX:
        return
    reach = min(int(np.sqrt(CUTOFF_EXPONENT * width)) + 1, MAX_SQUARE_PX // 2 - 1)
    nearest = int(np.floor(centre + 0.5))
    first, last = max(nearest - reach, 0), min(nearest + reach, length - 1)
    start_and_count[0], start_and_count[1] = first, max(last - first + 1, 0)
    t, inverse = first - centre, 1.0 / width
    value, ratio, step = np.exp(-t * t * inverse), np.exp(-(2 * t + 1) * inverse), np.exp(-2 * inverse)
    for k in range(start_and_count[1]):
        values[k] = value
        value *= ratio
        ratio *= step


@compiled
def splat(plane: np.ndarray, atoms: np.ndarray, u: np.ndarray, v: np.ndarray, peak: np.ndarray, width: np.ndarray) -> None:
    """Add the Gaussians of the listed atoms to `plane` (ny, nx) float32.

    u, v: centres in pixels (column, row); peak: heights; width: b in pixels². What lies outside the plane is cut off.
    """
    across, down = np.empty(MAX_SQUARE_PX, np.float32), np.empty(MAX_SQUARE_PX, np.float32)
    x, y = np.empty(2, np.int64), np.empty(2, np.int64)
    for i in atoms:
        _profile(u[i], width[i], plane.shape[1], across, x)
        _profile(v[i], width[i], plane.shape[0], down, y)
        for row in range(y[1]):
            line, height = plane[y[0] + row], np.float32(peak[i] * down[row])
            for column in range(x[1]):
                line[x[0] + column] += height * across[column]


@compiled
def gather(plane: np.ndarray, atoms: np.ndarray, u: np.ndarray, v: np.ndarray, width: np.ndarray, sums: np.ndarray) -> None:
    """Set sums[i] = Σ g G, Σ g G (x − u), Σ g G (y − v), Σ g G ρ² of each listed atom: G the plane, g its unit Gaussian."""
    across, down = np.empty(MAX_SQUARE_PX, np.float32), np.empty(MAX_SQUARE_PX, np.float32)
    plain, first, second = (
        np.empty(MAX_SQUARE_PX, np.float32),
        np.empty(MAX_SQUARE_PX, np.float32),
        np.empty(MAX_SQUARE_PX, np.float32),
    )
    x, y = np.empty(2, np.int64), np.empty(2, np.int64)
    for i in atoms:
        _profile(u[i], width[i], plane.shape[1], across, x)
        _profile(v[i], width[i], plane.shape[0], down, y)
        columns = x[1]
        plain[:columns] = 0
        first[:columns] = 0
        second[:columns] = 0
        for row in range(y[1]):
            line, g = plane[y[0] + row], down[row]
            distance = np.float32(y[0] + row - v[i])
            along, squared = g * distance, g * distance * distance
            for column in range(columns):
                value = line[x[0] + column]
                plain[column] += g * value
                first[column] += along * value
                second[column] += squared * value
        whole, by_x, by_y, by_square = 0.0, 0.0, 0.0, 0.0
        for column in range(columns):
            distance = np.float32(x[0] + column - u[i])
            g = across[column]
            whole += g * plain[column]
            by_x += g * distance * plain[column]
            by_y += g * first[column]
            by_square += g * (second[column] + distance * distance * plain[column])
        sums[i, 0], sums[i, 1], sums[i, 2], sums[i, 3] = whole, by_x, by_y, by_square


@compiled
def in_slices(depth: np.ndarray, first_depth: float, thickness: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (atoms ordered by slice, where each of `count` slices starts (count + 1,)) for depths (n,); the ends hold the rest."""
    which = np.empty(len(depth), np.int64)
    start = np.zeros(count + 1, np.int64)
    for i in range(len(depth)):
        k = int(np.floor((depth[i] - first_depth) / thickness))
        which[i] = min(max(k, 0), count - 1)
        start[which[i] + 1] += 1
    for k in range(count):
        start[k + 1] += start[k]
    order, free = np.empty(len(depth), np.int64), start[:-1].copy()
    for i in range(len(depth)):
        order[free[which[i]]] = i
        free[which[i]] += 1
    return order, start


@compiled
def add_product(total: np.ndarray, spectrum: np.ndarray, transfer: np.ndarray) -> None:
    """total += spectrum · transfer, along flat arrays."""
    for i in range(len(total)):
        total[i] += spectrum[i] * transfer[i]


@compiled
def add_power(total: np.ndarray, spectrum: np.ndarray) -> None:
    """total += |spectrum|², along flat arrays."""
    for i in range(len(total)):
        total[i] += spectrum[i].real ** 2 + spectrum[i].imag ** 2


@compiled
def set_product(target: np.ndarray, spectrum: np.ndarray, transfer: np.ndarray, factor: np.float32) -> None:
    """target = factor · spectrum · conj(transfer), along flat arrays."""
    for i in range(len(target)):
        target[i] = factor * spectrum[i] * np.conj(transfer[i])


@compiled
def to_gradient(
    sums: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    w: np.ndarray,
    peak: np.ndarray,
    width: np.ndarray,
    rotation: np.ndarray,
    pixel: float,
    gradient: np.ndarray,
    view: np.ndarray,
) -> None:
    """Turn the sums of one image into derivatives, added to `gradient` (n, 5): x, y, z, weight, B; and to `view` (5,).

    u, v, w: laboratory positions about the centre in Å; peak = weight/(π width) and width are those that were splat, in Å;
    view: derivatives by drift x, y and by small rotations about the laboratory's x, y, z.
    """
    for i in range(len(sums)):
        a, b = peak[i], width[i]
        along_u = 2 * a / b * sums[i, 1] * pixel
        along_v = 2 * a / b * sums[i, 2] * pixel
        for axis in range(3):
            gradient[i, axis] += rotation[0, axis] * along_u + rotation[1, axis] * along_v
        gradient[i, 3] += sums[i, 0] / (np.pi * b)
        gradient[i, 4] += a / b * (sums[i, 3] * pixel * pixel / b - sums[i, 0])
        view[0] += along_u
        view[1] += along_v
        view[2] -= along_v * w[i]
        view[3] += along_u * w[i]
        view[4] += along_v * u[i] - along_u * v[i]


class CpuEngine:
    """Runs an `OrbitalModel` on the CPU, plane by plane. The same methods as `ArrayEngine`."""

    def __init__(self, model: Imaging) -> None:
        self.model = model
        self._free: queue.SimpleQueue[_Buffers] = queue.SimpleQueue()

    def image(self, atoms: Orbitals, view: View) -> np.ndarray:
        buffers = self._take()
        image = self._forward(_OrderedAtoms(self.model, atoms, view), view.stack, buffers, keep=False)
        self._free.put(buffers)
        return image

    def gradient(self, atoms: Orbitals, views: Sequence[View], measured: np.ndarray, with_probes: bool) -> Gradient:
        edges = np.linspace(0, len(views), min(PIECES, len(views)) + 1).astype(int)
        loss, total, by_view = np.empty(len(views)), np.empty(len(views)), np.zeros((len(views), 5))
        by_atom = [np.zeros((len(atoms), 5)) for _ in edges[1:]]
        by_probe: list[dict[int, ProbeGradient]] = [{} for _ in edges[1:]]

        def piece(number: int) -> None:
            buffers = self._take()
            for j in range(edges[number], edges[number + 1]):
                projected = _OrderedAtoms(self.model, atoms, views[j])
                residual = self._forward(projected, views[j].stack, buffers, keep=with_probes)
                residual -= measured[j]
                total[j] = float(residual.sum(dtype=np.float64))
                weighted = self._weighted(residual)
                loss[j] = 0.5 * float(np.vdot(residual, weighted))
                self._backward(
                    projected,
                    views[j].stack,
                    weighted,
                    buffers,
                    by_atom[number],
                    by_view[j],
                    by_probe[number] if with_probes else None,
                )
            self._free.put(buffers)

        run_pieces(piece, range(len(edges) - 1), self.model.threads)
        for part in by_atom[1:]:
            by_atom[0] += part
        merged: dict[int, ProbeGradient] = {}
        for found in by_probe:
            for stack, one in found.items():
                if stack in merged:
                    merged[stack].add(one)
                else:
                    merged[stack] = one
        return Gradient(loss, total, by_atom[0], by_view, merged)

    def _weighted(self, residual: np.ndarray) -> np.ndarray:
        if self.model.weights is None:
            return residual
        return irfft2(rfft2(residual) * self.model.weights, s=residual.shape)

    def _take(self) -> _Buffers:
        try:
            return self._free.get_nowait()
        except queue.Empty:
            return _Buffers(self.model.grid, self.model.probes is not None)

    def _forward(self, projected: _OrderedAtoms, stack: int, buffers: _Buffers, keep: bool) -> np.ndarray:
        grid = self.model.grid
        if self.model.probes is None:
            buffers.plane[...] = 0
            splat(buffers.plane, projected.order, projected.u, projected.v, projected.peak, projected.width)
            return grid.picked(buffers.plane).copy()
        buffers.total[...] = 0
        buffers.kept.clear()
        for k, atoms in projected.slices():
            buffers.plane[...] = 0
            splat(buffers.plane, atoms, projected.u, projected.v, projected.peak, projected.width)
            grid.forward(buffers.plane, buffers.spectrum)
            add_product(buffers.total.ravel(), buffers.spectrum.ravel(), self.model.probes.transfer[stack][k].ravel())
            if keep:
                buffers.kept[k] = buffers.spectrum.copy()
        grid.backward(buffers.total, buffers.plane)
        return grid.picked(buffers.plane) * np.float32(1 / buffers.plane.size)

    def _backward(
        self,
        projected: _OrderedAtoms,
        stack: int,
        residual: np.ndarray,
        buffers: _Buffers,
        by_atom: np.ndarray,
        by_view: np.ndarray,
        by_probe: dict[int, ProbeGradient] | None,
    ) -> None:
        grid, sums = self.model.grid, np.zeros((len(projected.u), 4))
        buffers.plane[...] = 0
        grid.picked(buffers.plane)[...] = residual
        if self.model.probes is None:
            gather(buffers.plane, projected.order, projected.u, projected.v, projected.width, sums)
        else:
            transfer, factor = self.model.probes.transfer[stack], np.float32(1 / buffers.plane.size)
            grid.forward(buffers.plane, buffers.total)
            if by_probe is not None and stack not in by_probe:
                windows = np.zeros_like(self.model.probes.windows[stack])
                by_probe[stack] = ProbeGradient(windows, np.zeros(grid.half_shape, np.float32))
            for k, atoms in projected.slices():
                if by_probe is not None:
                    drawn = buffers.kept[k].ravel()
                    add_power(by_probe[stack].power.ravel(), drawn)
                    set_product(buffers.spectrum.ravel(), buffers.total.ravel(), drawn, factor)
                    buffers.spectrum *= self.model.probes.widening
                    grid.backward(buffers.spectrum, buffers.plane)
                    by_probe[stack].gradient[k] += self.model.probes.window_of(buffers.plane)
                set_product(buffers.spectrum.ravel(), buffers.total.ravel(), transfer[k].ravel(), factor)
                grid.backward(buffers.spectrum, buffers.plane)
                gather(buffers.plane, atoms, projected.u, projected.v, projected.width, sums)
        width_A2 = projected.width * grid.pixel_A**2
        u, v, w = projected.lab
        to_gradient(sums, u, v, w, projected.peak, width_A2, projected.rotation, grid.pixel_A, by_atom, by_view)


class _OrderedAtoms(ProjectedAtoms):
    """Ordered by slice."""

    def __init__(self, model: Imaging, atoms: Orbitals, view: View) -> None:
        super().__init__(model, atoms, view)
        self.order, self.start = in_slices(self.lab[2], model.first_depth_A, model.thickness_A, model.slices)

    def slices(self) -> list[tuple[int, np.ndarray]]:
        """Return (slice, atoms in it) of every slice that holds batch."""
        occupied = np.flatnonzero(np.diff(self.start))
        return [(int(k), self.order[self.start[k] : self.start[k + 1]]) for k in occupied]


class _Buffers:
    """What one thread draws on."""

    def __init__(self, grid: FineGrid, spectra: bool) -> None:
        rows, columns = grid.shape
        self.plane = fftw.aligned((rows, columns // 2)).view(np.float32)
        self.spectrum, self.total = (fftw.aligned(grid.half_shape) if spectra else np.empty(0) for _ in range(2))
        self.kept: dict[int, np.ndarray] = {}
