"""How keys, settings and numbers are written for a reader: names with units, powers of ten, mean ± spread.

The unit of a key is its suffix (`defocus_A`, `semiangle_mrad`), as everywhere in the project.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

import numpy as np

from benchsuite.columns import Column, Columns

MISSING = "—"
SUFFIX_UNITS = {  # longest first: `_e_per_A2` before `_A`
    "_e_per_A2": "e/Å²",
    "_per_A": "Å⁻¹",
    "_mrad": "mrad",
    "_deg": "°",
    "_px": "pixels",
    "_keV": "keV",
    "_pct": "%",
    "_A": "Å",
    "_pm": "pm",
    "_nm": "nm",
    "_GB": "GB",
    "_mb": "MB",
    "_s": "s",
}
NAMES = {  # of settings; columns of the results declare their titles
    "dose": "Electron dose",
    "energy": "Energy",
    "acquisition.scan.step": "Probe step",
    "acquisition.scan.positions": "Probe positions",
    "acquisition.tilts.range": "Tilt range",
    "acquisition.tilts.count": "Number of tilts",
    "acquisition.frozen_phonons.count": "Phonon configurations",
}
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _split(key: str) -> tuple[str, str]:
    """Return (key without its unit suffix, unit), the unit empty where the key has none."""
    for suffix, unit in SUFFIX_UNITS.items():
        if key.endswith(suffix) and len(key) > len(suffix):
            return key.removesuffix(suffix), unit
    return key, ""


def unit(key: str) -> str:
    """Return the unit that a key's suffix states, or an empty string."""
    return _split(key)[1]


def name(key: str) -> str:
    """Return a readable name of a (dotted) key without its unit: "Electron dose"."""
    stem, _ = _split(key)
    last = stem.rsplit(".", 1)[-1]
    for known in (stem, last):
        if known in NAMES:
            return NAMES[known]
    words = last.replace("_", " ").strip() or key
    return words[0].upper() + words[1:]


def column_of(columns: Columns, key: str) -> Column:
    """Return the declaration of a column of the results; of one that nothing declares, what its name says."""
    return columns.get(key) or Column(key, name(key), unit(key))


def heading(columns: Columns, key: str) -> str:
    """Return title and unit of a column of the results: "Recall of Au (%)"."""
    return column_of(columns, key).heading


def label(key: str) -> str:
    """Return the name of a key with its unit in brackets: "Electron dose (e/Å²)"."""
    return f"{name(key)} ({unit(key)})" if unit(key) else name(key)


def labels(keys: Sequence[str]) -> list[str]:
    """Return the labels of several keys; where two would read the same, the keys themselves are added."""
    plain = [label(key) for key in keys]
    return [f"{text} [{key}]" if plain.count(text) > 1 else text for key, text in zip(keys, plain, strict=True)]


def number(value: float, digits: int = 3, largest: float = 1e5) -> str:
    """Return a number to `digits` significant digits; as "2×10⁵" from `largest` on and below 0.001."""
    value = float(value)
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    if abs(value) >= largest or abs(value) < 1e-3:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{_trimmed(mantissa)}×10{str(int(exponent)).translate(_SUPERSCRIPTS)}".replace("-", "−")
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return _trimmed(f"{value:.{decimals}f}").replace("-", "−")


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def value(key: str, setting: Any) -> str:
    """Return the value of a swept key for a reader, without its unit: "2×10⁵", "no noise", "−75 to 75"."""
    setting = _from_text(setting)
    if isinstance(setting, (list, tuple)):
        texts = [value(key, item) for item in setting]
        return " to ".join(texts) if len(texts) == 2 and "range" in key else ", ".join(texts)
    if setting is None or isinstance(setting, (bool, np.bool_)):
        return str(setting)
    if isinstance(setting, Real):
        if math.isinf(float(setting)) and _split(key)[0].endswith("dose"):
            return "no noise"
        return number(float(setting), digits=4, largest=1e4)
    return str(setting)


def _from_text(setting: Any) -> Any:
    """Return the list that a results table spells as text ("[-75, 75]"); anything else unchanged."""
    if isinstance(setting, str) and setting[:1] in ("[", "(") and len(setting) < 200:
        try:
            parsed = ast.literal_eval(setting)
        except (ValueError, SyntaxError):
            return setting
        return parsed if isinstance(parsed, (list, tuple)) else setting
    return setting


def with_unit(key: str, setting: Any) -> str:
    """Return the value of a swept key with its unit: "2×10⁵ e/Å²", "−75° to 75°", "no noise"."""
    text, symbol = value(key, setting), unit(key)
    if not symbol or not any(character.isdigit() for character in text):
        return text
    if symbol == "°":
        return f"{text.replace(' to ', '° to ').replace(', ', '°, ')}°"
    return f"{text}\N{NO-BREAK SPACE}{symbol}"  # a line never ends between number and unit


def setting(key: str, chosen: Any) -> str:
    """Return "Electron dose 2×10⁵ e/Å²", or the value alone where it says enough ("no noise")."""
    text = with_unit(key, chosen)
    return text if text == "no noise" else f"{name(key)} {text}"


def condition(swept: dict[str, Any]) -> str:
    """Return the settings of one point of a sweep in one line; empty where nothing is swept."""
    return ", ".join(setting(key, chosen) for key, chosen in swept.items())


def mean_and_spread(values: Iterable[float]) -> tuple[float, float, int]:
    """Return (mean, sample standard deviation, count) of the values that are numbers; nan where undefined."""
    kept = np.array([v for v in values if not math.isnan(float(v))], dtype=np.float64)
    mean = float(kept.mean()) if len(kept) else math.nan
    spread = float(kept.std(ddof=1)) if len(kept) > 1 else math.nan
    return mean, spread, len(kept)


def plus_minus(mean: float, spread: float) -> str:
    """Return "5.21 ± 0.34": the spread to two significant digits and the mean to the same decimals, at most three."""
    if math.isnan(mean):
        return MISSING
    if math.isnan(spread) or math.isinf(mean) or math.isinf(spread):
        return number(mean)
    if abs(mean) >= 1e5 or 0 < abs(mean) < 1e-3:
        return f"{number(mean)} ± {number(spread, 2)}"
    if spread == 0:
        return f"{number(mean)} ± 0"
    decimals = min(3, max(0, 1 - math.floor(math.log10(spread))))
    return f"{mean:.{decimals}f} ± {spread:.{decimals}f}".replace("-", "−")
