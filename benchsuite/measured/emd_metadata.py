"""Named values as EMD metadata, written and read: each a dataset or a group, whose attribute `type` says what it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

KINDS = {
    bool: "bool",
    dict: "dict",
    float: "number",
    int: "number",
    list: "list_of_strings",
    np.ndarray: "array",
    str: "string",
    tuple: "tuple",
    type(None): "None",
}


def write_items(group: Any, items: Mapping[str, Any]) -> None:
    """Write named values into a group.

    Text is of fixed length, as emdfile writes it: what HDF5 keeps of variable length has no checksum.
    """
    for name, value in items.items():
        if isinstance(value, dict):
            item = group.create_group(name)
            write_items(item, value)
        elif isinstance(value, list):
            item = group.create_group(name)
            item.attrs["length"] = len(value)
            for index, text in enumerate(value):
                item.create_dataset(str(index), data=text.encode())
        elif isinstance(value, np.ndarray):
            item = group.create_dataset(name, data=value, chunks=value.shape, fletcher32=True)
        else:
            stored = "_None" if value is None else value
            item = group.create_dataset(name, data=stored.encode() if isinstance(stored, str) else stored)
        item.attrs["type"] = np.bytes_(KINDS[type(value)].encode())


def read_items(group: Any) -> dict[str, Any]:
    """Return the named values of a group."""
    return {name: read_items(item) if hasattr(item, "items") else _read_item(item) for name, item in group.items()}


def _read_item(item: Any) -> Any:
    value = item[()]
    if isinstance(value, bytes):
        text = value.decode()
        return None if text == "_None" else text
    return value.item() if isinstance(value, np.generic) else value
