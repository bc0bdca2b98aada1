"""Reads and moves the due-time indexes in Redis for the ticks. The cost of a tick depends on what is due, not
on what exists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import redis

from certmill import contract
from certmill.model.names import CertificateId
from certmill.state import keys, queues
from certmill.state.records import Due
from certmill.state.server.connection import answering, script

CLOCK_JUMP_SECONDS = 60.0
"""The clock has jumped if the time between two ticks differs by more than this from the time that has really
passed."""
LONGEST_WAIT_SECONDS = 8 * 86_400.0
"""Longer than any wait and any back-off (runs.backoff)."""

_NOTED_AHEAD = (keys.WAITING, keys.RENEWALS, keys.ARI_CHECKS, keys.JOURNAL_TIMES)
"""Sets whose scores may be far in the future. Each tick corrects the scores of the other sets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """The number of messages in the queue of steps, and the number of entries that are due in each set."""

    queue: int
    due: Mapping[Due, int]


class DueTimes:
    """The due-time indexes, and the lengths of the queues. Every method raises StateUnavailable when Redis
    does not answer."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._wake = script(client, "wake")
        self._observe_clock = script(client, "observe_clock")

    @answering
    def take(self, due: Due, *, now: float, suspect_after: float, limit: int) -> list[CertificateId]:
        """Return the ids that are due in this set, at most `limit`, and move them to the in-flight set.

        After `suspect_after` (seconds since the epoch) their messages are suspected to be lost. Two callers
        never get the same id."""
        ids = cast(
            "list[str]",
            self._wake(keys=[due.value, keys.IN_FLIGHT], args=[f"{now:.3f}", f"{suspect_after:.3f}", limit]),
        )
        return [CertificateId(id_) for id_ in ids]

    @answering
    def backlog(self, *, now: float) -> Backlog:
        """Count, in one round trip, the messages in the queue of steps and what is due in each set."""
        with self._redis.pipeline(transaction=False) as pipe:
            queues.add_lengths(pipe, contract.STEPS_QUEUE)
            for due in Due:
                pipe.zcount(due.value, "-inf", f"{now:.3f}")
            counts = cast("list[int]", pipe.execute())
        return Backlog(
            queue=sum(counts[: queues.LISTS]), due=dict(zip(Due, counts[queues.LISTS :], strict=True))
        )

    @answering
    def set_back(self, latest: Mapping[Due, tuple[float, float]], *, limit: int) -> None:
        """Move entries that were stored while the clock was wrong. `latest`: for each set, the latest score
        that is possible, and the score that a later entry gets. At most `limit` of each set in one call."""
        with self._redis.pipeline(transaction=False) as pipe:
            for due, (score, _) in latest.items():
                pipe.zrangebyscore(due.value, f"({score:.3f}", "+inf", start=0, num=limit)
            found = cast("list[list[str]]", pipe.execute())
        for (due, (_, new)), ids in zip(latest.items(), found, strict=True):
            if ids:
                self._redis.zadd(due.value, dict.fromkeys(ids, new), xx=True)

    @answering
    def observe_clock(self, *, now: float, limit: int) -> None:
        """Record the time of a tick. After a clock was ahead, make the entries that were stored meanwhile due
        now: at most `limit` of each set in each tick, until all are done.

        Renewals that are correctly due years from now are not changed. Only entries for a time after the jump
        are checked again."""
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
        """Return the idle certificates whose renewal or next attempt is due, the longest overdue first, at
        most `limit`. They stay in the set until a run begins."""
        ids = cast("list[str]", self._redis.zrangebyscore(keys.RENEWALS, "-inf", now, start=0, num=limit))
        return [CertificateId(id_) for id_ in ids]

    @answering
    def postpone(self, certificates: Sequence[CertificateId], *, at: float) -> None:
        """Check these idle certificates again at `at` (seconds since the epoch). Certificates that are not
        idle are not changed."""
        if certificates:
            self._redis.zadd(keys.RENEWALS, {str(certificate): at for certificate in certificates}, xx=True)

    @answering
    def queue_length(self) -> int:
        """Return the number of messages in the queue of steps."""
        return queues.length_of(self._redis, contract.STEPS_QUEUE)

    @answering
    def requests_waiting(self) -> int:
        """Return the number of messages in the queue of reconcile requests for objects of the cluster."""
        return queues.length_of(self._redis, contract.CHANGES_QUEUE)
