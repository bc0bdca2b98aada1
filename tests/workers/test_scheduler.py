"""Beat goes on to tick whatever somebody does to the clock, and leaves no pile of ticks."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import celery
import pytest

from certmill.contract import TICKS_QUEUE
from certmill.settings import load
from schedules import beat_schedule
from tests.support.processes import Processes, Server, item, ran
from tests.support.waiting import until
from workers.admin.liveness import Liveness
from workers.configuration import App as RealApp
from workers.configuration import table
from workers.scheduler import Scheduler

EVERY = {name: {"task": name, "schedule": seconds} for name, seconds in (("wake", 1.0), ("renewals", 60.0))}


class App(celery.Celery):
    """An app whose clock is set by the test."""

    wall = datetime(2027, 1, 1, tzinfo=UTC)
    elapsed = 0.0
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
        self.monotonic = lambda: app.elapsed

    def turn(self, seconds):
        """So many seconds go by, ten turns in each."""
        self.sent = []
        for _ in range(seconds):
            self.app.wall += timedelta(seconds=1)
            self.app.elapsed += 1.0
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


def test_a_clock_that_is_set_forward_brings_no_tick_early():
    beat = scheduler()
    beat.turn(5)

    beat.app.wall += timedelta(hours=3)

    assert beat.turn(5) == ["wake"] * 5


def test_a_beat_that_stood_still_sends_each_tick_once_and_goes_on():
    beat = scheduler()
    beat.tick()

    beat.app.elapsed += 3600.0
    beat.tick()

    assert sorted(beat.sent) == ["renewals", "wake"]
    assert beat.turn(5) == ["wake"] * 5


def test_each_tick_comes_at_its_interval_and_beat_sleeps_until_the_next():
    beat = scheduler()

    assert (beat.tick(), beat.sent) == (1.0, [])
    beat.app.elapsed += 0.75
    assert (beat.tick(), beat.sent) == (0.25, [])
    assert Counter(beat.turn(120)) == {"wake": 120, "renewals": 2}


class SkewedApp(RealApp):
    """certmill's app, on a machine whose clock is wrong."""

    skew = timedelta()

    def now(self):
        return super().now() + self.skew


def beat_of(server: Server, home, skew: timedelta):
    """certmill's beat with its own table, on a machine whose clock is wrong by so much."""
    app = SkewedApp("certmill", set_as_current=False)
    app.liveness = Liveness()
    app.conf.update(table(load(home=home, redis_url=server.url), beat_schedule()))
    app.skew = skew
    return Scheduler(app)


def waiting(server: Server) -> list[str]:
    with server.client as client:
        return [json.loads(raw)["headers"]["task"] for raw in client.lrange(TICKS_QUEUE, 0, -1)]


@pytest.mark.parametrize("hours", [-24, -1, 1, 24])
def test_the_ticks_of_a_beat_whose_clock_is_wrong_are_taken(
    server: Server, processes: Processes, tmp_path, hours
):
    processes.worker()
    beat = beat_of(server, tmp_path, timedelta(hours=hours))

    for entry in list(beat.schedule.values()):
        beat.apply_entry(entry, producer=beat.producer)

    until(lambda: {line["task"] for line in ran(server)} == set(beat_schedule()), what=processes.log)


def test_beats_without_a_worker_leave_one_tick_of_each_kind(server: Server, tmp_path):
    beats = [beat_of(server, tmp_path, timedelta()) for _ in range(3)]

    for _ in range(50):
        for beat in beats:
            for entry in list(beat.schedule.values()):
                beat.apply_entry(entry, producer=beat.producer)

    assert sorted(waiting(server)) == sorted(beat_schedule())


def test_what_is_no_tick_keeps_no_tick_back(server: Server, tmp_path):
    with server.client as client:
        client.lpush(TICKS_QUEUE, b"\xff", b"[]", item("tick.sweep", [], queue=TICKS_QUEUE))
    beat = beat_of(server, tmp_path, timedelta())

    for entry in list(beat.schedule.values()):
        beat.apply_entry(entry, producer=beat.producer)

    with server.client as client:
        assert client.llen(TICKS_QUEUE) == len(beat.schedule) + 2
