"""The Cramér–Rao bound of the RMSD: the least that any unbiased method can have with the electrons that were counted.

Counts are independent Poisson variables of expectation N I(θ), I the patterns as fractions of N electrons per position. Then every
unbiased estimate of the parameters θ has a covariance of at least (C. R. Rao, Bull. Calcutta Math. Soc. 37 (1945) 81; H. Cramér,
Mathematical Methods of Statistics, Princeton 1946)

    cov θ ≥ (N F)⁻¹,    F = Σ_pixels ∂I ∂Iᵀ / I,    RMSD ≥ √(mean over atoms of the variances along x, y and z)

F is taken at the true atoms, with the multislice model and tabulated potentials, by blocks: position, weight and width of an atom
are unknown together, all other atoms are known, and so are probe, tilts and drift. To know less makes no estimate better, so this
is a lower bound of the bound. Atoms of a substrate are left out, as if they scattered no electrons.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

import numpy as np
from ase import Atoms
from pydantic import Field

from benchsuite.columns import Column
from benchsuite.contract.metric import Metric, Scored
from benchsuite.data import Grid, TiltSeries
from benchsuite.errors import BenchsuiteError
from benchsuite.params import Params, Positive
from benchsuite.physics.backend import thread_count
from benchsuite.physics.gaussians.atoms import Orbitals, View
from benchsuite.physics.gaussians.fisher import covariance
from benchsuite.physics.gaussians.pattern_model import PatternModel
from benchsuite.physics.gaussians.shapes import tabulated

log = logging.getLogger(__name__)

GROUPS_PER_AXIS = 4  # groups of probes along an axis, each an independent estimate of F
MIN_ESTIMATES = 400  # at least; the inverse of a mean of few is too large: the bound of 223 atoms by 1% with 320
SEED = 20  # of the random signs, so that all methods on a series have the same bound


class CramerRaoParams(Params):
    thermal_rms_A: Positive = Field(0.08, description="RMS thermal displacement of the atoms per axis")
    slice_A: Positive = Field(1.6, description="Slice thickness of the multislice model")
    window_A: Positive | None = Field(None, description="Side of the probe window; default: the whole field")


class CramerRao(Metric[CramerRaoParams]):
    """bound_rmsd_pm, and bound_<El>_pm of the atoms of an element.

    nan without a truth, a finite dose or diffraction patterns as the recorded series, where an atom cannot be seen at all, and
    where the model does not fit the series (the log says why).
    """

    Params = CramerRaoParams
    title = "Cramér–Rao lower bound on the RMSD"
    reference = "Rao (1945); Cramér, Mathematical Methods of Statistics (1946)"
    order = 30
    columns = (
        Column(
            "bound_rmsd_pm",
            "Cramér–Rao bound",
            "pm",
            description="Cramér–Rao lower bound on the RMSD",
            bound_of=("rmsd_pm", "ospa_pm"),
        ),
        Column("bound_<El>_pm", "Cramér–Rao bound of <El>", "pm", role="detail", bound_of=("rmsd_<El>_pm",)),
    )

    def measure(self, scored: Scored) -> Mapping[str, float]:
        truth = scored.truth
        series = scored.recorded
        if truth is None or len(truth) == 0:
            return {"bound_rmsd_pm": math.nan}
        symbols = np.array(truth.get_chemical_symbols(), dtype="U2")
        variance = np.full(len(truth), np.nan)
        if series.modality == "4dstem" and math.isfinite(series.dose_e_per_A2):
            try:
                variance = least_variances(truth, series, self.params)
            except (BenchsuiteError, ValueError) as error:  # no potential of an element, or scan, camera and window that do not fit
                log.warning("no Cramér–Rao bound: %s", error)
        of_elements = {f"bound_{el}_pm": rmsd_pm(variance[symbols == el]) for el in sorted(set(symbols.tolist()))}
        return {"bound_rmsd_pm": rmsd_pm(variance), **of_elements}


def least_variances(truth: Atoms, series: TiltSeries, params: CramerRaoParams) -> np.ndarray:
    """Return the least variance of the position of each atom (n,) in Å², x, y and z together; infinite where it is not seen.

    Raises BenchsuiteError for elements without a tabulated potential, ValueError where model and series do not fit each other.
    """
    elements = sorted(set(truth.get_chemical_symbols()))
    found = [tabulated(element, series.optics.energy_keV) for element in elements]
    element_index = np.array([elements.index(symbol) for symbol in truth.get_chemical_symbols()])
    weight = np.array([weight for _, weight in found])[element_index]
    atoms = Orbitals(truth.positions, weight, np.full(len(truth), 2 * params.thermal_rms_A**2))
    tilts, foci = series.data.shape[:2]
    views = [View(rotation, focus, np.zeros(3), np.zeros(2)) for rotation in series.rotations for focus in range(foci)]
    shapes = [shape for shape, _ in found]
    model = PatternModel(series, Grid.over(series), shapes, params.slice_A, window_A=params.window_A, threads=thread_count())
    along = max(GROUPS_PER_AXIS, math.ceil(math.sqrt(MIN_ESTIMATES / (tilts * foci))))
    known = model.information(atoms, views, np.random.default_rng(SEED), along, element_index)
    factors = np.full((len(atoms), 5), 1 / math.sqrt(series.electrons_per_position))
    return np.einsum("nii->n", covariance(known.blocks, factors)[:, :3, :3])


def rmsd_pm(variance_A2: np.ndarray) -> float:
    """Return the root of the mean of variances (n,) in pm; nan where one is not finite."""
    mean = float(variance_A2.mean())
    return 100 * math.sqrt(mean) if math.isfinite(mean) else math.nan
