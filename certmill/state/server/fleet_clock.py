"""A clock that all processes share: the clock of Redis. One machine stores an instant and every other machine
reads it, so all must mean the same instant.

While Redis answers, the machine's own clock decides nothing. If it is a year ahead or behind, certificates do
not look expired, and no wait lasts until next year. While Redis does not answer, the last answer continues
with the monotonic clock. Before the first answer, the machine's own clock is used."""

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
    """A Clock that reads the time of Redis every ten seconds. Safe to use from many threads."""

    def __init__(self, client: redis.Redis, *, own: Clock | None = None) -> None:
        self._redis = client
        self._own = own or SystemClock()
        self._guard = threading.Lock()
        self._asked_at: float | None = None
        self._offset: float | None = None
        self._is_logged = False

    def now(self) -> float:
        """Seconds since the epoch, by the clock of Redis."""
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
        """One thread reads the time. The other threads continue with the known offset, but wait for the first
        answer."""
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
                self._log_difference(seconds - self._own.now())
            except RedisError:  # code that needs Redis itself reports this error
                after = self._own.monotonic()
            self._asked_at = after
        finally:
            self._guard.release()

    def _log_difference(self, seconds: float) -> None:
        differs = abs(seconds) > DIFFERENCE_TOLD_SECONDS
        if differs and not self._is_logged:
            log.warning(
                "clock.differs",
                seconds=round(seconds),
                reason=(
                    "the clock of this machine is not that of Redis, which is used; synchronize both (NTP)"
                ),
            )
        self._is_logged = differs
