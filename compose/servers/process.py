"""Runs a server as a child process: starts it with its output in a log file, waits until it answers, stops,
kills, freezes and thaws it.

`ServerProcess` is for any process. `Server` is the base class of Pebble, Redis, BIND and others; each has its
own `start`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol, Self

from compose.servers import ServerFailed

_POLL_SECONDS = 0.02
_LOG_TAIL_CHARACTERS = 1500


class Child(Protocol):
    """A running process, with the methods of subprocess.Popen that are used here."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """The exit code, or None while the process runs."""

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises subprocess.TimeoutExpired."""

    def send_signal(self, number: int, /) -> None:
        """Send a signal to the process if it runs."""


class Spawn(Protocol):
    """Starts a process in a session of its own."""

    def __call__(
        self,
        command: Sequence[str],
        *,
        log: IO[bytes],
        environment: Mapping[str, str],
        directory: Path | None = None,
    ) -> Child: ...


def spawn(
    command: Sequence[str], *, log: IO[bytes], environment: Mapping[str, str], directory: Path | None = None
) -> Child:
    """Start a program in `directory` (None: the current one) with its output in `log` and exactly these
    environment variables."""
    return subprocess.Popen(
        list(command),
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )


class ServerProcess:
    """One child process in its own process group. A Ctrl-C at the terminal then reaches only the parent,
    which stops its children in order."""

    def __init__(self, name: str, *, log: Path, spawn: Spawn = spawn) -> None:
        self._name = name
        self._log = log
        self._spawn = spawn
        self._child: Child | None = None
        self._asked_to_stop = False

    @property
    def pid(self) -> int | None:
        """The process id; None before start(), and after stop() or kill()."""
        return self._child.pid if self._child is not None else None

    @property
    def is_running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(
        self,
        command: Sequence[str | Path],
        *,
        answers: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
        timeout_seconds: float = 60.0,
    ) -> None:
        """Start it. Returns when `answers()` is true. Raises ServerFailed with the end of the log."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._asked_to_stop = False
        with self._log.open("ab") as log:
            self._child = self._spawn(
                [str(part) for part in command],
                log=log,
                environment={**os.environ, **(environment or {})},
            )
        deadline = time.monotonic() + timeout_seconds
        while not answers():
            if self._child.poll() is not None or time.monotonic() > deadline:
                reason = (
                    "ended by itself"
                    if self._child.poll() is not None
                    else f"did not answer within {timeout_seconds:g} s"
                )
                self.kill()
                raise ServerFailed(f"{self._name} {reason}: {self.log_tail()}")
            time.sleep(_POLL_SECONDS)

    def log_tail(self) -> str:
        """The end of the log."""
        try:
            return self._log.read_text(errors="replace")[-_LOG_TAIL_CHARACTERS:].strip()
        except OSError:
            return "(no log)"

    def ask_to_stop(self) -> None:
        """Send SIGTERM, and do not wait. It is sent once, because a worker treats a second one as a request
        to stop sooner."""
        if not self._asked_to_stop:
            self._signal(signal.SIGCONT)
            self._signal(signal.SIGTERM)
            self._asked_to_stop = True

    def stop(self, *, timeout_seconds: float = 5.0) -> None:
        """Send SIGTERM, and SIGKILL after `timeout_seconds`. Does nothing if the process does not run."""
        if self._child is None:
            return
        self.ask_to_stop()
        try:
            self._child.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        self._child = None

    def kill(self) -> None:
        """Send SIGKILL, which has the effect of a crash of the machine."""
        if self._child is None:
            return
        self._signal(signal.SIGKILL)
        self._child.wait()
        self._child = None

    def reload(self) -> None:
        """Send SIGHUP. Some servers then read their configuration again."""
        self._signal(signal.SIGHUP)

    def freeze(self) -> None:
        """Send SIGSTOP: connections stay open, but nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue after freeze()."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        child = self._child  # another thread may stop it at the same time
        if child is not None and child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(number)


class Server(ABC):
    """A server that is one child process. As a context manager it runs inside the `with` block."""

    _process: ServerProcess

    @abstractmethod
    def start(self) -> None:
        """Start it. A second start uses the same ports. Raises MissingServer, ServerFailed."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The process id; None before start(), and after stop() or kill()."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.is_running

    def stop(self) -> None:
        """Send SIGTERM, and SIGKILL if it does not end. Its data stays."""
        self._process.stop()

    def kill(self) -> None:
        """Send SIGKILL, which has the effect of a crash of the machine."""
        self._process.kill()

    def freeze(self) -> None:
        """Send SIGSTOP: connections stay open, but nothing answers."""
        self._process.freeze()

    def thaw(self) -> None:
        """Continue after freeze()."""
        self._process.thaw()
