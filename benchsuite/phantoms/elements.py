"""The type of a parameter that names a chemical element."""

from __future__ import annotations

from typing import Annotated

from ase.data import chemical_symbols
from pydantic import AfterValidator


def _known(symbol: str) -> str:
    if symbol in chemical_symbols[1:]:
        return symbol
    hint = f"; did you mean {symbol.capitalize()!r}?" if symbol.capitalize() in chemical_symbols[1:] else ""
    raise ValueError(f"{symbol!r} is not a chemical element{hint}")


Element = Annotated[str, AfterValidator(_known)]
