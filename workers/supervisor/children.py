"""One child process of the supervisor. It is started, checked for readiness, started again with back-off when
it ends, and never lives longer than its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # prctl(2)
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 30.0
_STABLE_SECONDS = 60.0  # after this time in operation, the back-off begins anew


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program to run. `probe` returns whether it does its work. `patience_seconds` is the time between
    SIGTERM and SIGKILL."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    probe: Callable[[], bool]
    patience_seconds: float = 10.0
    inherited: tuple[int, ...] = ()


class Child:
    """A program that is started again whenever it ends. All times are of the monotonic clock."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.exits = 0
        self.exit_code: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._start_at = 0.0
        self._pause = _FIRST_PAUSE_SECONDS

    @property
    def pid(self) -> int | None:
        """The pid of the running process, or None."""
        return self._process.pid if self._process is not None else None

    def is_ready(self) -> bool:
        """Whether the process runs and does its work."""
        return self._process is not None and self._process.poll() is None and self.program.probe()

    def is_due(self) -> bool:
        """Whether the process has ended, or must be started now."""
        if self._process is not None:
            return self._process.poll() is not None
        return time.monotonic() >= self._start_at

    def start_or_reap(self) -> str | None:
        """Start the process if it is due, or record its end. Returns a line for the operator, or None."""
        now = time.monotonic()
        if self._process is not None:
            code = self._process.poll()
            return None if code is None else self._record_end(code, now)
        if now >= self._start_at:
            self._start(now)
        return None

    def terminate(self) -> None:
        """Send SIGTERM, if the process runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def wait(self, seconds: float) -> bool:
        """Wait until the process ends. Returns False if it still runs after `seconds`."""
        if self._process is None:
            return True
        try:
            self._process.wait(max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """Send SIGKILL, and wait until the process ends."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _start(self, now: float) -> None:
        self._process = subprocess.Popen(
            self.program.command,
            env=dict(self.program.environment),
            stdin=subprocess.DEVNULL,
            pass_fds=self.program.inherited,
            start_new_session=True,  # Ctrl-C reaches only the supervisor, which stops the children in order
            preexec_fn=_end_with_parent(os.getpid()),  # noqa: PLW1509 - the supervisor has one thread
        )
        self._started = now

    def _record_end(self, code: int, now: float) -> str:
        self._process, self.exit_code, self.exits = None, code, self.exits + 1
        if now - self._started >= _STABLE_SECONDS:
            self._pause = _FIRST_PAUSE_SECONDS
        pause, self._pause = self._pause, min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
        self._start_at = now + pause
        return f"{self.program.name} ended ({_ending(code)}); starts again in {pause:.0f} s"


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"


def _end_with_parent(parent: int) -> Callable[[], None]:
    """Return the function that a child calls before exec. With it the kernel ends the child when its parent
    ends, even by SIGKILL (Linux only)."""
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

    def bind() -> None:
        if libc is None:
            return
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent ended before the call of prctl
            os._exit(1)

    return bind


def file_probe(file: Path) -> Callable[[], bool]:
    """Return a probe that is true when the child has created this file."""
    return file.exists
