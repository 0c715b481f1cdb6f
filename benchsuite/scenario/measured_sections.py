"""From the sections `series` and `truth` to what the files hold, as the sections that would describe a simulation."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite.content_hash import content_stamp
from benchsuite.errors import BenchsuiteError, Problem
from benchsuite.measured.settings import NO_PHANTOM, SeriesFile, Truth
from benchsuite.scenario.cells import MeasuredData
from benchsuite.scenario.positions import Document, KeyPath
from benchsuite.scenario.validation import validate

DESCRIBED = ("microscope", "simulation", "acquisition")
PATHS: tuple[KeyPath, ...] = (("series", "file"), ("series", "files"), ("series", "tilts", "file"), ("truth", "file"))
Description = tuple[dict[str, Any], str, tuple[str, ...], tuple[str, ...]]  # sections, in words, files, readers
PLACEHOLDER = {"tilts": {"angles_deg": [0.0]}}  # where the files cannot be read


def is_measured(raw: Mapping[str, Any]) -> bool:
    """Whether a scenario is about a series in files."""
    return raw.get("phantom") == NO_PHANTOM


def check_combination(document: Document, problems: list[Problem]) -> None:
    """Add a problem for every section that belongs to the other kind of scenario."""
    raw = document.value
    if not is_measured(raw):
        message = "only applies to measured data (phantom: none)"
        problems += [document.problem((name,), message) for name in ("series", "truth") if name in raw]
        if "acquisition" not in raw:
            problems.append(Problem(document.place(()), "acquisition", "is missing"))
        return
    if "series" not in raw:
        problems.append(Problem(document.place(("phantom",)), "series", "is missing: phantom: none needs data files"))
    if raw.get("repeats", 1) not in (1, 1.0):
        message = f"{raw['repeats']!r}: a measured series has no noise to re-sample; allowed: 1"
        problems.append(document.problem(("repeats",), message))


def absolute(document: Document) -> None:
    """Make the paths of the document's data files absolute: relative to the scenario, in a --set to the working folder."""
    for path in PATHS:
        section: Any = document.value
        for part in path[:-1]:
            section = section.get(part) if isinstance(section, dict) else None
        if isinstance(section, dict) and path[-1] in section:
            base = Path.cwd() if document.place(path).startswith("--set ") else Path(document.source).absolute().parent
            given = section[path[-1]]
            made = [_joined(base, one) for one in given] if isinstance(given, list) else _joined(base, given)
            document.value = _with(document.value, path, made)


def measured_sections(document: Document, problems: list[Problem]) -> tuple[dict[str, Any], MeasuredData | None]:
    """Return the raw sections that describe the series of a document, and where it is; adds what is wrong to the problems."""
    raw, before = document.value, len(problems)
    for name in DESCRIBED:
        if name in raw:
            message = "only applies to simulations; describe measured data in series"
            problems.append(document.problem((name,), message))
    described = {name: value for name, value in raw.items() if name not in DESCRIBED} | {"acquisition": PLACEHOLDER}
    section = validate(SeriesFile, raw["series"], document, ("series",), problems) if "series" in raw else None
    truth = validate(Truth, raw["truth"], document, ("truth",), problems) if raw.get("truth") is not None else None
    if truth is not None and not Path(truth.file).is_file():
        problems.append(document.problem(("truth", "file"), f"{truth.file}: no such file"))
    if section is None or len(problems) > before:
        return described, None
    try:
        sections, description, files, readers = _described(section, _stamps(section))
    except BenchsuiteError as error:
        key, text = str(getattr(error, "key", "series")), str(getattr(error, "message", error))
        problems.append(document.problem(tuple(key.split(".")), text))
        return described, None
    kind = sections.pop("kind")
    found = MeasuredData(series=section, modality=kind, files=files, readers=readers, description=description, truth=truth)
    return {**described, **sections}, found


def in_words_of_series(message: str) -> str:
    """Return a message about the description of a series with the keys that its files are described by."""
    keys = {"acquisition.scan.step_A": "series.scan_step_A", "acquisition.detector.inner_mrad": "series.detector_mrad"}
    key, colon, rest = message.partition(":")
    return f"{keys.get(key, key)}{colon}{rest}"


def _stamps(section: SeriesFile) -> str:
    """Something that differs when a file has changed: a series is described once, however many cells there are."""
    tilts = section.tilting.file
    named = [section.file, tilts, *(section.files if isinstance(section.files, tuple) else ())]
    return repr([content_stamp(Path(one)) for one in named if one is not None])


@functools.lru_cache(maxsize=64)
def _described_json(section: str, _stamps: str) -> Description:
    from benchsuite.measured.series import open_measured

    settings = SeriesFile.model_validate_json(section)
    measured = open_measured(settings)
    series = measured.series
    ring = settings.detector_mrad if settings.detector_mrad is not None else series.detector_mrad
    annulus = None if ring is None else {"inner_mrad": float(ring[0]), "outer_mrad": float(ring[1])}
    acquisition: dict[str, Any] = {
        "mode": "4dstem" if series.modality == "4dstem" else "adf",
        "tilts": {"matrices": np.asarray(series.rotations, dtype=np.float64).tolist()},
        "scan": {"step_A": series.scan_step_A, "positions": list(series.scan_shape)},
        "detector": annulus,
        "dose_e_per_A2": series.dose_e_per_A2,
    }
    if series.modality == "4dstem":
        acquisition["camera"] = {"pixels": list(series.data.shape[4:]), "field_A": 1 / (series.reciprocal_step_per_A or 1.0)}
    optics = {**vars(series.optics), "aberrations_A": dict(series.optics.aberrations_A), "defocus_A": series.defocus_A.tolist()}
    description = "; ".join([measured.description, *measured.remarks])
    sections = {"kind": series.modality, "acquisition": acquisition, "microscope": optics}
    return sections, description, tuple(map(str, measured.files)), measured.readers


def _described(section: SeriesFile, stamps: str) -> Description:
    sections, description, files, readers = _described_json(section.model_dump_json(), stamps)
    return dict(sections), description, files, readers


def _joined(base: Path, given: Any) -> Any:
    return str(base / given) if isinstance(given, str) and given else given


def _with(raw: Mapping[str, Any], path: KeyPath, value: Any) -> dict[str, Any]:
    first, *rest = path
    inner = value if not rest else _with(raw[str(first)], tuple(rest), value)
    return {**raw, str(first): inner}
