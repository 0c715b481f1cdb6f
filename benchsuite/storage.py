"""The data types on disk, losslessly: zarr (with a CRC per chunk) for arrays, extended XYZ with full precision for atoms."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from benchsuite.data import Fit, Optics, Preprocessed, Reconstruction, Slices, TiltSeries, Volume


def save_arrays(folder: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
    """Write named arrays and a JSON-able description. The first axis is chunked one by one where there are more than 3 axes."""
    import zarr

    group = zarr.open_group(folder, mode="w", zarr_format=3)
    group.attrs.update({"about": dict(about)})
    for name, array in arrays.items():
        stored = create_array(group, name, array.shape, array.dtype)
        if array.size:
            stored[...] = array


def create_array(group: Any, name: str, shape: tuple[int, ...], dtype: Any) -> Any:
    """Create a zarr array with a checksum per chunk; more than 3 axes: one chunk per index of the first (a tilt)."""
    from zarr.codecs import Crc32cCodec, ZstdCodec

    chunks = (1, *shape[1:]) if len(shape) > 3 else shape
    chunks = tuple(max(1, length) for length in chunks)
    return group.create_array(name, shape=shape, dtype=dtype, chunks=chunks, compressors=[ZstdCodec(level=1), Crc32cCodec()])


def load_arrays(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return what `save_arrays` wrote."""
    import zarr

    group = zarr.open_group(folder, mode="r")
    about: Any = group.attrs["about"]
    return {name: np.asarray(array[...]) for name, array in group.arrays()}, dict(about)


def save_series(folder: Path, images: Iterable[np.ndarray], series: TiltSeries) -> None:
    """Write a tilt series one tilt at a time. `images` yields the data of each tilt; `series.data` gives shape and dtype."""
    import zarr

    about = {
        "modality": series.modality,
        "scan_step_A": series.scan_step_A,
        "dose_e_per_A2": series.dose_e_per_A2,
        "detector_mrad": series.detector_mrad,
        "reciprocal_step_per_A": series.reciprocal_step_per_A,
        "optics": {**vars(series.optics), "aberrations_A": dict(series.optics.aberrations_A)},
    }
    save_arrays(folder, {"rotations": series.rotations, "defocus_A": np.asarray(series.defocus_A)}, about)
    data = create_array(zarr.open_group(folder, mode="a"), "data", series.data.shape, series.data.dtype)
    for tilt, image in enumerate(images):
        data[tilt] = image


class StoredArray:
    """An array on disk that is read where it is indexed: a 4D-STEM series does not fit in memory, its tilts do."""

    def __init__(self, stored: Any) -> None:
        self._stored = stored
        self.shape: tuple[int, ...] = tuple(stored.shape)
        self.ndim, self.dtype, self.size = len(self.shape), np.dtype(stored.dtype), int(np.prod(self.shape))
        self.nbytes = self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        return np.asarray(self._stored[index])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._stored[...], dtype=dtype)


def load_series(folder: Path) -> TiltSeries:
    """Return the series that `save_series` wrote; the data of a 4D-STEM series stay on disk (`StoredArray`)."""
    import zarr

    group = zarr.open_group(folder, mode="r")
    about: Any = group.attrs["about"]
    patterns = about["modality"] == "4dstem"
    arrays: dict[str, Any] = {
        name: StoredArray(array) if patterns and name == "data" else np.asarray(array[...]) for name, array in group.arrays()
    }
    detector = about["detector_mrad"]
    return TiltSeries(
        **arrays,
        modality=about["modality"],
        scan_step_A=about["scan_step_A"],
        dose_e_per_A2=about["dose_e_per_A2"],
        detector_mrad=tuple(detector) if detector else None,
        reciprocal_step_per_A=about["reciprocal_step_per_A"],
        optics=Optics(**about["optics"]),
    )


SERIES, EXTRAS = "series.zarr", "extras.zarr"


def save_preprocessed(folder: Path, preprocessed: Preprocessed) -> None:
    """Write what a preprocessing made, beside whatever else is in the folder."""
    save_series(folder / SERIES, preprocessed.series.data, preprocessed.series)
    arrays = _prefixed("extra_", preprocessed.extras)
    if preprocessed.shifts_A is not None:
        arrays["shifts_A"] = preprocessed.shifts_A
    save_arrays(folder / EXTRAS, arrays, {"remark": preprocessed.remark})


def load_preprocessed(folder: Path) -> Preprocessed:
    """Return what `save_preprocessed` wrote."""
    arrays, about = load_arrays(folder / EXTRAS)
    return Preprocessed(load_series(folder / SERIES), arrays.get("shifts_A"), _named("extra_", arrays), str(about["remark"]))


def save_reconstruction(folder: Path, result: Reconstruction) -> None:
    """Write a reconstruction: its volume, atoms, slices, fit, history and extras."""
    arrays = {"history": result.history, **_prefixed("fit_", result.fit.arrays()), **_prefixed("extra_", result.extras)}
    if result.slices is not None:
        arrays |= _prefixed("slices_", vars(result.slices))
    if result.volume is not None:
        arrays["volume"] = result.volume.data
    voxel = result.volume.voxel_A if result.volume else None
    save_arrays(folder / "arrays", arrays, {"voxel_A": voxel, "seconds": result.seconds})
    if result.atoms is not None:
        save_atoms(folder / "atoms.extxyz", result.atoms)


def load_reconstruction(folder: Path) -> Reconstruction:
    """Return the reconstruction that `save_reconstruction` wrote."""
    arrays, about = load_arrays(folder / "arrays")
    file = folder / "atoms.extxyz"
    return Reconstruction(
        volume=Volume(arrays["volume"], about["voxel_A"]) if "volume" in arrays else None,
        atoms=load_atoms(file) if file.is_file() else None,
        history=arrays["history"],
        seconds=about["seconds"],
        slices=Slices(**slices) if (slices := _named("slices_", arrays)) else None,
        fit=Fit(**_named("fit_", arrays)),
        extras=_named("extra_", arrays),
    )


def _prefixed(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{prefix}{name}": array for name, array in arrays.items()}


def _named(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


_XYZ_KINDS = {"f": "R", "i": "I", "b": "L", "U": "S"}


def save_atoms(file: Path, atoms: Atoms) -> None:
    """Write extended XYZ with every float in its shortest exact form (ASE's own writer rounds to 8 decimals).

    Per-atom arrays may be float, integer, bool or text without spaces; `info` holds plain numbers, strings and short lists.
    """
    columns = [("species", np.asarray(atoms.get_chemical_symbols(), dtype="U3")), ("pos", atoms.positions)]
    columns += [(name, array) for name, array in atoms.arrays.items() if name not in ("numbers", "positions")]
    properties = ":".join(
        f"{name}:{_XYZ_KINDS[array.dtype.kind]}:{1 if array.ndim == 1 else array.shape[1]}" for name, array in columns
    )
    comment = [f"Properties={properties}", *(f"{key}={_info_text(value)}" for key, value in atoms.info.items()), 'pbc="F F F"']
    lines = [str(len(atoms)), " ".join(comment)]
    tables = [array.reshape(len(array), -1) for _, array in columns] if len(atoms) else []
    lines += [" ".join(_cell_text(value) for table in tables for value in table[row]) for row in range(len(atoms))]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def load_atoms(file: Path) -> Atoms:
    """Read an extended XYZ file (an empty list of atoms, too)."""
    with open(file, encoding="utf-8") as stream:
        if stream.readline().strip() == "0":
            return Atoms()
    from ase.io import read

    atoms = read(file, format="extxyz")
    if not isinstance(atoms, Atoms):
        raise ValueError(f"{file}: more than one frame")
    return atoms


def _cell_text(value: Any) -> str:
    if isinstance(value, (np.floating, float)):
        return repr(float(value))
    if isinstance(value, (np.bool_, bool)):
        return "T" if value else "F"
    return str(value)


def _info_text(value: Any) -> str:
    if isinstance(value, (np.floating, float)):
        return repr(float(value))
    if isinstance(value, (bool, np.bool_, int, np.integer)):
        return _cell_text(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return '"' + " ".join(repr(float(item)) for item in np.ravel(value)) + '"'


def json_safe(value: Any) -> Any:
    """Return the value with numpy scalars as Python ones, tuples as lists and non-finite floats kept (JSON: NaN, Infinity)."""
    if isinstance(value, Mapping):
        return {str(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_safe(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return json_safe(value.tolist())
    return value
