"""Find whatever can be plugged in by its kind and name, in entry points and in files given with --plugin."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import inspect
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from benchsuite.contract.figure import Figure
from benchsuite.contract.metric import AnyMetric, Metric
from benchsuite.contract.phantom import AnyPhantom, Phantom
from benchsuite.contract.preprocessing import AnyPreprocessing, Preprocessing
from benchsuite.contract.reader import Reader
from benchsuite.contract.reconstructor import AnyReconstructor, Reconstructor
from benchsuite.contract.simulator import AnySimulator, Simulator
from benchsuite.errors import BenchsuiteError, UnknownNameError

BASES: dict[str, type] = {
    "reconstructor": Reconstructor,
    "phantom": Phantom,
    "preprocessing": Preprocessing,
    "metric": Metric,
    "simulator": Simulator,
    "figure": Figure,
    "reader": Reader,
}
GROUPS = {kind: f"benchsuite.{kind}" if kind == "preprocessing" else f"benchsuite.{kind}s" for kind in BASES}


class Registry:
    """The classes of every kind by name: of entry points, and of the plugin files that were loaded."""

    def __init__(self) -> None:
        self.plugins: dict[str, dict[str, type]] = {kind: {} for kind in BASES}
        self.plugin_files: dict[str, ModuleType] = {}

    def names(self, kind: str) -> list[str]:
        """Return the sorted names of everything registered of a kind, a key of `BASES`."""
        return sorted({*_entry_points(kind), *self.plugins[kind]})

    def registered(self, kind: str, name: str) -> Any:
        """Return the class of that kind and name. Raises UnknownNameError with the nearest name."""
        if name in self.plugins[kind]:
            return self.plugins[kind][name]
        if name not in _entry_points(kind):
            raise UnknownNameError(kind, name, self.names(kind))
        found = _entry_points(kind)[name].load()
        if not (inspect.isclass(found) and issubclass(found, BASES[kind])):
            raise BenchsuiteError(f"entry point {name!r} of {GROUPS[kind]} is {found!r}, not a subclass of {BASES[kind].__name__}")
        return found

    def load_plugin(self, path: str | Path) -> list[str]:
        """Import a Python file and register the classes of every kind that it defines, by class name in lower case.

        Loading the same file twice is harmless. Raises BenchsuiteError where the file cannot be imported or defines none.
        """
        file = Path(path).resolve()
        if not file.is_file():
            raise BenchsuiteError(f"plugin {path}: no such file")
        if str(file) not in self.plugin_files:
            self.plugin_files[str(file)] = _imported(path, file)
        module, found = self.plugin_files[str(file)], list[str]()
        for cls in vars(module).values():
            if not inspect.isclass(cls) or cls.__module__ != module.__name__ or inspect.isabstract(cls):
                continue
            for kind, base in BASES.items():
                if issubclass(cls, base):
                    self.plugins[kind][cls.__name__.lower()] = cls
                    found.append(cls.__name__.lower())
        if not found:
            raise BenchsuiteError(f"plugin {path}: {_nothing_in(module)}")
        return found


@functools.cache
def _entry_points(kind: str) -> dict[str, Any]:
    return {point.name: point for point in entry_points(group=GROUPS[kind])}


def _imported(path: str | Path, file: Path) -> ModuleType:
    module_name = f"benchsuite_plugin_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(module_name, file)
    if spec is None or spec.loader is None:
        raise BenchsuiteError(f"plugin {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        raise BenchsuiteError(f"plugin {path}: {type(error).__name__}: {error}") from error
    return module


PROCESS = Registry()  # of this process; everything finds its classes here
names, registered, load_plugin = PROCESS.names, PROCESS.registered, PROCESS.load_plugin


def reconstructor(name: str) -> type[AnyReconstructor]:
    """Return the reconstructor class of that name. Raises UnknownNameError with the nearest name."""
    return registered("reconstructor", name)


def phantom(name: str) -> type[AnyPhantom]:
    """Return the phantom class of that name. Raises UnknownNameError with the nearest name."""
    return registered("phantom", name)


def preprocessing(name: str) -> type[AnyPreprocessing]:
    """Return the preprocessing class of that name. Raises UnknownNameError with the nearest name."""
    return registered("preprocessing", name)


def metric(name: str) -> type[AnyMetric]:
    """Return the metric class of that name. Raises UnknownNameError with the nearest name."""
    return registered("metric", name)


def simulator(name: str) -> type[AnySimulator]:
    """Return the simulation engine of that name. Raises UnknownNameError with the nearest name."""
    return registered("simulator", name)


def libraries() -> list[str]:
    """Return the packages whose versions are part of keys: ase, and what simulators and preprocessing steps name."""
    classes = [registered(kind, name) for kind in ("simulator", "preprocessing") for name in names(kind)]
    return sorted({"ase", *(library for cls in classes for library in cls.libraries)})


def reader(name: str) -> type[Reader]:
    """Return the reader class of that name. Raises UnknownNameError with the nearest name."""
    return registered("reader", name)


def source_file(cls: type) -> Path:
    """Return the file in which a registered class is written."""
    return Path(inspect.getfile(cls))


def _nothing_in(module: ModuleType) -> str:
    """Why a file defines nothing to register: a class that lacks its method, or none at all."""
    bases = " or ".join(base.__name__ for base in BASES.values())
    own = [cls for cls in vars(module).values() if inspect.isclass(cls) and cls.__module__ == module.__name__]
    for cls in own:
        if issubclass(cls, tuple(BASES.values())):
            lacking = [name for name, _ in inspect.getmembers(cls, lambda member: getattr(member, "__isabstractmethod__", False))]
            return f"{cls.__name__} does not define {', '.join(lacking)}()"
    return f"defines no subclass of {bases}"


def default_label(name: str) -> str:
    """Return the name shown in tables for a registered name: acronyms in capitals."""
    return name.upper() if len(name) <= 7 and "_" not in name else name
