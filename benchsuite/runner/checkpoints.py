"""What an interrupted reconstruction goes on from: its latest state, in the store, sealed and verified like any entry.

Two slots are written in turn, so that a kill while one is replaced leaves the other. Of one that diverged, the last good state is
kept to be looked at.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

import numpy as np

from benchsuite.data import Reconstruction
from benchsuite.physics.backend import Array, to_host
from benchsuite.storage import load_arrays, save_arrays, save_reconstruction
from benchsuite.store import Key, Store

STAGE = "checkpoint"
LAST_GOOD = "diverged"
FOLDER = "state.zarr"
EVERY_S = 30.0
VARIABLE = "BENCHSUITE_CHECKPOINT_S"  # another interval


class Checkpoints:
    """The checkpoints of one reconstruction, named after its key."""

    def __init__(self, store: Store, key: Key, every_s: float | None = None) -> None:
        self.store, self.key = store, key
        self.every_s = float(os.environ.get(VARIABLE, EVERY_S)) if every_s is None else every_s
        self.slots = [Key(STAGE, key.inputs, f"{key.code}-{slot}") for slot in range(2)]
        self.saved, self.latest = 0, time.monotonic()

    def offer(self, state: Mapping[str, Array], iteration: int, history: np.ndarray, seconds: float) -> None:
        """Save the state of an iteration where the last one is old enough; a method without a state has no checkpoints."""
        if not state or time.monotonic() - self.latest < self.every_s:
            return
        slot = self.slots[self.saved % 2]
        arrays = {f"state_{name}": to_host(array) for name, array in state.items()}
        self.store.discard(slot)
        with self.store.writing(slot, {"stage": STAGE}) as folder:
            save_arrays(folder / FOLDER, {**arrays, "history": history}, {"iteration": iteration, "seconds": seconds})
        self.saved, self.latest = self.saved + 1, time.monotonic()

    def load(self) -> tuple[dict[str, np.ndarray], np.ndarray, float] | None:
        """Return (state, history, seconds) of the latest undamaged checkpoint, or None."""
        found = [load_arrays(folder / FOLDER) for slot in self.slots if (folder := self.store.open(slot)) is not None]
        if not found:
            return None
        arrays, about = max(found, key=lambda one: one[1]["iteration"])
        state = {name.removeprefix("state_"): array for name, array in arrays.items() if name.startswith("state_")}
        return state, arrays["history"], float(about["seconds"])

    def keep_last_good(self, result: Reconstruction) -> None:
        """Save what a reconstruction had before it diverged, and forget what it would go on from."""
        self.clear()
        key = last_good_key(self.key)
        self.store.discard(key)
        with self.store.writing(key, {"stage": LAST_GOOD}) as folder:
            save_reconstruction(folder / LAST_GOOD, result)

    def clear(self) -> None:
        """Forget them: the reconstruction is done."""
        for slot in self.slots:
            self.store.discard(slot)


def last_good_key(key: Key) -> Key:
    """Return where the last good state of a reconstruction that diverged is kept."""
    return Key(LAST_GOOD, key.inputs, key.code)
