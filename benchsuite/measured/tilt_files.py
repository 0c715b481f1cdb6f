"""Files of tilts: angles, Euler angles or matrices, as text (.rawtlt, .tlt, .txt, .csv) or of NumPy (.npy)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchsuite.errors import BenchsuiteError
from benchsuite.measured.checks import damage_reported

TEXT = (".rawtlt", ".tlt", ".txt", ".csv")
MAX_BYTES = 10_000_000


def read_table(file: Path) -> np.ndarray:
    """Return the numbers of a file, float64, as (n,), (n, columns) or, of NumPy, in their own shape.

    Text: numbers parted by spaces, commas or semicolons; `#` begins a comment; a .csv may have a first line of titles. Raises
    BenchsuiteError with the line of what is no finite number, and for rows of unequal length.
    """
    if file.suffix.lower() == ".npy":
        with damage_reported(file):
            table = np.load(file, allow_pickle=False, mmap_mode="r")
            if table.nbytes > MAX_BYTES or table.dtype.kind not in "fiu":
                raise BenchsuiteError(f"{file}: {table.dtype} of shape {table.shape}; allowed: angles or matrices, real numbers")
            return _finite(np.array(table, dtype=np.float64), file)
    if file.suffix.lower() not in TEXT:
        raise BenchsuiteError(f"{file}: tilts can be read from {', '.join((*TEXT, '.npy'))}")
    if file.stat().st_size > MAX_BYTES:
        raise BenchsuiteError(f"{file}: {file.stat().st_size:,} bytes; a file of tilts may have at most {MAX_BYTES:,}")
    with damage_reported(file):
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    rows = []
    for number, line in enumerate(lines, 1):
        words = line.split("#")[0].replace(",", " ").replace(";", " ").split()
        try:
            values = [float(word) for word in words]
        except ValueError as error:
            if number == 1 and file.suffix.lower() == ".csv":
                continue
            raise BenchsuiteError(f"{file}:{number}: {line.strip()[:60]!r} is not a row of numbers") from error
        if values:
            rows.append(values)
            if len(values) != len(rows[0]):
                raise BenchsuiteError(f"{file}:{number}: {len(values)} numbers, the first row has {len(rows[0])}")
    if not rows:
        raise BenchsuiteError(f"{file}: holds no numbers")
    table = np.array(rows)
    return _finite(table.ravel() if 1 in table.shape else table, file)


def _finite(table: np.ndarray, file: Path) -> np.ndarray:
    if not np.isfinite(table).all():
        raise BenchsuiteError(f"{file}: NaN or infinite; allowed: finite numbers")
    return table
