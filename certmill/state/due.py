"""The due-time indexes, as the ticks read them: a tick costs what is due, not what exists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import redis

from certmill import contract
from certmill.model.names import CertificateId
from certmill.state import keys
from certmill.state.records import Due
from certmill.state.server.connection import answering, script

CLOCK_JUMP_SECONDS = 60.0
"""Two ticks may tell times that differ by so much more or less than what has gone by, before the clock has
jumped."""
LONGEST_WAIT_SECONDS = 8 * 86_400.0
"""Longer than any wait and any back-off (runs.backoff)."""

_NOTED_AHEAD = (keys.WAITING, keys.RENEWALS, keys.JOURNAL_TIMES)
"""Sets whose scores may be far ahead. Those of the others are put right by each tick."""


class DueTimes:
    """What has to be rung, and how long the queue of steps is. Every method raises StateUnavailable when
    Redis is away."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._wake = script(client, "wake")
        self._observe_clock = script(client, "observe_clock")

    @answering
    def take(self, due: Due, *, now: float, suspect_after: float, limit: int) -> list[CertificateId]:
        """Ids that are due in this set, moved in flight; suspected lost after `suspect_after`. No two callers
        get the same id."""
        ids = cast(
            "list[str]",
            self._wake(keys=[due.value, keys.IN_FLIGHT], args=[f"{now:.3f}", f"{suspect_after:.3f}", limit]),
        )
        return [CertificateId(id_) for id_ in ids]

    @answering
    def set_back(self, due: Due, *, now: float, latest: float, limit: int) -> None:
        """What is noted in this set for later than `latest` was noted under a clock that was wrong: it is due
        now."""
        ids = cast(
            "list[str]", self._redis.zrangebyscore(due.value, f"({latest:.3f}", "+inf", start=0, num=limit)
        )
        if ids:
            self._redis.zadd(due.value, dict.fromkeys(ids, now), xx=True)

    @answering
    def observe_clock(self, *, now: float, limit: int) -> None:
        """A tick tells the time. After a clock was ahead, what was noted under it is due now: `limit` of each
        set a tick, until all are.

        Renewals that are due years from now, and rightly, are left alone: only what was noted for after the
        jump is looked at again."""
        window = cast(
            "list[str]",
            self._observe_clock(
                keys=[keys.CLOCK, keys.CLOCK_JUMPS],
                args=[f"{now:.3f}", CLOCK_JUMP_SECONDS, LONGEST_WAIT_SECONDS],
            ),
        )
        if window:
            first, last = (float(instant) for instant in window)
            found = [
                self._due_now(name, now=now, first=max(first, now + 0.001), last=last, limit=limit)
                for name in _NOTED_AHEAD
            ]
            if max(found) < limit:
                self._redis.hdel(keys.CLOCK, "from", "to")

    def _due_now(self, name: str, *, now: float, first: float, last: float, limit: int) -> int:
        members = cast(
            "list[str]", self._redis.zrangebyscore(name, f"{first:.3f}", f"{last:.3f}", start=0, num=limit)
        )
        if members:
            self._redis.zadd(name, dict.fromkeys(members, now), xx=True)
        return len(members)

    @answering
    def renewals(self, *, now: float, limit: int) -> list[CertificateId]:
        """Idle certificates whose renewal or next attempt is due, the longest overdue first. They stay in the
        set until a run begins."""
        ids = cast("list[str]", self._redis.zrangebyscore(keys.RENEWALS, "-inf", now, start=0, num=limit))
        return [CertificateId(id_) for id_ in ids]

    @answering
    def postpone(self, certificates: Sequence[CertificateId], *, at: float) -> None:
        """Look at these idle certificates again at `at`; those that are not idle are left alone."""
        if certificates:
            self._redis.zadd(keys.RENEWALS, {str(certificate): at for certificate in certificates}, xx=True)

    @answering
    def queue_length(self) -> int:
        """Messages that wait on the queue of steps."""
        return self._redis.llen(contract.STEPS_QUEUE)

    @answering
    def requests_waiting(self) -> int:
        """Messages that wait on the queue of looks at objects of the cluster."""
        return self._redis.llen(contract.CHANGES_QUEUE)
