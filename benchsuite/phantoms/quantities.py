"""Types of the parameters of specimens, and how large one may be: what nobody could build is refused before memory is asked for."""

from __future__ import annotations

from typing import Annotated

from ase.data import chemical_symbols
from pydantic import AfterValidator, Field

from benchsuite.errors import BenchsuiteError
from benchsuite.params import Count

MAX_SITES = 50_000_000  # fifty times the largest specimen of the papers

AtomCount = Annotated[Count, Field(le=5_000_000)]
LayerCount = Annotated[Count, Field(le=200)]
Length = Annotated[float, Field(gt=0, le=2000)]
LatticeConstant = Annotated[float, Field(ge=0.5, le=100)]


def check_count(sites: float) -> None:
    """Raise BenchsuiteError where a specimen has more sites to lay out than memory could hold."""
    if sites > MAX_SITES:
        raise BenchsuiteError(f"phantom: {sites:.2g} sites to lay out, {MAX_SITES:.0e} are allowed; take a smaller specimen")


def _known(symbol: str) -> str:
    if symbol in chemical_symbols[1:]:
        return symbol
    hint = f"; did you mean {symbol.capitalize()!r}?" if symbol.capitalize() in chemical_symbols[1:] else ""
    raise ValueError(f"{symbol!r} is not a chemical element{hint}")


Element = Annotated[str, AfterValidator(_known)]
