"""Built-in file formats, one file each (entry points `benchsuite.readers`), and the units that files state."""

LENGTHS_A = {"A": 1.0, "Å": 1.0, "\u212b": 1.0, "angstrom": 1.0, "pm": 0.01, "nm": 10.0, "µm": 1e4, "μm": 1e4, "um": 1e4, "m": 1e10}
RECIPROCALS_PER_A = {f"{one}{unit}": 1 / LENGTHS_A[unit] for unit in ("A", "Å", "nm") for one in ("1/", "1 / ")}
RECIPROCALS_PER_A |= {f"{unit}{power}": 1 / LENGTHS_A[unit] for unit in ("A", "Å", "nm") for power in ("^-1", "-1", "⁻¹")}
ANGLES_MRAD = {"mrad": 1.0, "rad": 1e3}
