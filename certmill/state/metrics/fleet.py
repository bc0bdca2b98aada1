"""What Redis knows of the whole fleet, for its metrics: a few counts in two round trips, whatever the number
of certificates."""

from __future__ import annotations

import hashlib
import json
from typing import Final, cast

import redis

from certmill.contract import REQUESTS_QUEUE, TASKS_OF_QUEUE
from certmill.model.names import CertificateId
from certmill.observe.fleet_metrics import FleetSample
from certmill.state import keys
from certmill.state.server.connection import answering, script

OVERDUE_SECONDS: Final = 120.0
"""Longer than any tick's pause: what was due before then should have been acted on."""

_SETS: Final = {
    "waiting": keys.WAITING,
    "in-flight": keys.IN_FLIGHT,
    "arrivals": keys.ARRIVALS,
    "renewals": keys.RENEWALS,
}
_MOST_STALE: Final = 20
"""So many runs that have ended may be in the list before one that has not."""
_DROPPED_AT_ONCE: Final = 500


class Fleet:
    """What the ticks note, and what is read of it. Every method raises StateUnavailable when Redis is
    away."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._drop_ended = script(client, "drop_ended")

    @answering
    def note_tick(self, tick: str, *, now: float) -> None:
        """This tick has ended well."""
        self._redis.hset(keys.TICKS, tick, f"{now:.3f}")

    @answering
    def drop_ended(self) -> int:
        """Take out of the list of runs those that a worker of an older release has ended, which keeps no such
        list; how many."""
        oldest = cast("list[CertificateId]", self._redis.zrange(keys.RUNS, 0, _DROPPED_AT_ONCE - 1))
        if not oldest:
            return 0
        return cast(
            "int", self._drop_ended(keys=[keys.RUNS, *(keys.record(id_) for id_ in oldest)], args=oldest)
        )

    @answering
    def sample(self, *, now: float) -> FleetSample:
        """How things stand."""
        with self._redis.pipeline(transaction=False) as pipe:
            for name in _SETS.values():
                pipe.zcard(name)
            for name in _SETS.values():
                pipe.zcount(name, "-inf", now - OVERDUE_SECONDS)
            for queue in TASKS_OF_QUEUE:
                pipe.llen(queue)
            pipe.lindex(REQUESTS_QUEUE, -1)
            pipe.hgetall(keys.TICKS)
            pipe.zrange(keys.RUNS, 0, _MOST_STALE - 1, withscores=True)
            answers = pipe.execute()
        sets, queues = len(_SETS), len(TASKS_OF_QUEUE)
        message, ticks, runs = answers[2 * sets + queues :]
        return FleetSample(
            due=dict(zip(_SETS, answers[:sets], strict=True)),
            overdue=dict(zip(_SETS, answers[sets : 2 * sets], strict=True)),
            queues=dict(zip(TASKS_OF_QUEUE, answers[2 * sets : 2 * sets + queues], strict=True)),
            oldest_request=_id_of(cast("str | None", message)),
            oldest_run_begun=self._oldest(runs),
            ticks={tick: float(at) for tick, at in ticks.items()},
        )

    def _oldest(self, runs: list[tuple[str, float]]) -> float | None:
        """When the oldest run was begun that is really under way (`drop_ended`)."""
        with self._redis.pipeline(transaction=False) as pipe:
            for certificate, _ in runs:
                pipe.hget(f"{keys.RECORD_PREFIX}{certificate}", "step")
            steps = pipe.execute()
        return next((begun for (_, begun), step in zip(runs, steps, strict=True) if step), None)


def _id_of(item: str | None) -> str:
    """The id of a message; of what is none, a digest."""
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
