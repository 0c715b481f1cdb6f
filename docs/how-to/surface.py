"""RMSD of the atoms at the surface and of those inside, a metric with two columns and a parameter.

An atom is at the surface if it has fewer true neighbours than `neighbours` within 1.25 times the median nearest-neighbour distance.
Try it: benchsuite run quickstart --plugin surface.py --set 'analysis.metrics=[surface]'
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pydantic import Field
from scipy.spatial import cKDTree

from benchsuite import Column, Count, Metric, Params, Scored


class SurfaceParams(Params):
    neighbours: Count = Field(10, description="an atom with fewer is at the surface; 12 is a full shell of fcc")


class Surface(Metric[SurfaceParams]):
    Params = SurfaceParams
    title = "RMSD of matched atoms at the surface, and of those inside"
    reference = "docs/how-to/add-a-metric.md"
    columns = (
        Column("surface_rmsd_pm", "RMSD of surface atoms", "pm", "lower"),
        Column("inside_rmsd_pm", "RMSD of atoms inside", "pm", "lower"),
    )

    def measure(self, scored: Scored) -> Mapping[str, float]:
        if scored.truth is None or scored.traced is None or len(scored.truth) < 2:
            return {}
        tree = cKDTree(scored.truth.positions)
        nearest = np.median(tree.query(scored.truth.positions, k=2)[0][:, 1])
        count = tree.query_ball_point(scored.truth.positions, 1.25 * nearest, return_length=True) - 1
        outside = count[scored.pairs[:, 0]] < self.params.neighbours
        return {"surface_rmsd_pm": rms_pm(scored.distance_A[outside]), "inside_rmsd_pm": rms_pm(scored.distance_A[~outside])}


def rms_pm(error_A: np.ndarray) -> float:
    """Return the root mean square in pm of errors in Å; nan of none."""
    return 100 * float(np.sqrt((error_A**2).mean())) if len(error_A) else float("nan")
