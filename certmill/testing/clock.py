"""A clock for tests that moves only when a test moves it."""

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
        """Move the clock forward by `seconds`."""
        with self._lock:
            self._now += seconds
            self._monotonic += max(0.0, seconds)

    def set_by(self, seconds: float) -> None:
        """Set the wall clock forward or (negative) back, as an administrator would. The monotonic time does
        not change."""
        with self._lock:
            self._now += seconds
