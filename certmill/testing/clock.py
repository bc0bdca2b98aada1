"""A clock that only moves when it is told to."""

from __future__ import annotations

import threading


class FakeClock:
    """A Clock at `now` (seconds since the epoch). A pause does not wait: it moves the clock."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now
        self._monotonic = 1_000.0
        self._lock = threading.Lock()

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def pause(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        with self._lock:
            self._now += seconds
            self._monotonic += max(0.0, seconds)

    def set_by(self, seconds: float) -> None:
        """Somebody sets the wall clock forward or (negative) back; no time passes."""
        with self._lock:
            self._now += seconds
