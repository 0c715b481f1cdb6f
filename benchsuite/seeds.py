"""Random generators: every draw is seeded from (base seed, what, repeat, index), never from a reconstructor."""

from __future__ import annotations

import hashlib

import numpy as np


def seed_for(base: int, what: str, repeat: int = 0, index: int = 0) -> int:
    """Return a 63-bit seed that depends on all four arguments and on nothing else."""
    digest = hashlib.sha256(f"{base}/{what}/{repeat}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(base: int, what: str, repeat: int = 0, index: int = 0) -> np.random.Generator:
    """Return the generator for one purpose ("phantom", "phonons", "dose", …), repeat and item."""
    return np.random.default_rng(seed_for(base, what, repeat, index))
