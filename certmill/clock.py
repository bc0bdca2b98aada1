"""Time as an argument: everything that decides by time takes a Clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time, elapsed time, and a short pause for polls that linger (≤ 1 s in all)."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; setting the machine's clock does not change it. Only for differences
        within a process."""
        ...

    def pause(self, seconds: float) -> None:
        """Let `seconds` pass. Only for a linger inside a step; a real wait is data, not time."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)


def instant(seconds: float) -> datetime:
    """An aware UTC datetime for `seconds` since the epoch."""
    return datetime.fromtimestamp(seconds, UTC)
