"""Beat goes on to tick whatever somebody does to the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import celery

from workers.liveness import Liveness
from workers.scheduler import Scheduler

EVERY = {name: {"task": name, "schedule": seconds} for name, seconds in (("wake", 1.0), ("renewals", 60.0))}


class App(celery.Celery):
    """An app whose clock is set by the test."""

    wall = datetime(2027, 1, 1, tzinfo=UTC)
    liveness = Liveness()

    def now(self):
        return self.wall


class Noted(Scheduler):
    """Sends nothing, and notes what it would send."""

    def apply_entry(self, entry, producer=None):
        self.sent.append(entry.task)

    def __init__(self, app):
        self.sent = []
        super().__init__(app)

    def turn(self, seconds):
        """So many seconds go by, ten turns in each."""
        self.sent = []
        for _ in range(seconds):
            self.app.wall += timedelta(seconds=1)
            for _ in range(10):
                self.tick()
        return self.sent


def scheduler():
    app = App("test", broker="memory://", set_as_current=False)
    app.conf.beat_schedule = EVERY
    return Noted(app)


def test_a_clock_that_is_set_back_for_hours_costs_no_tick():
    beat = scheduler()
    assert len(beat.turn(5)) >= 4

    beat.app.wall -= timedelta(hours=3)

    assert len(beat.turn(5)) >= 4
    assert "renewals" in beat.turn(61)


def test_a_clock_that_is_set_forward_brings_each_tick_once():
    beat = scheduler()
    beat.turn(5)

    beat.app.wall += timedelta(hours=3)

    assert beat.turn(1).count("renewals") == 1
    assert len(beat.turn(5)) >= 4
