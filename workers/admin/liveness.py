"""Whether a process does its work, judged from inside it: /livez says so, and what stands still is started
again by its supervisor.

A main loop that turns no more, a pool whose threads are all stuck, a thread that has ended. A Redis or an API
server that is away is no reason: a restart would not bring it back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STALE_SECONDS = 120.0
"""Longer than anything that a main loop does in one turn."""

EVERY_SECONDS = 5.0


class Liveness:
    """Of one process. `turned` is called by the main loop, everything else by the thread that answers."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._turned_at = monotonic()
        self._connecting = threading.Event()
        self._checks: dict[str, Callable[[], bool]] = {}
        self._needs: dict[str, Callable[[], bool]] = {}

    def turned(self) -> None:
        """The main loop has turned."""
        self._turned_at = self._monotonic()

    @contextmanager
    def connecting(self) -> Iterator[None]:
        """The main loop tries to reach Redis, each time with a time-out, for as long as it takes: that is no
        standing still."""
        self._connecting.set()
        try:
            yield
        finally:
            self.turned()
            self._connecting.clear()

    def require(self, what: str, holds: Callable[[], bool]) -> None:
        """Something besides the main loop that has to hold, said as what is wrong when it does not."""
        self._checks[what] = holds

    def need(self, what: str, holds: Callable[[], bool]) -> None:
        """Something outside that it needs for its work, said as what is wrong: without it the process lives,
        and is not ready."""
        self._needs[what] = holds

    def unready(self) -> list[str]:
        """What it needs and has not."""
        return [what for what, holds in list(self._needs.items()) if not holds()]

    def troubles(self) -> list[str]:
        """What stands still; nothing: it lives."""
        age = self._monotonic() - self._turned_at
        stale = (
            []
            if self._connecting.is_set() or age <= STALE_SECONDS
            else [f"the main loop has not turned for {age:.0f} s"]
        )
        return stale + [what for what, holds in list(self._checks.items()) if not holds()]
