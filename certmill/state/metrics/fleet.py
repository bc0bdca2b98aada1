"""Reads the counts of the whole fleet from Redis for the metrics: two round trips, independent of the number
of certificates."""

from __future__ import annotations

import hashlib
import json
from itertools import islice
from typing import Final, cast

import redis

from certmill.contract import REQUESTS_QUEUE, TASKS_OF_QUEUE
from certmill.model.names import CertificateId
from certmill.observe.fleet_metrics import FleetSample
from certmill.state import keys, queues
from certmill.state.server.connection import answering, script

OVERDUE_SECONDS: Final = 120.0
"""Longer than the interval of any tick. Entries that were due longer ago than this should have been
processed."""

_SETS: Final = {
    "waiting": keys.WAITING,
    "in-flight": keys.IN_FLIGHT,
    "arrivals": keys.ARRIVALS,
    "renewals": keys.RENEWALS,
}
_MOST_STALE: Final = 20
"""The number of entries read from the list of runs to find one that has not ended. The entries before it may
be stale."""
_DROPPED_AT_ONCE: Final = 500


class Fleet:
    """Records the ticks and reads the counts. Every method raises StateUnavailable when Redis does not
    answer."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._drop_ended = script(client, "drop_ended")

    @answering
    def note_tick(self, tick: str, *, now: float) -> None:
        """Record that this tick ended without error at `now` (seconds since the epoch)."""
        self._redis.hset(keys.TICKS, tick, f"{now:.3f}")

    @answering
    def drop_ended(self) -> int:
        """Remove ended runs from the list of runs, and return how many. A worker of an older release does not
        know this list, so the runs that it has ended stay in it."""
        oldest = cast("list[CertificateId]", self._redis.zrange(keys.RUNS, 0, _DROPPED_AT_ONCE - 1))
        if not oldest:
            return 0
        return cast(
            "int", self._drop_ended(keys=[keys.RUNS, *(keys.record(id_) for id_ in oldest)], args=oldest)
        )

    @answering
    def sample(self, *, now: float) -> FleetSample:
        """Return the current counts. `now` is in seconds since the epoch."""
        with self._redis.pipeline(transaction=False) as pipe:
            for name in _SETS.values():
                pipe.zcard(name)
            for name in _SETS.values():
                pipe.zcount(name, "-inf", now - OVERDUE_SECONDS)
            for queue in TASKS_OF_QUEUE:
                queues.add_lengths(pipe, queue)
            for name in queues.lists_of(REQUESTS_QUEUE):
                pipe.lindex(name, -1)
            pipe.hgetall(keys.TICKS)
            pipe.zrange(keys.RUNS, 0, _MOST_STALE - 1, withscores=True)
            answers = iter(pipe.execute())
        sets, lists = len(_SETS), queues.LISTS
        due, overdue = list(islice(answers, sets)), list(islice(answers, sets))
        lengths = [sum(islice(answers, lists)) for _ in TASKS_OF_QUEUE]
        messages = cast("list[str | None]", list(islice(answers, lists)))
        ticks, runs = answers
        return FleetSample(
            due=dict(zip(_SETS, due, strict=True)),
            overdue=dict(zip(_SETS, overdue, strict=True)),
            queues=dict(zip(TASKS_OF_QUEUE, lengths, strict=True)),
            oldest_request=_id_of(next((message for message in messages if message is not None), None)),
            oldest_run_begun=self._oldest(runs),
            ticks={tick: float(at) for tick, at in ticks.items()},
        )

    def _oldest(self, runs: list[tuple[str, float]]) -> float | None:
        """Return when the oldest run began that is really in progress (see `drop_ended`), or None."""
        with self._redis.pipeline(transaction=False) as pipe:
            for certificate, _ in runs:
                pipe.hget(f"{keys.RECORD_PREFIX}{certificate}", "step")
            steps = pipe.execute()
        return next((begun for (_, begun), step in zip(runs, steps, strict=True) if step), None)


def _id_of(item: str | None) -> str:
    """Return the id of a message, or a digest of an item that is not a message."""
    if item is None:
        return ""
    try:
        headers = json.loads(item)["headers"]
        found = headers["id"]
    except (ValueError, LookupError, TypeError, RecursionError):
        found = None
    return (
        str(found)[:64]
        if isinstance(found, str)
        else hashlib.sha256(item.encode("utf-8", "replace")).hexdigest()[:32]
    )
