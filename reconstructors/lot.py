"""LOT and nLOT: local-orbital tomography, with one image per tilt or a focal series (n sections), or from diffraction patterns.

    minimise  ε = 1/(2mpq) Σ_images Σ_pixels (I_obs − Σ_k p_k ⊗ O_k)²        (LOT, eqs. 4-5; the model: `orbitals.model`)

over positions, weights and widths of the atoms and, where asked, drifts, tilt angles and probes. Interactions of the paper:

    direct     no probe: the projection of the Gaussians
    rigid      the probe of the optics, propagated in free space to every slice
    adaptive   that probe to begin with, then every pixel of every slice follows the data; each focus has its own

Order of release: from a grid, weights alone, then positions and weights, while orbitals that meet are merged and weak ones removed,
widths towards the end of that; atoms that are given begin with the weights of least squares. Then all together, probes, drifts and
angles from a third of these sweeps on. Before the first of them and after a third, orbitals are merged, removed, and added where
the residual asks for an atom; after two thirds merged and removed. The images of a sweep come in random order, in batches; after
each a step of Adam, whose length falls to zero as a cosine. Probes move once a sweep (`probe_stack`), drifts and angles, too, by
steps of one length. Images whose faintest pixels are not dark have a constant background, which follows in the last sweeps.
`orbitals.schedule` has this in numbers, `orbitals.fit` does it.

    multislice  the same atoms as the object of the multislice model, fitted to 4D-STEM patterns (the loss of MSET)

goes beyond the papers: what is scattered more than once is part of the model, and the answer is atoms. They start from those of
another method, or from the peaks of a quick MSET; they descend together by a quasi-Newton method in coordinates of their Fisher
information, are born and die by the significance of their weights (`multislice_orbitals.census`), and each says how well it is
known (`multislice_orbitals.uncertainty`). `multislice_orbitals.fit` does it.

L. Mao, J. Cui, R. Yu, arXiv:2401.12466 (2024), doi:10.48550/arXiv.2401.12466 (LOT), and "3D reconstruction of a million atoms by
multiple-section local-orbital tomography" (2024, nLOT). D. Kingma, J. Ba, ICLR (2015), arXiv:1412.6980 (Adam).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from ase.data import chemical_symbols
from pydantic import Field, model_validator

from benchsuite.contract import Context, Cost, Iterate, Reconstructor
from benchsuite.data import Grid, Modality, TiltSeries
from benchsuite.params import Count, Names, NonNegative, Params, Positive
from reconstructors.images import reason_to_skip
from reconstructors.multislice import forward_model as patterns
from reconstructors.multislice.objective import Loss
from reconstructors.multislice_orbitals.cost import pattern_cost
from reconstructors.multislice_orbitals.fit import PatternFit
from reconstructors.orbitals.fit import Fit
from reconstructors.orbitals.schedule import GATHERING, GATHERING_SWEEPS, WEIGHT_SWEEPS

Interaction = Literal["direct", "rigid", "adaptive", "multislice"]
OF_PATTERNS = {"iterations": 16, "start": "peaks", "weakest": 0.08, "slice_A": 1.6, "oversampling": 2}  # other defaults for these


class LOTParams(Params):
    interaction: Interaction = Field(
        "adaptive", description="images: no probe (direct), the free-space probe (rigid), one that follows; patterns: multislice"
    )
    iterations: Count = Field(30, description="sweeps over all images after the orbitals have gathered (multislice: 16)")
    start: Literal["grid", "peaks"] = Field("grid", description="a regular grid over the particle, or peaks of a quick tomogram")
    grid_A: Positive = Field(1.0, description="spacing of the grid, at most half the distance of neighbouring atoms")
    merge_A: Positive = Field(1.6, description="orbitals nearer than this are one atom; less than the shortest bond")
    weakest: float = Field(
        0.3, ge=0, lt=1, description="least weight of an atom, of the mean of the strongest 5% (multislice: 0.08)"
    )
    slice_A: Positive = Field(4.0, description="thickness of the slices, each with its own probe (multislice: 1.6)")
    batch: Count = Field(6, description="images per step, about")
    position_step_A: Positive = Field(0.03, description="first step of the positions in the last sweeps")
    weight_step: Positive = Field(0.05, description="first step of the weights, relative to their mean")
    width_step_A2: NonNegative = Field(0.02, description="first step of the widths; 0 keeps them")
    probe_step: Positive = Field(1.5, description="adaptive: step of the probes, relative to the safe one")
    probe_radius_A: Positive | None = Field(None, description="adaptive: where the probe may change; default: its spread and 4 Å")
    initial_defocus: Literal["nominal", "zero"] = Field(
        "nominal", description="zero: probes do not know the focus of their section"
    )
    refine_drift: bool = Field(False, description="shift of every image, once a sweep in the last two thirds of the sweeps")
    refine_angles: bool = Field(False, description="rotation of every tilt, about all three axes, as often")
    drift_step_A: Positive = Field(0.02, description="a drift moves about so far in a sweep, and that only")
    angle_step_deg: Positive = Field(0.03, description="an angle likewise")
    oversampling: Count | None = Field(
        None,
        description="fine pixels per scan step, by default what resolves the probe; multislice: at last, per voxel (2)",
    )
    elements: Names = Field((), description="multislice: whose tabulated potentials atoms may have; default: one shape for all")
    loss: Loss = Field("auto", description="multislice: of the patterns; auto: poisson where the series has a dose")
    window_A: Positive | None = Field(None, description="multislice: side of the window of a probe; default: the whole field")
    refine_probe: bool = Field(False, description="multislice: let the aperture function follow in the last sweeps")

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_patterns(cls, given: Any) -> Any:
        patterns = isinstance(given, dict) and given.get("interaction") == "multislice"
        return {**OF_PATTERNS, **given} if patterns else given

    @model_validator(mode="after")
    def _fits_interaction(self) -> LOTParams:
        if self.interaction == "multislice":
            if self.start == "grid":
                raise ValueError("start: grid is for images; interaction: multislice starts from peaks, or refines other atoms")
        else:
            of_patterns = [name for name in ("elements", "loss", "window_A", "refine_probe") if name in self.model_fields_set]
            changed = [name for name in of_patterns if getattr(self, name) != type(self).model_fields[name].default]
            if changed:
                raise ValueError(f"{changed[0]} is for interaction: multislice, not {self.interaction}")
        unknown = [name for name in self.elements if name not in chemical_symbols[1:]]
        if unknown:
            raise ValueError(f"{unknown[0]} in elements is no chemical symbol")
        return self


class LOT(Reconstructor[LOTParams]):
    """Atoms as Gaussians under a probe that changes with depth.

    The answer is a list of atoms with arrays `intensity` (Å², the integral over the image), `height` and `width_A2`.
    """

    Params = LOTParams
    refines = True
    title = "LOT and nLOT: local-orbital tomography"
    reference = "Mao, Cui & Yu (2024), doi:10.48550/arXiv.2401.12466"

    def takes(self) -> tuple[Modality, ...]:
        return ("4dstem",) if self.params.interaction == "multislice" else self.modalities

    def accepts(self, series: TiltSeries) -> str | None:
        if self.params.interaction == "multislice":
            return patterns.reason_to_skip("LOT", series) or _too_few(series) or patterns.too_far_apart("LOT", series)
        reason = super().accepts(series) or reason_to_skip("LOT", series)
        if reason is not None:
            return reason
        if few := _too_few(series):
            return few
        empty = np.argwhere(~series.data.any(axis=(2, 3)))
        if 0 < len(empty) < series.data.shape[0] * series.data.shape[1]:
            tilt, focus = empty[0]
            return (
                f"LOT needs every section of every tilt: {len(empty)} images are empty, the first at tilt {tilt}, defocus "
                f"{series.defocus_A[focus]:g} Å"
            )
        return None

    def total_iterations(self) -> int:
        if self.params.interaction == "multislice":
            return self.params.iterations
        gathering = WEIGHT_SWEEPS + GATHERING_SWEEPS * len(GATHERING) if self.params.start == "grid" else 0
        return gathering + self.params.iterations

    def refined_iterations(self) -> int:
        return self.params.iterations

    def reconstruct(self, series: TiltSeries, context: Context) -> Iterator[Iterate]:
        fit = PatternFit if self.params.interaction == "multislice" else Fit
        return fit(self.params, series, context).run()

    def cost(self, series_shape: tuple[int, ...], grid: Grid) -> Cost:
        p, images = self.params, math.prod(series_shape[:2])
        if p.interaction == "multislice":
            return pattern_cost(p, series_shape, grid) if len(series_shape) == 6 else super().cost(series_shape, grid)
        ny, nx = series_shape[2:4]
        field_A = max(ny, nx) * grid.voxel_A  # of voxels as wide as the scan step
        particle = 0.35 * field_A**3  # Å³: a sphere of most of the field
        atoms, blobs = DENSITY * particle, particle / p.grid_A**3
        pixels = 4.0 * ny * nx
        slices = 0.0 if p.interaction == "direct" else 0.85 * field_A / p.slice_A
        transforms = PLANE_S * (slices + 1) * pixels * math.log2(pixels) * (1 if 4 * pixels < CACHE_BYTES else 2)
        early = WEIGHT_SWEEPS + 2 if p.start == "grid" else 0
        sweeps = self.total_iterations() + 0.5
        with_probes = p.iterations / 3 if p.interaction == "adaptive" else 0.0  # which take half as long again
        seconds = images * ((sweeps + with_probes) * transforms + ORBITAL_S * (early * blobs + (sweeps - early) * atoms))
        held = ORBITAL_BYTES * (blobs if p.start == "grid" else atoms) + 12.0 * images * ny * nx
        stacks = {"direct": 0, "rigid": series_shape[1] + 1, "adaptive": series_shape[1] + 3}[p.interaction]
        return Cost(1.0 + seconds, 1e8 + held + 4.0 * pixels * slices * stacks)


def _too_few(series: TiltSeries) -> str | None:
    few = len(series.rotations)
    return f"LOT needs at least 2 tilts to place atoms in depth, the series has {few}" if few < 2 else None


DENSITY = 0.06  # atoms per Å³
PLANE_S = 4.0e-10  # per fine pixel and its log2, slice and image: both transforms and products
CACHE_BYTES = 8e6  # planes beyond it are transformed half as fast
ORBITAL_S = 6.0e-7  # per orbital and image: splat and gather
ORBITAL_BYTES = 1000.0  # with gradients, averages and the search for neighbours
