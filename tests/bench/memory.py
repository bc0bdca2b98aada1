"""The memory of the Redis of a simulated year. Redis lets keys expire by the real clock, so what would have
expired by the simulated one is removed here, each WEEK, before the memory is read."""

from __future__ import annotations

from typing import cast

import redis

from certmill.state import keys

WEEK = 7 * 86_400.0
_RECEIPT_SECONDS = 86_400
_RECEIPTS = f"{keys.receipt('').rpartition(':')[0]}:*"
_AT_ONCE = 5000


class Memory:
    """`peak`: the most bytes that were used, without those of the empty Redis."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._empty = self._used()
        self._last = 0.0
        self._days: list[tuple[float, float]] = []
        self.peak = 0

    def tick(self, now: float) -> None:
        """Call it at each tick of the simulated clock."""
        if not self._days or now - self._days[-1][0] >= 3600.0:
            self._days = [*self._days[-200:], (now, self._real())]
        if now - self._last < WEEK:
            return
        self._last = now
        self._expire(now)
        self.peak = max(self.peak, self._used() - self._empty)

    def _expire(self, now: float) -> None:
        """A receipt expires a day after its time to live began; a bucket when it is full."""
        a_day_ago = next((real for day, real in reversed(self._days) if day <= now - _RECEIPT_SECONDS), 0.0)
        longest_left = 1000 * (_RECEIPT_SECONDS - (self._real() - a_day_ago))
        receipts = list(self._redis.scan_iter(match=_RECEIPTS, count=_AT_ONCE))
        for some in _chunks(receipts):
            with self._redis.pipeline(transaction=False) as pipe:
                for key in some:
                    pipe.pttl(key)
                left = cast("list[int]", pipe.execute())
            self._delete([key for key, ms in zip(some, left, strict=True) if ms < longest_left])
        buckets = list(self._redis.scan_iter(match=keys.bucket("*"), count=_AT_ONCE, _type="string"))
        for some in _chunks(buckets):
            values = cast("list[str | None]", self._redis.mget(some))
            full = [key for key, value in zip(some, values, strict=True) if _is_full(value, now)]
            self._delete(full)

    def _delete(self, names: list[str]) -> None:
        if names:
            self._redis.delete(*names)

    def _used(self) -> int:
        self._redis.memory_purge()
        return int(self._redis.info("memory")["used_memory"])

    def _real(self) -> float:
        seconds, micros = self._redis.time()
        return seconds + micros / 1e6


def _is_full(value: str | None, now: float) -> bool:
    """By the bucket's own times (state.buckets)."""
    if value is None:
        return False
    full_at, closed, _ = map(float, value.split())
    return max(full_at, closed) + 30 < now


def _chunks(names: list[str]) -> list[list[str]]:
    return [names[start : start + _AT_ONCE] for start in range(0, len(names), _AT_ONCE)]
