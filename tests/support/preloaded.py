"""Starts Python programs as forks of one process that has imported their modules already.

To import Celery, the Kubernetes client and certmill takes a second of CPU in each process, and the tests
start hundreds. A fork differs from a real start only in what is imported. Processes whose start is the
subject of a test are started by compose.servers.process.spawn.

`python -m tests.support.preloaded DESCRIPTOR` is the process that forks. It reads one request per packet
from the socket DESCRIPTOR and ends when the tests have closed it.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from compose.servers.process import Child, spawn

# Not `tasks`: beat and Flower have none, and to import them gives them to every app.
MODULES = (
    "celery.bin.celery",
    "celery.apps.worker",
    "celery.apps.beat",
    "celery.worker.consumer",
    "celery.worker.autoscale",
    "celery.concurrency.thread",
    "celery.backends.base",
    "kombu.transport.redis",
    "flower.command",
    "certmill.runtime",
    "certmill.kube.connection",
    "kubernetes.client",
    "workers.celery_app",
    "workers.controller",
    "workers.responder",
)
_REQUEST_BYTES = 1 << 16


def spawn_preloaded(
    command: Sequence[str], *, log: IO[bytes], environment: Mapping[str, str], directory: Path | None = None
) -> Child:
    """Starts a process like compose.servers.process.spawn. `python -m MODULE …` is forked; any other
    command is started normally. On systems other than Linux everything is started normally, because a fork
    of a process with loaded frameworks is not safe there."""
    if list(command[:2]) != [sys.executable, "-m"] or not sys.platform.startswith("linux"):
        return spawn(command, log=log, environment=environment, directory=directory)
    return _parent().fork(command[2:], log=log, environment=environment, directory=directory or Path.cwd())


def run_preloaded(
    module: str, *arguments: str, stdin: str = "", environment: Mapping[str, str], timeout: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """What subprocess.run does for `python -m MODULE …`, with captured output; a fork where spawn_preloaded
    makes one. Raises subprocess.TimeoutExpired."""
    if not sys.platform.startswith("linux"):
        command = [sys.executable, "-m", module, *arguments]
        return subprocess.run(
            command,
            input=stdin,
            env=environment,
            timeout=timeout,
            capture_output=True,
            text=True,
            check=False,
        )
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
        given.write(stdin.encode())
        given.seek(0)
        process = _parent().fork(
            [module, *arguments],
            log=out,
            errors=said,
            stdin=given,
            environment=environment,
            directory=Path.cwd(),
        )
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            raise
        texts = []
        for file in (out, said):
            file.seek(0)
            texts.append(file.read().decode())
    return subprocess.CompletedProcess([module, *arguments], code, *texts)


class Fork:
    """A forked process, with the methods of subprocess.Popen that are used."""

    def __init__(self, exits: socket.socket, arguments: Sequence[str]) -> None:
        self._exits = exits
        self._arguments = list(arguments)
        self.pid = int(exits.recv(_REQUEST_BYTES))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code as in subprocess.Popen, or None while the process runs."""
        if self.returncode is None and select.select([self._exits], [], [], 0)[0]:
            self._read()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._exits], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self._arguments, timeout or 0.0)
            self._read()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal to the process if it runs."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _read(self) -> None:
        self.returncode = int(self._exits.recv(_REQUEST_BYTES))
        self._exits.close()


class Parent:
    """The process that forks, as the tests see it."""

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        atexit.register(self.close)

    def close(self) -> None:
        """End the process that forks. The forked processes continue."""
        self._requests.close()
        self._process.wait()

    def fork(
        self,
        arguments: Sequence[str],
        *,
        log: IO[bytes],
        errors: IO[bytes] | None = None,
        stdin: IO[bytes] | None = None,
        environment: Mapping[str, str],
        directory: Path,
    ) -> Fork:
        """Run the module `arguments[0]` in a new process, with its output in `log`, its errors there too or
        in `errors`, and `stdin` or nothing to read."""
        request = {
            "arguments": list(arguments),
            "environment": dict(environment),
            "directory": str(directory),
        }
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, Path(os.devnull).open("rb") as nothing:
            descriptors = [
                (stdin or nothing).fileno(),
                log.fileno(),
                (errors or log).fileno(),
                theirs.fileno(),
            ]
            socket.send_fds(self._requests, [json.dumps(request).encode()], descriptors)
        return Fork(ours, arguments)


@functools.cache
def _parent() -> Parent:
    """One instance for all tests of this process. It ends with them."""
    return Parent()


class _Forks:
    """The forked processes, and the sockets to which their exit codes are reported."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._exits: dict[int, socket.socket] = {}
        self._wakes, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def serve(self) -> dict[str, object] | None:
        """Fork for each request. Returns the request in the new process, None when the tests have ended."""
        signal.set_wakeup_fd(self._waker)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        while True:
            ready, _, _ = select.select([self._requests.fileno(), self._wakes], [], [])
            if self._wakes in ready:
                os.read(self._wakes, _REQUEST_BYTES)
                self._report()
            if self._requests.fileno() in ready:
                packet, descriptors, _, _ = socket.recv_fds(self._requests, _REQUEST_BYTES, 4)
                if not packet:
                    return None
                if self._fork(descriptors[:3], descriptors[3]):
                    request: dict[str, object] = json.loads(packet)
                    return request

    def _fork(self, streams: Sequence[int], exits: int) -> bool:
        """Returns whether this is the new process."""
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            for number, descriptor in enumerate(streams):
                os.dup2(descriptor, number)
            for descriptor in (*streams, exits, self._wakes, self._waker):
                os.close(descriptor)
            for other in (self._requests, *self._exits.values()):
                other.close()
            return True
        for descriptor in streams:
            os.close(descriptor)
        self._exits[pid] = socket.socket(fileno=exits)
        self._exits[pid].send(str(pid).encode())
        return False

    def _report(self) -> None:
        while self._exits:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            with self._exits.pop(pid) as exits, contextlib.suppress(OSError):
                exits.send(str(os.waitstatus_to_exitcode(status)).encode())


def run_request(request: Mapping[str, object]) -> None:
    """Run the module of a request as `python -m` does, in this process."""
    arguments, environment = request["arguments"], request["environment"]
    assert isinstance(arguments, list)
    assert isinstance(environment, dict)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(str(request["directory"]))
    paths = [os.getcwd(), *environment.get("PYTHONPATH", "").split(os.pathsep)]  # noqa: PTH109
    sys.path[:] = list(dict.fromkeys([*filter(None, paths), *sys.path]))
    sys.argv[:] = arguments
    if environment.get("PYTHONUNBUFFERED"):
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(write_through=True)  # type: ignore[union-attr]
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


def main(descriptor: int) -> None:
    """Import everything, then fork on request."""
    for module in MODULES:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # a collection in a fork would copy the pages of all these objects
    if (request := _Forks(socket.socket(fileno=descriptor)).serve()) is not None:
        run_request(request)


if __name__ == "__main__":
    main(int(sys.argv[1]))
