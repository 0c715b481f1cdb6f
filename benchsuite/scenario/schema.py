"""The sections of a scenario on one page; those of the microscope are in `microscope.settings`.

`phantom` and each entry of `reconstructors` are open here: their keys are the `Params` of the registered class they name,
and are validated against it by the loader.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from benchsuite.measured.settings import SeriesFile, Truth
from benchsuite.microscope.settings import Acquisition, Microscope, Simulation, VolumeGrid
from benchsuite.params import AsTuple, Count, Integer, Names, NonNegative, Params, Positive

FigureName = Literal[
    "histogram_grid",
    "slice_grid",
    "convergence",
    "sweep_lines",
    "contact_sheet",
    "diffraction_patterns",
    "fourier_shell",
    "pair_distribution",
    "rmsd_against_atoms",
    "deviation_distribution",
    "deviation_by_depth",
    "deviation_at_depths",
    "uncertainties",
    "difference_images",
    "probe_sections",
    "depth_slices",
    "spectral_amplitude",
]
FIGURES: tuple[FigureName, ...] = get_args(FigureName)


class Analysis(Params):
    species: Names = Field(description="elements to tell apart, lightest first")
    blur_A: NonNegative = Field(0.4, description="standard deviation of the Gaussian applied to the volume before peaks are sought")
    smooth_A: NonNegative = Field(0.3, description="standard deviation of the Gaussian applied before classification")
    minimum_distance_A: Positive = Field(2.0, description="no two traced atoms are nearer than this")
    threshold: float = Field(0.05, ge=0, lt=1, description="weakest peak kept, as a fraction of the strongest peaks")
    peak_fit: Literal["parabola", "polynomial", "gaussian"] = "parabola"
    search_residual: bool = Field(False, description="look again for weak atoms after the strong ones are subtracted")
    mask: Literal["none", "otsu", "particle"] = Field(
        "none", description="discard peaks outside Otsu's mask of the smoothed volume, or of one blurred to the whole particle"
    )
    non_atoms: bool = Field(True, description="seek a class of peaks that are no atoms, where the intensities show one")
    match_cutoff_A: Positive | None = Field(None, description="default: half the nearest-neighbour distance, at most 1.2 Å")
    registration: Literal["shift", "rigid"] = Field("shift", description="what is removed before positions are compared")
    half_sets: bool | None = Field(
        None, description="reconstruct every second tilt, twice, for a Fourier shell correlation; default: where there is no truth"
    )
    metrics: Annotated[tuple[Any, ...], AsTuple] = Field((), description="metrics beyond the built-in scores: name, or name: {...}")


class Limits(Params):
    """Outside the content keys: changing a limit never makes a result stale."""

    time_s: Positive = Field(7200.0, description="a stage that runs longer is killed: status timeout")
    memory_GB: Positive | None = Field(None, description="more is killed: status oom; default: what is free")


class Published(Params):
    """One row that a paper reports: the swept values it belongs to and its scores."""

    where: dict[str, Any] = Field(default_factory=dict, description="swept keys and `reconstructor`, as in results.csv")
    source: str = ""
    rmsd_pm: float | None = None
    tracing_error_pct: float | None = None
    classification_rate_pct: float | None = None
    scores: dict[str, float] = Field(default_factory=dict, description="any other column of results.csv")


class Scenario(Params):
    """A scenario file after scale and overrides are applied, before sweeps are expanded."""

    schema_version: Literal[1] = Field(alias="schema")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    title: str = ""
    description: str = ""
    seed: Integer = 0
    repeats: Count = 1
    redraw: Literal["noise", "all"] = Field("noise", description="what a repeat draws anew: the noise, or the specimen too")
    phantom: dict[str, Any] | Literal["none"] = Field(description="none: the series is one's own, in files")
    series: SeriesFile | None = Field(None, description="with phantom none: the files")
    truth: Truth | None = Field(None, description="with phantom none: atoms to compare with, where they are known")
    phantoms: dict[str, dict[str, Any]] = Field(default_factory=dict, description="Phantoms by name, for `phantom: NAME`")
    experiments: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Settings by name, for `experiment: NAME` of a reconstructor"
    )
    analyses: dict[str, dict[str, Any]] = Field(default_factory=dict, description="Analyses by name, for `analysis: NAME`")
    microscope: Microscope = Field(default_factory=Microscope)
    simulation: Simulation = Field(default_factory=Simulation)
    acquisition: Acquisition | None = Field(None, description="required, but for phantom none")
    grid: VolumeGrid = Field(default_factory=VolumeGrid)
    reconstructors: Annotated[tuple[Any, ...], AsTuple]
    analysis: Analysis
    limits: Limits = Field(default_factory=Limits)
    sweep: Annotated[tuple[dict[str, Any], ...], AsTuple] = ()
    figures: Annotated[tuple[FigureName, ...], AsTuple] = FIGURES
    scales: dict[Literal["smoke", "desk", "paper"], dict[str, Any]] = Field(default_factory=dict)
    published: Annotated[tuple[Published, ...], AsTuple] = ()
