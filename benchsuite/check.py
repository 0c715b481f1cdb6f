"""The contract suite, check by check, on one class: which checks pass, which fail, and why."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from benchsuite import registry
from benchsuite.contract.preprocessing import Preprocessing
from benchsuite.contract.reconstructor import Reconstructor
from benchsuite.contract.simulator import Simulator
from benchsuite.errors import BenchsuiteError, choices


@dataclass(frozen=True)
class Checked:
    """How one check ended. reason: empty where it passed."""

    name: str
    requirement: str
    reason: str
    seconds: float


def find_class(name: str) -> type[Any]:
    """Return the class that `package.module:Class`, `file.py:Class` or a registered name means.

    Raises BenchsuiteError where there is none, saying what is there instead.
    """
    where, colon, attribute = name.rpartition(":")
    if not colon:
        return _registered(name)
    module = _module(where)
    if not hasattr(module, attribute):
        classes = [key for key, value in vars(module).items() if inspect.isclass(value) and value.__module__ == module.__name__]
        raise BenchsuiteError(f"{name}: {where} has no {attribute}; {choices(attribute, classes)}")
    found = getattr(module, attribute)
    if not inspect.isclass(found):
        raise BenchsuiteError(f"{name}: is a {type(found).__name__}, not a class")
    if not issubclass(found, (Reconstructor, Preprocessing, Simulator)):
        raise BenchsuiteError(f"{name}: is no subclass of benchsuite.contract.Reconstructor, Preprocessing or Simulator")
    if inspect.isabstract(found):
        raise BenchsuiteError(f"{name}: does not implement {', '.join(sorted(found.__abstractmethods__))}")
    return found


def _registered(name: str) -> type[Any]:
    if name.endswith(".py"):
        raise BenchsuiteError(f"{name}: name a class of the file: {name}:CLASS")
    kinds = [kind for kind in ("preprocessing", "simulator") if name in registry.names(kind)]
    return registry.registered(kinds[0] if kinds and name not in registry.names("reconstructor") else "reconstructor", name)


def _module(where: str) -> ModuleType:
    try:
        if where.endswith(".py"):
            return _module_of_file(Path(where))
        if str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        return importlib.import_module(where)
    except BenchsuiteError:
        raise
    except (Exception, SystemExit) as error:  # any failure of the import is the result
        raise BenchsuiteError(f"{where}: cannot be imported: {_message(error)}") from error


def _module_of_file(file: Path) -> ModuleType:
    if not file.is_file():
        raise BenchsuiteError(f"{file}: no such file")
    spec = importlib.util.spec_from_file_location(f"benchsuite_check_{file.stem}", file.resolve())
    if spec is None or spec.loader is None:
        raise BenchsuiteError(f"{file}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(file.resolve().parent))  # as `python file.py` does, so that it finds its neighbours
    spec.loader.exec_module(module)
    return module


def checks(cls: type[Any]) -> Iterator[Checked]:
    """Run every check of the contract suite that a class has to pass, one after the other; none keeps the next from running."""
    from benchsuite import contract_suite

    suite: tuple[Callable[[Any], None], ...] = contract_suite.RECONSTRUCTOR_CHECKS
    if not issubclass(cls, Reconstructor):
        suite = (contract_suite.check_simulator if issubclass(cls, Simulator) else contract_suite.check_preprocessing,)
    for check in suite:
        started, reason = time.perf_counter(), ""
        try:
            check(cls)
        except (Exception, SystemExit) as error:  # whatever a class raises is why it does not pass
            reason = _message(error)
        name = check.__name__.removeprefix("check_").replace("_", " ")
        yield Checked(name, " ".join((check.__doc__ or "").split()), reason, time.perf_counter() - started)


def _message(error: BaseException) -> str:
    """Return the text of an exception, and where it was raised unless a check of the suite raised it."""
    frame = traceback.extract_tb(error.__traceback__)[-1] if error.__traceback__ else None
    own_check = frame is not None and Path(frame.filename).name == "contract_suite.py"
    if isinstance(error, AssertionError) and own_check and str(error):
        return str(error)
    place = "" if frame is None or own_check else f" ({frame.filename}, line {frame.lineno})"
    return f"{type(error).__name__}{': ' if str(error) else ''}{error}{place}"
