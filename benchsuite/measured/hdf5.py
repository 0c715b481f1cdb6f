"""HDF5 through h5py: an error that names the extra where it is missing, and a file to write into on a disk that may fill up."""

from __future__ import annotations

import io
from pathlib import Path
from types import TracebackType
from typing import Any

from benchsuite.errors import BenchsuiteError


def import_h5py(file: Path) -> Any:
    """Return the module h5py, or raise BenchsuiteError with the extra that installs it."""
    try:
        import h5py
    except ImportError as error:
        raise BenchsuiteError(f"{file}: EMD needs the extra `formats`: pip install 'benchsuite[formats]' ({error})") from error
    return h5py


class Output(io.FileIO):
    """A new file for HDF5 to write into, which crashes where a write fails: a failure is kept, and raised later.

    It is raised when asked for or on leaving, in place of the error that HDF5 may meet when it reads back what is not there.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self._failure: OSError | None = None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        super().__exit__(kind, error, trace)
        if error is None or isinstance(error, Exception):
            self.raise_failure()

    def raise_failure(self) -> None:
        """Raise what a write or truncation has met, if anything."""
        if self._failure is not None:
            raise self._failure

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        done = 0
        try:
            while done < len(view) and self._failure is None:
                done += super().write(view[done:])
        except OSError as error:
            self._failure = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self._failure = self._failure or error
            return size or 0
