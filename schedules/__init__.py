"""Beat's table: which tick, how often, and why. One place, no entry per certificate: a certificate's times
are scores in Redis.

Forbidden here: anything but the table. No tick expires: the clocks of beat's machine and a worker's may
differ by any time, and then each tick would be discarded. A worker that was away finds no pile of them
either, as beat sends none of which one waits (workers.scheduler)."""

from __future__ import annotations

from typing import Any, NamedTuple

from certmill.contract import RENEWALS_TASK, REREAD_TASK, SWEEP_TASK, TICKS_QUEUE, WAKE_TASK


class Entry(NamedTuple):
    """One row: the tick's task, seconds between two, and the reason for that number."""

    task: str
    every_seconds: float
    why: str


TABLE = (
    Entry(
        WAKE_TASK,
        1.0,
        "a step that waits goes on within a second of its time; a message that was lost is rung again",
    ),
    Entry(
        RENEWALS_TASK,
        60.0,
        "renewal is days early, the next attempt after a failure minutes away: a minute is soon enough",
    ),
    Entry(
        REREAD_TASK,
        30.0,
        "a manifest dropped into the home is acted on within half a minute; `certmill apply` asks for it at "
        "once",
    ),
    Entry(SWEEP_TASK, 3600.0, "what a crash left in DNS harms nobody for an hour"),
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
