"""A process that has imported everything and forks the workers of tasks, so that none of them waits for imports.

Every worker is as good as a new process: it has its own memory, process group and streams, and a plugin that spoils something
spoils it for itself. Forking is safe as long as one thread only is there and no GPU has been touched; where this is not so, the
server says so and its clients start workers from nothing (`processes`).

Messages are JSON with file descriptors over a socket. Each worker has a channel of its own: the server tells its process id and,
when it has ended, its exit status; the client closes the channel when it is done. The process is reaped only then, so that nobody
can kill another one that was given the same id.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from benchsuite import code_version, registry
from benchsuite.errors import BenchsuiteError
from benchsuite.runner import child

IDLE_TIMEOUT_S = 60.0  # after which the server ends
MESSAGE_BYTES = 65_536
PRELOADED_MODULES = (
    "benchsuite.runner.task", "benchsuite.physics.fft.plans", "ase.io.extxyz", "scipy.fft", "scipy.ndimage", "scipy.optimize",
    "scipy.spatial", "zarr.codecs",
)  # fmt: skip


@dataclass(frozen=True)
class Worker:
    """A forked process and the channel to whom it is for."""

    pid: int
    channel: socket.socket


class Server:
    """Forks on request until the control socket closes: then whoever started it is gone."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.selector = selectors.DefaultSelector()
        self.selector.register(control, selectors.EVENT_READ)
        self.workers: dict[int, Worker] = {}  # by the descriptor of the process
        self.used: set[tuple[str, str]] = set()

    def serve(self) -> None:
        """Answer requests and tell how workers end."""
        while True:
            ready = self.selector.select(IDLE_TIMEOUT_S)
            if not ready and not self.workers:
                return
            for key, _ in ready:
                if key.fileobj is self.control:
                    if not self._requested():
                        return
                elif isinstance(key.data, Worker):
                    self._end(key.data)
                elif key.fd in self.workers:
                    self._tell(key.fd)

    def _requested(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self.control, MESSAGE_BYTES, 4)
        if not message:
            return False
        *streams, channel_fd = descriptors
        channel = socket.socket(fileno=channel_fd)
        self._import(json.loads(message)["classes"])
        reason = why_unsafe()
        if reason is not None:
            _send(channel, {"unusable": reason})
            channel.close()
        else:
            self._fork(streams, channel)
        for descriptor in streams:
            os.close(descriptor)
        return True

    def _import(self, classes: Sequence[Sequence[str]]) -> None:
        """Import what a task will use; what fails here fails again, and is reported, where it is used."""
        for kind, name in classes:
            if (kind, name) not in self.used:
                self.used.add((kind, name))
                with contextlib.suppress(Exception):
                    cls = registry.registered(kind, name)
                    for library in cls.libraries if kind == "simulator" else ():
                        importlib.import_module(library)
                code_version.hold_imported()
                settle_threads()

    def _fork(self, streams: Sequence[int], channel: socket.socket) -> None:
        pid = os.fork()
        if pid == 0:
            self.selector.close()
            for connection in (self.control, channel, *(worker.channel for worker in self.workers.values())):
                connection.close()
            for descriptor in self.workers:
                os.close(descriptor)
            _work(streams)
        with contextlib.suppress(OSError):  # it has done so itself, or is gone
            os.setpgid(pid, pid)  # before anybody may kill the group
        process = os.pidfd_open(pid)
        worker = self.workers[process] = Worker(pid, channel)
        self.selector.register(process, selectors.EVENT_READ)
        self.selector.register(channel, selectors.EVENT_READ, worker)
        _send(channel, {"pid": pid})

    def _tell(self, process: int) -> None:
        """A worker has ended: tell its exit status, but leave it to be reaped until the channel closes."""
        found = os.waitid(os.P_PID, self.workers[process].pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if found is None:
            return
        self.selector.unregister(process)
        code = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
        _send(self.workers[process].channel, {"returncode": code})

    def _end(self, worker: Worker) -> None:
        """A channel has closed: nobody wants the worker any more, nor what it has started."""
        process = next(descriptor for descriptor, one in self.workers.items() if one is worker)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(worker.pid, signal.SIGKILL)
        os.waitpid(worker.pid, 0)
        with contextlib.suppress(KeyError):
            self.selector.unregister(process)
        self.selector.unregister(worker.channel)
        worker.channel.close()
        os.close(process)
        del self.workers[process]


def _send(channel: socket.socket, message: Mapping[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client is gone; its channel will say so
        channel.send(json.dumps(message).encode())


def _work(streams: Sequence[int]) -> None:
    """Become the worker of a task, with the given standard streams. Never returns."""
    code = 1
    try:
        os.setpgid(0, 0)
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
            os.close(descriptor)
        code_version.look_again()  # at what is imported from here on
        np.random.seed()  # noqa: NPY002  who does not seed gets other numbers in every process, as ever
        child.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code)


def preload(modules: Sequence[str], plugins: Sequence[str]) -> None:
    """Import modules and plugin files, and hold on to the versions that were imported."""
    for name in modules:
        importlib.import_module(name)
    loaded = []
    for plugin in plugins:
        with contextlib.suppress(BenchsuiteError):  # the worker tells
            registry.load_plugin(plugin)
            loaded.append(plugin)
    code_version.hold_imported(loaded)
    numba.njit(_squares)(1)  # numba sets itself up when it first compiles anything
    settle_threads()
    gc.collect()
    gc.freeze()  # what is never looked at is never copied


def _squares(count: int) -> np.ndarray:
    return np.arange(count) ** 2.0


def settle_threads() -> None:
    """Let OpenBLAS end the threads that it started when it was loaded: it does so before a fork, and starts them when needed."""
    if len(os.listdir("/proc/self/task")) > 1:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)


def why_unsafe() -> str | None:
    """Return why this process must not fork workers, or None."""
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        return f"{threads - 1} threads were started by imports"
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(f"/proc/self/fd/{descriptor}").startswith("/dev/nvidia"):
                return "a GPU was initialised by imports"
    return None


def main() -> None:
    """Serve on the socket whose descriptor is the first argument; the second says what to import."""
    wanted = json.loads(sys.argv[2])
    preload(PRELOADED_MODULES, wanted["plugins"])
    Server(socket.socket(fileno=int(sys.argv[1]))).serve()


if __name__ == "__main__":
    main()
