"""What all plugs have in common: a title, a reference, and frozen parameters; and what a piece of their work costs."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from benchsuite.params import Params

P = TypeVar("P", bound=Params)


class Plug(ABC, Generic[P]):
    """Base of everything that is registered by a name. `Params` are validated, and part of the key of what is made with them."""

    Params: ClassVar[type[Params]] = Params
    title: ClassVar[str]
    reference: ClassVar[str]

    def __init__(self, params: P | None = None) -> None:
        self.params: P = params if params is not None else self.Params()  # type: ignore[assignment]


@dataclass(frozen=True)
class Cost:
    """A prediction: `seconds` on one core of a reference machine, `bytes` of peak memory beyond the interpreter's."""

    seconds: float
    bytes: float
