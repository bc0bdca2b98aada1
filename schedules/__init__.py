"""The schedule of Celery beat: which tick, how often, and why. Certificates have no entries; their due times
are scores in Redis.

Ticks do not expire, because clocks of machines differ and every tick might be discarded. Ticks do not pile up
either: beat sends none while one of the same kind waits (workers.scheduler). Forbidden here: anything but the
table."""

from __future__ import annotations

from typing import Any, NamedTuple

from certmill.contract import ARI_TASK, RENEWALS_TASK, REREAD_TASK, SWEEP_TASK, TICKS_QUEUE, WAKE_TASK


class Entry(NamedTuple):
    """One row: the tick's task, seconds between two, and the reason for that number."""

    task: str
    every_seconds: float
    why: str


TABLE = (
    Entry(
        WAKE_TASK,
        1.0,
        "a waiting step continues within a second of its due time; a lost message is published again",
    ),
    Entry(
        RENEWALS_TASK,
        60.0,
        "renewal starts days before expiry, and the next attempt minutes after a failure: a minute is enough",
    ),
    Entry(
        ARI_TASK,
        30.0,
        "a CA is asked for renewal information every few hours; 500 requests in half a minute are enough for "
        "300,000 certificates",
    ),
    Entry(
        REREAD_TASK,
        30.0,
        "a new manifest in the home is read within half a minute; `certmill apply` requests it at once",
    ),
    Entry(SWEEP_TASK, 3600.0, "records that a crash left in DNS do no harm for an hour"),
)


def beat_schedule() -> dict[str, dict[str, Any]]:
    """The table as Celery's beat_schedule."""
    return {
        entry.task: {
            "task": entry.task,
            "schedule": entry.every_seconds,
            "options": {"queue": TICKS_QUEUE},
        }
        for entry in TABLE
    }
