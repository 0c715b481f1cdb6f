"""The loop around a reconstructor: history, progress, deadline, and the check that nothing is infinite or not a number."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchsuite.contract.algorithm import Context
from benchsuite.contract.reconstructor import AnyReconstructor, Iterate
from benchsuite.data import Fit, Reconstruction, Slices, TiltSeries, Volume
from benchsuite.physics.backend import Array, get_array_module, to_host
from benchsuite.runner.checkpoints import Checkpoints


class CellFailure(Exception):
    """A cell that ends without a result, with its status and the reason for it; `last` is what there was before it went wrong."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason
        self.last: Reconstruction | None = None


def run_loop(
    algorithm: AnyReconstructor, series: TiltSeries, context: Context, notify: Any, checkpoints: Checkpoints | None = None
) -> Reconstruction:
    """Drive a reconstructor to its last iterate, from its latest checkpoint where it left one.

    Raises CellFailure where it refuses, diverges (with the last good state) or breaks the contract.
    """
    name, where = type(algorithm).__name__, " or ".join(algorithm.devices)
    refusal = (
        algorithm.accepts(series) if context.device in algorithm.devices else f"{name} runs on {where}, not on {context.device}"
    )
    if refusal is not None:
        raise CellFailure("skipped", refusal)
    total = algorithm.total_iterations() if context.start is None else algorithm.refined_iterations()
    history: list[tuple[float, float]] = []
    last: Iterate | None = None
    saved = checkpoints.load() if checkpoints else None
    seconds_before = 0.0
    if saved is not None:
        state, saved_history, seconds_before = saved
        history = [(float(iteration), float(loss)) for iteration, loss in saved_history]
        context = dataclasses.replace(context, resumed=state)
        notify(event="resumed", iteration=int(history[-1][0]), total=total)
    started = time.perf_counter() - seconds_before

    def answer(iterate: Iterate) -> Reconstruction:
        volume = None if iterate.volume is None else np.ascontiguousarray(to_host(iterate.volume), dtype=np.float32)
        return Reconstruction(
            volume=None if volume is None else Volume(volume, context.grid.voxel_A),
            atoms=iterate.atoms,
            history=np.array(history, dtype=np.float64).reshape(-1, 2),
            seconds=time.perf_counter() - started,
            slices=None if iterate.slices is None else Slices(**_on_host(vars(iterate.slices))),
            fit=Fit(**_on_host(iterate.fit.arrays())),
            extras=_on_host(iterate.extras),
        )

    for iterate in algorithm.reconstruct(series, context):
        try:
            _check(iterate, algorithm, series, context)
        except CellFailure as failure:
            if failure.status == "diverged" and last is not None and not _overwritten(last, iterate):
                failure.last = answer(last)
                failure.reason += f"; the state of iteration {last.iteration} is kept"
            raise
        last = iterate
        history.append((float(last.iteration), math.nan if last.loss is None else float(last.loss)))
        notify(event="iteration", iteration=last.iteration, total=total, loss=last.loss)
        if checkpoints is not None and last.iteration < total:
            checkpoints.offer(last.state, last.iteration, np.array(history), time.perf_counter() - started)
    if last is None:
        raise CellFailure("error", f"{type(algorithm).__name__} yielded no iterate")
    return answer(last)


def _on_host(arrays: Mapping[str, Array]) -> dict[str, np.ndarray]:
    return {name: to_host(array) for name, array in arrays.items()}


def _check(iterate: Iterate, algorithm: AnyReconstructor, series: TiltSeries, context: Context) -> None:
    if not isinstance(iterate, Iterate):
        raise CellFailure("error", f"yielded {type(iterate).__name__} instead of an Iterate")
    if iterate.loss is not None and not math.isfinite(iterate.loss):
        raise CellFailure("diverged", f"the loss is {iterate.loss} at iteration {iterate.iteration}")
    if iterate.volume is None and iterate.atoms is None:
        raise CellFailure("error", f"iterate {iterate.iteration} has neither volume nor atoms")
    if iterate.volume is not None and tuple(iterate.volume.shape) != context.grid.shape:
        raise CellFailure(
            "error", f"iterate {iterate.iteration} has a volume of shape {tuple(iterate.volume.shape)}, not {context.grid.shape}"
        )
    if algorithm.single_view != (iterate.slices is not None):
        kind = "single views needs" if algorithm.single_view else "tilt series must not answer with"
        raise CellFailure("error", f"iterate {iterate.iteration}: a method for {kind} slices")
    misfit = _misfit(iterate, series, context)
    if misfit:
        raise CellFailure("error", f"iterate {iterate.iteration} has {misfit}")
    if iterate.atoms is not None and not np.isfinite(iterate.atoms.positions).all():
        raise CellFailure("diverged", f"atom positions are not finite at iteration {iterate.iteration}")
    _check_finite(iterate.volume, iterate.iteration)


def _misfit(iterate: Iterate, series: TiltSeries, context: Context) -> str:
    """Return what of the slices and of the fit has another shape than their docstrings say."""
    if (slices := iterate.slices) is not None:
        expected = (len(slices.edges_A) - 1, *context.grid.shape[1:])
        if tuple(slices.phase.shape) != expected:
            return f"slices.phase of shape {tuple(slices.phase.shape)}, not {expected}"
    if (focus_A := iterate.fit.focus_A) is not None and np.shape(focus_A) != series.defocus_A.shape:
        return f"fit.focus_A of shape {np.shape(focus_A)}, not {series.defocus_A.shape}"
    if (r_factor := iterate.fit.r_factor_per_image) is not None and np.ndim(r_factor) != 1:
        return f"fit.r_factor_per_image with {np.ndim(r_factor)} axes, not one"
    return ""


def _overwritten(earlier: Iterate, later: Iterate) -> bool:
    """Whether two iterates share the memory of their volumes: the earlier one is then gone."""
    one, other = earlier.volume, later.volume
    if one is None or other is None:
        return False
    return one is other or bool(get_array_module(one).may_share_memory(one, other))


def _check_finite(volume: Any, iteration: int) -> None:
    if volume is not None and not bool(get_array_module(volume).isfinite(volume).all()):
        raise CellFailure("diverged", f"the volume holds values that are not finite at iteration {iteration}")
