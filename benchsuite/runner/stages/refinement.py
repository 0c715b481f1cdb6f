"""refinement: a reconstruction that starts from the traced atoms of another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ase import Atoms

from benchsuite.metrics.tracing.classify import NON_ATOM
from benchsuite.runner.stages.atoms import FILE as TRACED
from benchsuite.runner.stages.atoms import AtomsStage
from benchsuite.runner.stages.base import Stage
from benchsuite.runner.stages.reconstruction import ReconstructionStage
from benchsuite.storage import load_atoms


@dataclass(frozen=True)
class RefinementStage(ReconstructionStage):
    """Upstream: the series as it is given, then the atoms to start from; peaks that were taken for no atoms are left out."""

    first: AtomsStage | None = None

    def upstream(self) -> Sequence[Stage]:
        assert self.first is not None
        return (self.given(), self.first)

    def start(self, sources: Sequence[Path]) -> Atoms:
        atoms = load_atoms(sources[1] / TRACED)
        return atoms[[symbol != NON_ATOM for symbol in atoms.get_chemical_symbols()]]
