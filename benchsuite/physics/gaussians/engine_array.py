"""The engine of local orbitals in terms of whole arrays: for cupy, and for numpy where FFTW cannot be reached.

The slices of an image are drawn, transformed and multiplied a batch at a time, so that memory holds a bounded number of planes.
Sums are taken in a fixed order: equal input gives equal bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from benchsuite.physics.backend import Array, fft_module, get_array_module, to_host
from benchsuite.physics.gaussians import drawing
from benchsuite.physics.gaussians.atoms import Gradient, Imaging, Orbitals, ProbeGradient, ProjectedAtoms, View

BATCH_BYTES = {True: 1 << 22, False: 1 << 31}  # what one batch needs: a cache on the CPU, a share of memory on a GPU
PIXEL_BYTES = 40  # for each pixel of a plane: in fixed point, as a number, transformed, and multiplied


class ArrayEngine:
    """Runs an `OrbitalModel` with array operations. The same methods as `CpuEngine`."""

    def __init__(self, model: Imaging) -> None:
        self.model, self.xp = model, model.xp
        self.fft = fft_module(self.xp)
        self.batch = max(1, BATCH_BYTES[self.xp is np] // (PIXEL_BYTES * math.prod(model.grid.shape)))
        self._held: dict[int, tuple[int, Array]] = {}  # by stack: version and transfer functions
        if model.probes is not None:
            self.widening = self.xp.asarray(model.probes.widening)
            self.inside = tuple(self.xp.asarray(index) for index in model.probes.inside)

    def image(self, atoms: Orbitals, view: View) -> np.ndarray:
        image, _ = self._forward(_OrderedAtoms(self.model, self._on_device(atoms), view), view.stack)
        return to_host(self.xp.ascontiguousarray(image))

    def gradient(self, atoms: Orbitals, views: Sequence[View], measured: np.ndarray, with_probes: bool) -> Gradient:
        xp, placed = self.xp, self._on_device(atoms)
        weights = None if self.model.weights is None else xp.asarray(self.model.weights)
        loss, total, by_view = xp.empty(len(views)), xp.empty(len(views)), xp.empty((len(views), 5))
        by_atom, by_probe = xp.zeros((len(atoms), 5)), dict[int, ProbeGradient]()
        for j, view in enumerate(views):
            projected = _OrderedAtoms(self.model, placed, view)
            image, spectra = self._forward(projected, view.stack)
            residual = image - xp.asarray(measured[j])
            weighted = residual
            if weights is not None:
                weighted = self.fft.irfft2(self.fft.rfft2(residual) * weights, s=residual.shape)
            total[j] = residual.sum(dtype=np.float64)
            loss[j] = 0.5 * (residual * weighted).sum(dtype=np.float64)
            if with_probes and self.model.probes is not None and view.stack not in by_probe:
                by_probe[view.stack] = self._no_gradient(view.stack)
            sums = self._backward(projected, view.stack, weighted, spectra, by_probe.get(view.stack))
            by_view[j] = self._derivatives(projected, sums, by_atom)
        probes = {stack: ProbeGradient(to_host(one.gradient), to_host(one.power)) for stack, one in by_probe.items()}
        return Gradient(to_host(loss), to_host(total), to_host(by_atom), to_host(by_view), probes)

    def _on_device(self, atoms: Orbitals) -> Orbitals:
        return Orbitals(*(self.xp.asarray(part) for part in (atoms.positions, atoms.weight, atoms.width)))

    def _transfer(self, stack: int) -> Array:
        """The transfer functions of a stack on the device, brought there anew when its probes have changed."""
        probes = self.model.probes
        assert probes is not None
        if stack not in self._held or self._held[stack][0] != probes.versions[stack]:
            self._held.pop(stack, None)
            self._held[stack] = probes.versions[stack], self.xp.asarray(probes.transfer[stack])
        return self._held[stack][1]

    def _no_gradient(self, stack: int) -> ProbeGradient:
        assert self.model.probes is not None
        shape = self.model.probes.windows[stack].shape
        return ProbeGradient(self.xp.zeros(shape, np.float32), self.xp.zeros(self.model.grid.half_shape, np.float32))

    def _drawn(self, projected: _OrderedAtoms, batch: slice) -> Array:
        shape = batch.stop - batch.start, *self.model.grid.shape
        return drawing.splat(shape, *projected.within(batch), projected.u, projected.v, projected.peak, projected.width)

    def _forward(self, projected: _OrderedAtoms, stack: int) -> tuple[Array, Array | None]:
        """Return the image, and the spectra of the planes of its last batch."""
        grid = self.model.grid
        if self.model.probes is None:
            return grid.picked(self._drawn(projected, slice(0, 1))[0]), None
        transfer, spectra = self._transfer(stack), None
        total = self.xp.zeros(grid.half_shape, np.complex64)
        for batch in projected.batches(self.batch):
            spectra = self.fft.rfft2(self._drawn(projected, batch))
            total += (spectra * transfer[batch]).sum(axis=0)
        return grid.picked(self.fft.irfft2(total, s=grid.shape, overwrite_x=True)), spectra

    def _backward(
        self, projected: _OrderedAtoms, stack: int, residual: Array, spectra: Array | None, by_probe: ProbeGradient | None
    ) -> Array:
        """Return what `gather` finds (n, 4), and add to the gradient of the probes.

        The spectra that `_forward` left are those of the batch that comes first placed; other batches are drawn again.
        """
        grid, xp = self.model.grid, self.xp
        sums, plane = xp.zeros((len(projected.u), 4)), xp.zeros(grid.shape, np.float32)
        grid.picked(plane)[...] = residual
        if self.model.probes is None:
            drawing.gather(plane[None], *projected.within(slice(0, 1)), projected.u, projected.v, projected.width, sums)
            return sums
        back, transfer = self.fft.rfft2(plane), self._transfer(stack)
        for batch in reversed(projected.batches(self.batch)):
            if by_probe is not None:
                spectra = self.fft.rfft2(self._drawn(projected, batch)) if spectra is None else spectra
                by_probe.power += (spectra.real**2 + spectra.imag**2).sum(axis=0)
                by_probe.gradient[batch] += self._returned(back * self.widening * spectra.conj())[:, *self.inside]
                spectra = None
            planes = self._returned(back * transfer[batch].conj())
            drawing.gather(planes, *projected.within(batch), projected.u, projected.v, projected.width, sums)
        return sums

    def _returned(self, spectra: Array) -> Array:
        return self.fft.irfft2(spectra, s=self.model.grid.shape, overwrite_x=True)

    def _derivatives(self, projected: _OrderedAtoms, sums: Array, by_atom: Array) -> Array:
        """Add the derivatives of one image by x, y, z, W, B to `by_atom` (n, 5); return those by the view (5,)."""
        pixel, (u, v, w) = self.model.grid.pixel_A, projected.lab
        width = projected.width * pixel**2
        along = 2 * pixel * (projected.peak / width)[:, None] * sums[:, 1:3]
        by_atom[:, :3] += along @ self.xp.asarray(projected.rotation[:2])
        by_atom[:, 3] += sums[:, 0] / (np.pi * width)
        by_atom[:, 4] += projected.peak / width * (sums[:, 3] * pixel**2 / width - sums[:, 0])
        along_u, along_v = along.T
        parts = along_u, along_v, -along_v * w, along_u * w, along_v * u - along_u * v
        return self.xp.stack([part.sum() for part in parts])


class _OrderedAtoms(ProjectedAtoms):
    """Ordered by slice; within one, as they came."""

    def __init__(self, model: Imaging, atoms: Orbitals, view: View) -> None:
        super().__init__(model, atoms, view)
        xp = get_array_module(self.u)
        depth = xp.floor((self.lab[2] - model.first_depth_A) / model.thickness_A)
        which = xp.clip(depth, 0, model.slices - 1).astype(np.int32)
        self.order = xp.argsort(which, kind="stable")
        self.slice = which[self.order]
        self.start = to_host(xp.searchsorted(self.slice, xp.arange(model.slices + 1, dtype=np.int32)))

    def batches(self, most: int) -> list[slice]:
        """Return groups of at most so many slices, from the first that holds an atom to the last."""
        occupied = np.flatnonzero(np.diff(self.start)).tolist()
        end = occupied[-1] + 1 if occupied else 0
        return [slice(k, min(k + most, end)) for k in range(occupied[0], end, most)] if occupied else []

    def within(self, batch: slice) -> tuple[Array, Array]:
        """Return the atoms in a batch of slices, and for each the place of its slice among them."""
        chosen = slice(int(self.start[batch.start]), int(self.start[batch.stop]))
        return self.order[chosen], self.slice[chosen] - batch.start
