"""One clock for the fleet: Redis'. What one machine notes for an instant, every other reads; so all have to
mean the same instant by it.

The clock of the machine itself decides nothing while Redis answers: set a year ahead or back, it neither
makes certificates look expired nor notes waits for next year. While Redis is away the last answer goes on
with the monotonic clock; before the first one, the machine's clock."""

from __future__ import annotations

import threading
from typing import Final

import redis
from redis.exceptions import RedisError

from certmill.clock import Clock, SystemClock
from certmill.observe.log import get_logger

SYNCHRONIZE_SECONDS: Final = 10.0
DIFFERENCE_TOLD_SECONDS: Final = 60.0

log = get_logger(__name__)


class FleetClock:
    """A Clock that asks Redis for the time every ten seconds. Safe from many threads."""

    def __init__(self, client: redis.Redis, *, own: Clock | None = None) -> None:
        self._redis = client
        self._own = own or SystemClock()
        self._guard = threading.Lock()
        self._asked_at: float | None = None
        self._offset: float | None = None
        self._told = False

    def now(self) -> float:
        """Seconds since the epoch, by Redis' clock."""
        asked_at = self._asked_at
        if asked_at is None or self._own.monotonic() - asked_at >= SYNCHRONIZE_SECONDS:
            self._synchronize(wait=asked_at is None)
        offset = self._offset
        return self._own.now() if offset is None else self._own.monotonic() + offset

    def monotonic(self) -> float:
        return self._own.monotonic()

    def pause(self, seconds: float) -> None:
        self._own.pause(seconds)

    def _synchronize(self, *, wait: bool) -> None:
        """One thread asks; the others go on with what is known, but wait for the first answer."""
        if not self._guard.acquire(blocking=wait):
            return
        try:
            before = self._own.monotonic()
            if self._asked_at is not None and before - self._asked_at < SYNCHRONIZE_SECONDS:
                return
            try:
                seconds, microseconds = self._redis.time()
                after = self._own.monotonic()
                self._offset = seconds + microseconds / 1e6 - (before + after) / 2
                self._tell_difference(seconds - self._own.now())
            except RedisError:  # whoever needs Redis itself says so
                after = self._own.monotonic()
            self._asked_at = after
        finally:
            self._guard.release()

    def _tell_difference(self, seconds: float) -> None:
        differs = abs(seconds) > DIFFERENCE_TOLD_SECONDS
        if differs and not self._told:
            log.warning(
                "clock.differs",
                seconds=round(seconds),
                reason=(
                    "the clock of this machine is not that of Redis, which is used; synchronize both (NTP)"
                ),
            )
        self._told = differs
