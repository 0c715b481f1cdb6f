"""The type of a parameter that names a chemical element."""

from __future__ import annotations

from typing import Annotated

from ase.data import chemical_symbols
from pydantic import AfterValidator


def _known(symbol: str) -> str:
    if symbol not in chemical_symbols[1:]:
        raise ValueError(f"{symbol!r} is not a chemical element")
    return symbol


Element = Annotated[str, AfterValidator(_known)]
