"""The strict base of everything a user can write: scenario sections and parameters of reconstructors and phantoms.

Values are checked without silent conversion (a string is not a number, `true` is not 1); whole floats such as 1e3 pass as
counts, and lists pass as tuples. Units are part of the key (`defocus_A`) or given in the field's description.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Params(BaseModel):
    """Frozen, strict, no unknown keys. Subclass it and declare typed fields with defaults and descriptions."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        validate_default=True,
        allow_inf_nan=False,
        ser_json_inf_nan="constants",  # JSON that is read back as it was, infinite doses included
        serialize_by_alias=True,
    )


def _whole_float_to_int(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _list_to_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Integer = Annotated[int, BeforeValidator(_whole_float_to_int)]
Count = Annotated[int, BeforeValidator(_whole_float_to_int), Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Pair = Annotated[tuple[float, float], BeforeValidator(_list_to_tuple)]
Vector3 = Annotated[tuple[float, float, float], BeforeValidator(_list_to_tuple)]
CountPair = Annotated[tuple[Count, Count], BeforeValidator(_list_to_tuple)]
Numbers = Annotated[tuple[float, ...], BeforeValidator(_list_to_tuple)]
Names = Annotated[tuple[str, ...], BeforeValidator(_list_to_tuple)]
AsTuple = BeforeValidator(_list_to_tuple)
