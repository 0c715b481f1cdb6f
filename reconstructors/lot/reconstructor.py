"""LOT and nLOT: local-orbital tomography, with one image per tilt or a focal series (n sections), or from diffraction patterns.

    minimise  ε = 1/(2mpq) Σ_images Σ_pixels (I_obs − Σ_k p_k ⊗ O_k)²        (LOT, eqs. 4-5; the model: `image_model`)

over positions, weights and widths of the atoms and, on request, drifts, tilt angles and probes. Interactions of the paper:

    direct     no probe: the projection of the Gaussians
    rigid      the probe of the optics, propagated in free space to every slice
    adaptive   that probe to begin with, then every pixel of every slice follows the data; each focus has its own

Order of release: from a grid, weights alone, then positions and weights, while orbitals that meet are merged and weak ones removed,
widths towards the end of that; atoms that are given begin with the weights of least squares. Then all together, probes, drifts and
angles from a third of these iterations on. Before the first of them and after a third, orbitals are merged, removed, and added
where the residual shows that one is missing; after two thirds merged and removed. The images of an iteration come in random order,
in batches; after each a step of Adam, whose length falls to zero as a cosine. Probes move once per iteration (`probe_stack`), and
so do drifts and angles, by steps of one length. Images whose faintest pixels are not dark have a constant background, which follows
in the last iterations. `plan` has this in numbers, `image_fit` does it.

    multislice  the same atoms as the object of the multislice model, fitted to 4D-STEM patterns (the loss of MSET)

goes beyond the papers: what is scattered more than once is part of the model, and the answer is atoms. They start from those of
another method, or from the peaks of a quick MSET; they descend together by a quasi-Newton method in coordinates of their Fisher
information, are added and removed by the significance of their weights (`model_selection`), and have standard deviations
(`physics.gaussians.fisher`). `pattern_fit` does it.

L. Mao, J. Cui, R. Yu, arXiv:2401.12466 (2024), doi:10.48550/arXiv.2401.12466 (LOT), and "3D reconstruction of a million atoms by
multiple-section local-orbital tomography" (2024, nLOT). D. Kingma, J. Ba, ICLR (2015), arXiv:1412.6980 (Adam).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchsuite.contract.algorithm import Context
from benchsuite.contract.plug import Cost
from benchsuite.contract.reconstructor import Iterate, Reconstructor
from benchsuite.data import Grid, Modality, TiltSeries
from benchsuite.reconstructors.checks import reason_of_sparse_scan, reason_to_skip, reason_to_skip_patterns
from benchsuite.reconstructors.lot.cost import image_cost, pattern_cost
from benchsuite.reconstructors.lot.image_fit import ImageFit
from benchsuite.reconstructors.lot.params import LOTParams
from benchsuite.reconstructors.lot.pattern_fit import PatternFit
from benchsuite.reconstructors.lot.plan import gathering_iterations


class LOT(Reconstructor[LOTParams]):
    """Atoms as Gaussians under a probe that changes with depth, or as what scatters it slice by slice.

    The answer is a list of atoms with arrays `intensity` and `width_A2`. Of images the intensity is the integral over the image,
    Å², and there is the peak, `height`; of patterns it is the integral of the potential, V Å³, and there are standard deviations:
    `uncertainty_pm` (n, 3) along x, y, z, `intensity_uncertainty`, and with a dose `counting_uncertainty_pm` (n, 3).
    """

    Params = LOTParams
    refines = True
    title = "LOT and nLOT: local-orbital tomography"
    reference = "Mao, Cui & Yu (2024), doi:10.48550/arXiv.2401.12466"

    def takes(self) -> tuple[Modality, ...]:
        return ("4dstem",) if self.params.interaction == "multislice" else self.modalities

    def accepts(self, series: TiltSeries) -> str | None:
        if self.params.interaction == "multislice":
            return reason_to_skip_patterns("LOT", series) or _too_few(series) or reason_of_sparse_scan("LOT", series)
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
        return (gathering_iterations() if self.params.start == "grid" else 0) + self.params.iterations

    def refined_iterations(self) -> int:
        return self.params.iterations

    def reconstruct(self, series: TiltSeries, context: Context) -> Iterator[Iterate]:
        fit = PatternFit if self.params.interaction == "multislice" else ImageFit
        return fit(self.params, series, context).run()

    def cost(self, series_shape: tuple[int, ...], grid: Grid) -> Cost:
        p = self.params
        if p.interaction == "multislice":
            return pattern_cost(p, series_shape, grid) if len(series_shape) == 6 else super().cost(series_shape, grid)
        return image_cost(p, series_shape, grid)


def _too_few(series: TiltSeries) -> str | None:
    few = len(series.rotations)
    return f"LOT needs at least 2 tilts to place atoms in depth, the series has {few}" if few < 2 else None
