"""Worker processes as `supervise` uses them: forked from a server that has imported everything, or started from nothing.

Not the `forkserver` of multiprocessing: a Dask worker may not have children of that, it imports the main program again in each of
them and pickles what it sends; its server neither holds a version of the code nor tells when it is unsafe.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Protocol

from benchsuite.runner.task import Task

log = logging.getLogger(__name__)

VARIABLE = "BENCHSUITE_WORKERS"  # "spawn": start every worker from nothing
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class Process(Protocol):
    """A running worker. Its process group is its own."""

    pid: int
    stdin: IO[str]
    stdout: IO[str]

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal; None while it runs."""

    def end(self) -> None:
        """Kill it, and all that it has started, and let go of it."""


@dataclass(frozen=True)
class Place:
    """Where workers run, and a name for the run: every run has its own servers, which import the code as it then is."""

    folder: str
    run: str = ""


@dataclass(frozen=True)
class Setting:
    """What workers of one server have in common, from their beginning."""

    environment: tuple[tuple[str, str], ...]
    place: Place
    simulates: bool
    plugins: tuple[str, ...]


def can_fork(device: str) -> bool:
    """Whether workers may be forked: on Linux, and for CPUs; a driver of GPUs does not survive it."""
    supported = sys.platform == "linux" and hasattr(os, "pidfd_open")
    return supported and device == "cpu" and os.environ.get(VARIABLE) != "spawn"


class Spawned:
    """A worker started from nothing."""

    def __init__(self, environment: Mapping[str, str], place: Place, log_file: IO[bytes]) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "benchsuite.runner.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log_file,
            env=environment,
            cwd=place.folder,
            text=True,
            start_new_session=True,
        )
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self.pid, self.stdin, self.stdout = self._popen.pid, self._popen.stdin, self._popen.stdout

    def poll(self) -> int | None:
        return self._popen.poll()

    def end(self) -> None:
        if self.poll() is None:
            _kill_group(self.pid)
            self._popen.wait()


class Forked:
    """A worker that a fork server has forked; the server reaps it once the channel is closed."""

    def __init__(self, pid: int, stdin: IO[str], stdout: IO[str], channel: socket.socket) -> None:
        self.pid, self.stdin, self.stdout, self._channel = pid, stdin, stdout, channel
        self._code: int | None = None
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        with self._lock:
            if self._code is None and self._channel.fileno() >= 0:
                with contextlib.suppress(BlockingIOError):
                    self._take(self._receive(socket.MSG_DONTWAIT))
            return self._code

    def _receive(self, flags: int = 0) -> bytes:
        try:
            return self._channel.recv(1000, flags)
        except ConnectionResetError:
            return b""

    def _take(self, message: bytes) -> None:
        if message:
            self._code = int(json.loads(message)["returncode"])
        else:  # the server is gone, and its worker should go, too
            _kill_group(self.pid)
            self._code = -signal.SIGKILL

    def end(self) -> None:
        if self.poll() is None:
            _kill_group(self.pid)
        with self._lock:
            if self._code is None:
                self._take(self._receive())
            self._channel.close()


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


class ForkServer:
    """A client of one `forkserver` process; any number of threads may ask it to fork."""

    def __init__(self, setting: Setting) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        wanted = json.dumps({"plugins": list(setting.plugins)})
        self._lock = threading.Lock()
        self.unusable = False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed with the server
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchsuite.runner.forkserver", str(theirs.fileno()), wanted],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                env=dict(setting.environment),
                cwd=setting.place.folder,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self.pid = self._process.pid

    def gone(self) -> bool:
        """Whether the server has ended: it was idle, or killed, or could not begin."""
        return self._process.poll() is not None

    def last_message(self) -> str:
        """The last line that the server wrote before it ended."""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "")

    def fork(self, classes: Sequence[tuple[str, str]], log_file: IO[bytes]) -> Forked | None:
        """Return a new worker; None where the server may not fork, or is gone."""
        if self.unusable:
            return None
        (in_read, in_write), (out_read, out_write) = os.pipe(), os.pipe()
        channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stdin, stdout = os.fdopen(in_write, "w", encoding="utf-8"), os.fdopen(out_read, encoding="utf-8")
        try:
            with self._lock:
                message = json.dumps({"classes": list(classes)}).encode()
                socket.send_fds(self.control, [message], [in_read, out_write, log_file.fileno(), theirs.fileno()])
        except OSError:
            theirs.shutdown(socket.SHUT_RDWR)
        finally:
            theirs.close()
            os.close(in_read)
            os.close(out_write)
        try:
            answer = channel.recv(1000)
        except ConnectionResetError:
            answer = b""
        if answer and "pid" in (reply := json.loads(answer)):
            return Forked(reply["pid"], stdin, stdout, channel)
        if answer:
            self.unusable = True
            log.warning("each worker starts a new interpreter, which is slow: %s", reply["unusable"])
        for opened in (stdin, stdout, channel):
            opened.close()
        return None

    def close(self) -> None:
        """Let the server end; its workers end with whoever reads from them."""
        self.control.close()
        self._process.wait()
        self._errors.close()


class Workers:
    """Starts the workers of one run; its fork servers end with it."""

    def __init__(self) -> None:
        self.servers: dict[Setting, ForkServer] = {}
        self._lock = threading.Lock()

    def start(self, task: Task, threads: int, log_file: IO[bytes], place: Place | None = None) -> Process:
        """Start the worker of a task: forked, where this is possible."""
        place = place or Place(os.getcwd())
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "MPLBACKEND": "Agg", **dict.fromkeys(THREADS, str(threads))}
        if "PYTHONPATH" in environment:  # relative to this folder, not to that of the worker
            environment["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, environment["PYTHONPATH"].split(os.pathsep)))
        if can_fork(task.device):
            setting = Setting(tuple(sorted(environment.items())), place, task.simulates, tuple(task.plugins))
            forked = self._server(setting).fork(task.classes, log_file)
            if forked is not None:
                return forked
        return Spawned(environment, place, log_file)

    def _server(self, setting: Setting) -> ForkServer:
        with self._lock:
            for old in [one for one, server in self.servers.items() if server.gone()]:
                if message := self.servers[old].last_message():
                    log.warning("a fork server ended: %s", message)
                self.servers.pop(old).close()
            if setting not in self.servers:
                self.servers[setting] = ForkServer(setting)
            return self.servers[setting]

    def close(self) -> None:
        """End all fork servers."""
        with self._lock:
            for setting in list(self.servers):
                self.servers.pop(setting).close()
