"""What a piece of work will cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """A prediction: `seconds` on one core of a reference machine, `bytes` of peak memory beyond the interpreter's."""

    seconds: float
    bytes: float
