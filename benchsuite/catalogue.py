"""What `list` and `info` show of everything registered, and of scenarios: titles, references, parameters."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from benchsuite import registry
from benchsuite.contract.settings import Simulation
from benchsuite.errors import UnknownNameError
from benchsuite.params import Params
from benchsuite.phantoms.substrate import Substrate
from benchsuite.results import LEADING, SCORES
from benchsuite.scenario import library
from benchsuite.scenario.positions import read_document

METRICS = {
    "rmsd_pm": "root mean square distance of matched atoms after the common shift is removed (pm)",
    "ospa_pm": "the same with every unmatched atom counted at the cut-off of the matching: what methods are ranked by (pm)",
    "tracing_error_pct": "(false positives + missed) / true atoms (%)",
    "classification_rate_pct": "correctly classified / true atoms (%)",
    "recall_<El>_pct": "true atoms of an element that were found (%)",
    "r_factor": "Σ|I − I_calc| / Σ|I| of the volume's projections, one scale for the series; against the preprocessed series",
    "resolution_fsc_A": "where the Fourier shell correlation with the truth falls below 0.5 (Å)",
    "resolution_half_sets_A": "where the Fourier shell correlation of reconstructions of half the tilts each falls below 0.143 (Å)",
    "n_ambiguous": "traced atoms whose element their intensity, with its stated uncertainty, does not tell with 95% probability",
    "n_traced": "atoms traced, non-atoms left out; n_traced_<El>: taken for an element (without a truth)",
    "registration_fit": "how well a truth of unknown frame fits the traced atoms, from 0 to 1; registration_mirrored_fit: mirrored",
    "resolution_<x|y|z>_A": "last peak of the 3D spectral amplitude along an axis of the specimen (Å)",
    "sites_found_<El>_pct": "true sites from which a maximum of the volume of their own is reached uphill (%)",
    "site_displacement_pm": "mean distance from found sites to their maxima (pm); site_displacement_<x|y|z>_pm: mean |component|",
    "lattice_rotation_deg": "between the true crystal and the lattice that Bragg peaks of the volume show (degrees)",
    "lattice_strain_pct": "largest principal strain of that lattice against the true one (%)",
    "phase_correlation": "of phases, as they are before alignment, with the true ones of each view: Pearson's, on average",
    "alignment_error_px": "RMS error per axis of the shifts that an alignment found (pixels), a common translation removed",
    "alignment_error_deg": "RMS error of its rotations (°), a common rotation removed",
    "slice_correlation": "the same of the worst slice that holds atoms",
    "slice_confusion": "of a slice with the true phase of another slice, at worst",
    "focus_error_A": "how far the planes where fitted probes are sharpest are from the true foci, at worst (Å)",
    "bond_length_error_pm": "root mean square error of nearest-neighbour bond lengths (pm)",
    "reconstruct_s": "time of the reconstruction (s)",
    "peak_memory_mb": "peak resident memory of the reconstruction (MB)",
}
MORE_COLUMNS = (  # of the results table, beside the metrics that `list` shows
    "match_cutoff_A",
    "shift_<x|y|z>_A",
    "rotation_deg",
    "identified_<El>_pct",
    "rmsd_<El>_pm",
    "site_displacement_<x|y|z>_pm",
)
CLASSES = ("phantom", "simulator", "preprocessing", "reconstructor", "metric", "figure", "reader")
KINDS = (*(registry.GROUPS[kind].removeprefix("benchsuite.") for kind in CLASSES), "scenarios")


def entries(what: str) -> Sequence[tuple[str, str]]:
    """Return (name, title) of all phantoms, simulators, preprocessing steps, reconstructors, metrics, figures or scenarios."""
    if what in KINDS[:-1]:
        kind = CLASSES[KINDS.index(what)]
        built_in = METRICS.items() if kind == "metric" else ()
        return [*built_in, *((name, registry.registered(kind, name).title) for name in registry.names(kind))]
    if what == "scenarios":
        return [(name, _title(name)) for name in library.names()]
    raise UnknownNameError("list", what, KINDS)


def describe(name: str) -> str:
    """Return the description of anything that has a name. Raises UnknownNameError."""
    found = [_describe_class(kind, name) for kind in reversed(CLASSES) if name in registry.names(kind)]
    if found:
        return "\n\n".join(found)
    if name in METRICS:
        return f"{name}: {METRICS[name]}"
    if name in library.names():
        value = read_document(library.resolve(name)).value
        return f"{name}: {value.get('title', '')}\n{value.get('description', '')}".rstrip()
    everything = [*(name for kind in CLASSES for name in registry.names(kind)), *METRICS, *library.names()]
    raise UnknownNameError("name", name, everything)


def is_built_in(column: str) -> bool:
    """Whether the results table uses that name for something of its own in any run."""
    return any(re.fullmatch(pattern, column) for pattern in _patterns())


@functools.cache
def _patterns() -> tuple[str, ...]:
    names = [*LEADING, *SCORES, *METRICS, *MORE_COLUMNS]
    patterns = {"<El>": "[A-Z][a-z]?", "<x|y|z>": "[xyz]"}
    return tuple(re.sub("<.*>", lambda found: patterns.get(found[0], r"\w+"), name) for name in names)


def _describe_class(kind: str, name: str) -> str:
    cls = registry.registered(kind, name)
    lines = [f"{name} ({kind}): {cls.title}", f"reference: {cls.reference}"]
    if kind == "reader":
        written = [what for what, format in (("stacks and volumes", "stack"), ("whole series", "series")) if cls.writes(format)]
        return "\n".join([*lines, f"suffixes: {' '.join(cls.suffixes)}", f"can be written: {', '.join(written) or 'no'}"])
    if kind == "metric":
        better = "" if cls.direction == "neither" else f"; {cls.direction} is better"
        lines.append(f"unit: {cls.unit or 'none'}{better}")
    if kind == "simulator":
        lines.append(f"makes: {', '.join(cls.modalities)}")
    if kind == "figure":
        needs = ", ".join(sorted(cls.needs)) or "nothing in particular"
        return "\n".join([*lines[: 2 if cls.reference else 1], cls.caption, f"drawn where a run has: {needs}"])
    lines += ["parameters:", *_described(cls.Params)] if cls.Params.model_fields else ["parameters: none"]
    if kind == "simulator":
        lines += [
            "settings of all engines that it reads (simulation: {...}):",
            *_described(Simulation, ("engine", "params", *cls.unread)),
        ]
    if kind == "phantom":
        lines += ["on a film, of any phantom (substrate: {...}):", *_described(Substrate)]
    return "\n".join(lines)


def _described(params: type[Params], hidden: Sequence[str] = ()) -> list[str]:
    lines = []
    for key, field in params.model_fields.items():
        if key in hidden:
            continue
        default = "required" if field.is_required() else f"default {field.default!r}"
        lines.append(f"  {key:<22} {default:<24} {field.description or ''}".rstrip())
    return lines


def _title(name: str) -> str:
    value = read_document(library.resolve(name)).value
    return str(value.get("title", "")) if isinstance(value, dict) else ""
