"""series: measured data, brought from their files into the store tilt by tilt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite import registry
from benchsuite.content_hash import content_hash
from benchsuite.contract.plug import Cost
from benchsuite.data import Modality, TiltSeries
from benchsuite.errors import BenchsuiteError
from benchsuite.measured.series import check_fractions, levelled, open_measured
from benchsuite.measured.settings import SeriesFile, dump
from benchsuite.physics.detector import virtual_images
from benchsuite.runner.stages.base import Bench, SeriesSource, Stage
from benchsuite.runner.stages.phantom import class_version
from benchsuite.scenario import Experiment
from benchsuite.scenario.cells import MeasuredData
from benchsuite.storage import SERIES, save_series

BYTES_PER_S = 1e8  # of float32, converted, compressed and written
NAMES_ONLY = {"label", "file", "files"}  # content counts, not its name


@dataclass(frozen=True, eq=False)
class MeasuredSeriesStage(SeriesSource):
    """A series in files; `modality` adf of a 4dstem series: its virtual images."""

    name = "series"
    shared = True

    experiment: Experiment
    modality: Modality

    def measured(self) -> MeasuredData:
        """Return the files of the experiment and their description. Raises ValueError for a simulated one."""
        if self.experiment.measured is None:
            raise ValueError("a simulated series has no files")
        return self.experiment.measured

    def inputs(self) -> Mapping[str, Any]:
        measured = self.measured()
        section = {name: value for name, value in dump(measured.series).items() if name not in NAMES_ONLY}
        if isinstance(section.get("tilts"), dict):
            section["tilts"] = {name: value for name, value in section["tilts"].items() if name != "file"}
        return {"content": list(measured.content()), "section": section, "modality": self.modality}

    def code(self) -> dict[str, str]:
        return class_version(type(self), *(registry.reader(name) for name in self.measured().readers))

    def upstream(self) -> Sequence[Stage]:
        return ()

    def shape(self) -> tuple[int, ...]:
        e, acquisition = self.experiment, self.experiment.acquisition
        patterns = acquisition.camera.pixels if self.modality == "4dstem" else ()
        tilts = len(acquisition.tilts.matrices or ())
        return (tilts, len(e.microscope.defoci_A), *acquisition.scan.positions, *patterns)

    def cost(self) -> Cost:
        recorded = float(np.prod([len(self.experiment.microscope.defoci_A), *self.experiment.acquisition.scan.positions]))
        if self.measured().modality == "4dstem":
            recorded *= float(np.prod(self.experiment.acquisition.camera.pixels))
        passes = 1 + (self.measured().series.background == "minimum") + (self.measured().series.normalise == "patterns")
        return Cost(0.5 + 4 * recorded * self.shape()[0] * passes / BYTES_PER_S, 2e8 + 24 * recorded)

    def make(self, folder: Path, sources: Sequence[Path], bench: Bench) -> None:
        measured = self.measured()
        section = measured.series
        series = levelled(open_measured(section), section)
        if self.modality == measured.modality:
            save_series(folder / SERIES, _checked(series, section), series)
        else:
            ring = section.detector_mrad or (0.0, 0.0)
            images = (virtual_images(one, *ring)[0] for one in _tilts(series, section))
            shape = series.data.shape[:4]
            virtual = replace(
                series,
                modality="adf",
                data=np.broadcast_to(np.float32(0), shape),
                detector_mrad=ring,
                reciprocal_step_per_A=None,
            )
            save_series(folder / SERIES, images, virtual)
        if tuple(content_hash(Path(file)) for file in measured.files) != measured.content():
            raise BenchsuiteError(f"{measured.files[0]}: was changed while it was read; run the same command again")


def _checked(series: TiltSeries, section: SeriesFile) -> Iterator[np.ndarray]:
    for tilt in range(len(series.data)):
        data = series.data[tilt]
        check_fractions(data, section, series.modality)
        yield data


def _tilts(series: TiltSeries, section: SeriesFile) -> Iterator[TiltSeries]:
    """The series of one tilt each, their data in memory."""
    for tilt, data in enumerate(_checked(series, section)):
        yield replace(series, data=data[None], rotations=series.rotations[tilt : tilt + 1])
