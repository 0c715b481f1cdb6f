"""How large a specimen may be: what nobody could build is refused before memory is asked for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

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
