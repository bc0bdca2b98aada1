"""A server as a child process: started with its output in a log file, waited for until it answers, stopped,
killed, frozen and thawed.

`ServerProcess` is any process; `Server` is what Pebble, Redis, BIND … have in common, each with a `start` of
its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from compose.servers import ServerFailed

_POLL_SECONDS = 0.02
_LOG_TAIL_CHARACTERS = 1500


class ServerProcess:
    """One child process; its own process group, so that a Ctrl-C at the terminal reaches us first and we stop
    it in order."""

    def __init__(self, name: str, *, log: Path) -> None:
        self._name = name
        self._log = log
        self._child: subprocess.Popen[bytes] | None = None
        self._asked_to_stop = False

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
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
        """Start it, and return when `answers()`. Raises ServerFailed with the end of its log."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._asked_to_stop = False
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
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
        """The end of what it wrote."""
        try:
            return self._log.read_text(errors="replace")[-_LOG_TAIL_CHARACTERS:].strip()
        except OSError:
            return "(no log)"

    def ask_to_stop(self) -> None:
        """SIGTERM, and no wait. Once: a worker takes a second one for impatience."""
        if not self._asked_to_stop:
            self._signal(signal.SIGCONT)
            self._signal(signal.SIGTERM)
            self._asked_to_stop = True

    def stop(self, *, timeout_seconds: float = 5.0) -> None:
        """Ask it to end (SIGTERM), then make it. Not running: nothing."""
        if self._child is None:
            return
        self.ask_to_stop()
        try:
            self._child.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        self._child = None

    def kill(self) -> None:
        """SIGKILL, as the machine's death would be."""
        if self._child is None:
            return
        self._signal(signal.SIGKILL)
        self._child.wait()
        self._child = None

    def reload(self) -> None:
        """SIGHUP: read the configuration again, where a server does that."""
        self._signal(signal.SIGHUP)

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on after freeze()."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        child = self._child  # another thread may stop it meanwhile
        if child is not None and child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(number)


class Server(ABC):
    """A server that is one child process. A context manager: it runs inside."""

    _process: ServerProcess

    @abstractmethod
    def start(self) -> None:
        """Start it, or start it again on its ports. Raises MissingServer, ServerFailed."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.is_running

    def stop(self) -> None:
        """Ask it to end, then make it; its data stays."""
        self._process.stop()

    def kill(self) -> None:
        """SIGKILL, as the machine's death would be."""
        self._process.kill()

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self._process.freeze()

    def thaw(self) -> None:
        """Go on after freeze()."""
        self._process.thaw()
