"""Decides inside a process whether it does its work. /livez reports the result, and the supervisor restarts a
process that has stopped working.

A process has stopped working if its main loop no longer turns, if all threads of its pool are stuck, or if a
required thread has ended. A Redis or an API server that does not answer is no reason: a restart would not
repair it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STALE_SECONDS = 120.0
"""Longer than any single turn of a main loop."""

EVERY_SECONDS = 5.0


class Liveness:
    """The liveness of one process. The main loop calls `turned`; the thread of the admin port calls `unready`
    and `troubles`."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._turned_at = monotonic()
        self._connecting = threading.Event()
        self._checks: dict[str, Callable[[], bool]] = {}
        self._needs: dict[str, Callable[[], bool]] = {}

    def turned(self) -> None:
        """Record that the main loop has turned."""
        self._turned_at = self._monotonic()

    @contextmanager
    def connecting(self) -> Iterator[None]:
        """The main loop connects to Redis during this context, for any length of time. Each attempt has a
        time-out, so the loop does not count as stuck."""
        self._connecting.set()
        try:
            yield
        finally:
            self.turned()
            self._connecting.clear()

    def require(self, what: str, holds: Callable[[], bool]) -> None:
        """Add a condition for liveness besides the main loop. `what` is the message when it does not hold."""
        self._checks[what] = holds

    def need(self, what: str, holds: Callable[[], bool]) -> None:
        """Add an external condition for the work of the process. `what` is the message when it does not hold.
        Without it the process is live, but not ready."""
        self._needs[what] = holds

    def unready(self) -> list[str]:
        """Return the messages of the external conditions that do not hold."""
        return [what for what, holds in list(self._needs.items()) if not holds()]

    def troubles(self) -> list[str]:
        """Return the messages of what has stopped. An empty list means that the process is live."""
        age = self._monotonic() - self._turned_at
        stale = (
            []
            if self._connecting.is_set() or age <= STALE_SECONDS
            else [f"the main loop has not turned for {age:.0f} s"]
        )
        return stale + [what for what, holds in list(self._checks.items()) if not holds()]
