"""The figures of a report by the names that a scenario uses. Each is a function of a run that returns figures by slug."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from benchsuite.reports.figures.atoms_grid import histogram_grid, slice_grid
from benchsuite.reports.figures.contact_sheet import contact_sheet
from benchsuite.reports.figures.curves import convergence, fourier_shell, pair_distribution
from benchsuite.reports.figures.depth_slices import depth_slices
from benchsuite.reports.figures.deviations import deviation_at_depths, deviation_by_depth, deviation_distribution
from benchsuite.reports.figures.diffraction_patterns import diffraction_patterns
from benchsuite.reports.figures.local_orbitals import difference_images, probe_sections
from benchsuite.reports.figures.size import rmsd_against_atoms
from benchsuite.reports.figures.spectrum import spectral_amplitude
from benchsuite.reports.figures.sweep_lines import sweep_lines
from benchsuite.reports.figures.uncertainties import uncertainties
from benchsuite.results import Run

FIGURES: dict[str, Callable[[Run], dict[str, Figure]]] = {
    "slice_grid": slice_grid,
    "histogram_grid": histogram_grid,
    "sweep_lines": sweep_lines,
    "depth_slices": depth_slices,
    "rmsd_against_atoms": rmsd_against_atoms,
    "deviation_distribution": deviation_distribution,
    "deviation_by_depth": deviation_by_depth,
    "deviation_at_depths": deviation_at_depths,
    "uncertainties": uncertainties,
    "difference_images": difference_images,
    "probe_sections": probe_sections,
    "convergence": convergence,
    "fourier_shell": fourier_shell,
    "spectral_amplitude": spectral_amplitude,
    "pair_distribution": pair_distribution,
    "diffraction_patterns": diffraction_patterns,
    "contact_sheet": contact_sheet,
}
OF_ATOMS = (
    "slice_grid", "histogram_grid", "rmsd_against_atoms", "deviation_distribution", "deviation_by_depth", "deviation_at_depths",
    "uncertainties", "fourier_shell", "spectral_amplitude", "pair_distribution",
)  # fmt: skip
OF_TRUTH = ("rmsd_against_atoms", "deviation_distribution", "deviation_by_depth", "deviation_at_depths", "uncertainties")


def wanted(run: Run) -> list[str]:
    """Return the names of the figures that a scenario asks for and its answers can fill."""
    chosen = run.scenario.get("figures") or list(FIGURES)
    left_out = {*(OF_ATOMS if run.without_atoms else ()), *(OF_TRUTH if run.without_truth else ())}
    return [name for name in FIGURES if name in chosen and name not in left_out]
