"""The sections of a scenario on one page; those of the microscope are in `contract.settings`.

`phantom` and each entry of `reconstructors` are open here: their keys are the `Params` of the registered class they name,
and are validated against it by the loader.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from benchsuite import registry
from benchsuite.contract.settings import Acquisition, Microscope, Simulation, VolumeGrid
from benchsuite.errors import choices
from benchsuite.measured.settings import SeriesFile, Truth
from benchsuite.params import AsTuple, Count, Integer, Names, NonNegative, Params, Positive


def _known_figure(name: str) -> str:
    if name not in (known := registry.names("figure")):
        raise ValueError(f"unknown figure {name!r}; {choices(name, known)}")
    return name


FigureName = Annotated[str, AfterValidator(_known_figure)]


class Analysis(Params):
    species: Names = Field(description="Elements of the specimen, lightest first")
    blur_A: NonNegative = Field(0.4, description="Standard deviation of the Gaussian blur before peak finding")
    smooth_A: NonNegative = Field(0.3, description="Standard deviation of the Gaussian blur before classification")
    minimum_distance_A: Positive = Field(2.0, description="Smallest distance between two traced atoms")
    threshold: float = Field(
        0.05, ge=0, lt=1, description="Intensity of the weakest peak that is kept, as a fraction of the strongest peaks"
    )
    peak_fit: Literal["parabola", "polynomial", "gaussian"] = Field("parabola", description="Model of the sub-voxel peak fit")
    search_residual: bool = Field(False, description="Second search for weak atoms after subtraction of the strong ones")
    mask: Literal["none", "otsu", "particle"] = Field(
        "none", description="Mask that discards peaks: Otsu's of the smoothed volume, or one blurred to the extent of the particle"
    )
    non_atoms: bool = Field(True, description="Further class for spurious peaks, if the intensity histogram supports it")
    match_cutoff_A: Positive | None = Field(
        None, description="Largest distance of matched atoms; default: half the nearest-neighbour distance, at most 1.2 Å"
    )
    registration: Literal["shift", "rigid"] = Field(
        "shift", description="Rigid motion removed before positions are compared: shift, or shift and rotation"
    )
    half_sets: bool | None = Field(
        None,
        description="Fourier shell correlation of odd against even tilts; default: only without a ground truth",
    )
    metrics: Annotated[tuple[Any, ...], AsTuple] = Field(
        (), description="Metrics beyond those computed by default: name, or name: {...}"
    )


class Limits(Params):
    """Outside the content keys: changing a limit never makes a result stale."""

    time_s: Positive = Field(7200.0, description="Time limit of a stage, which ends with status timeout beyond it")
    memory_GB: Positive | None = Field(
        None, description="Memory limit of a stage, which ends with status oom beyond it; default: free memory"
    )


class Published(Params):
    """One row that a paper reports: the swept values it belongs to and its scores."""

    where: dict[str, Any] = Field(default_factory=dict, description="Swept keys and `reconstructor`, as in results.csv")
    source: str = ""
    rmsd_pm: float | None = None
    tracing_error_pct: float | None = None
    classification_rate_pct: float | None = None
    scores: dict[str, float] = Field(default_factory=dict, description="Values of other columns of results.csv")


class Scenario(Params):
    """A scenario file after scale and overrides are applied, before sweeps are expanded."""

    schema_version: Literal[1] = Field(alias="schema")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    title: str = ""
    description: str = ""
    seed: Integer = 0
    repeats: Count = 1
    redraw: Literal["noise", "all"] = Field(
        "noise", description="Random draws that a repeat re-samples: noise only, or specimen and noise"
    )
    phantom: dict[str, Any] | Literal["none"] = Field(
        description="Specimen to simulate: a phantom with its parameters, or its name in `phantoms`; none: measured data"
    )
    series: SeriesFile | None = Field(None, description="Measured tilt series in files (requires `phantom: none`)")
    truth: Truth | None = Field(None, description="Ground truth of measured data, if known (requires `phantom: none`)")
    phantoms: dict[str, dict[str, Any]] = Field(default_factory=dict, description="Phantoms by name, for `phantom: NAME`")
    experiments: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Settings by name, for `experiment: NAME` of a reconstructor"
    )
    analyses: dict[str, dict[str, Any]] = Field(default_factory=dict, description="Analyses by name, for `analysis: NAME`")
    microscope: Microscope = Field(default_factory=Microscope)
    simulation: Simulation = Field(default_factory=Simulation)
    acquisition: Acquisition | None = Field(
        None, description="Tilts, scan, detector and dose of the simulation; required unless the data are measured"
    )
    grid: VolumeGrid = Field(default_factory=VolumeGrid)
    reconstructors: Annotated[tuple[Any, ...], AsTuple]
    analysis: Analysis
    limits: Limits = Field(default_factory=Limits)
    sweep: Annotated[tuple[dict[str, Any], ...], AsTuple] = ()
    figures: Annotated[tuple[FigureName, ...], AsTuple] | None = Field(
        None,
        description="Figures of the report by name (see `list figures`), in this order; default: all for which the run has data",
    )
    scales: dict[Literal["smoke", "desk", "paper"], dict[str, Any]] = Field(default_factory=dict)
    published: Annotated[tuple[Published, ...], AsTuple] = ()
