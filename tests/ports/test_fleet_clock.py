"""The fleet's clock is Redis', whatever the clocks of its machines say."""

from __future__ import annotations

import time

import pytest

from certmill.runtime import Runtime
from certmill.settings import Settings
from certmill.state.server.connection import connect
from certmill.state.server.fleet_clock import SYNCHRONIZE_SECONDS, FleetClock
from certmill.testing.clock import FakeClock

YEAR = 365 * 86_400.0


def test_a_machine_whose_clock_is_a_year_ahead_has_the_time_of_redis(redis):
    own = FakeClock(time.time() + YEAR)

    assert FleetClock(redis, own=own).now() == pytest.approx(time.time(), abs=30)


@pytest.mark.parametrize("seconds", [YEAR, -YEAR, 300, -300])
def test_a_machines_clock_that_is_set_changes_nothing(redis, seconds):
    own = FakeClock(time.time())
    clock = FleetClock(redis, own=own)
    before = clock.now()

    own.set_by(seconds)
    assert clock.now() == before
    own.advance(5.0)
    assert clock.now() == pytest.approx(before + 5.0)


def test_redis_is_asked_every_ten_seconds_and_not_each_time(redis):
    own = FakeClock(time.time())
    clock = FleetClock(redis, own=own)

    def asked():
        return int(redis.info("commandstats").get("cmdstat_time", {}).get("calls", 0))

    clock.now()
    before = asked()
    for _ in range(50):
        clock.now()
    assert asked() == before
    own.advance(SYNCHRONIZE_SECONDS)
    clock.now()

    assert asked() == before + 1
    assert clock.now() == pytest.approx(time.time(), abs=30)


def test_while_redis_is_away_the_last_answer_goes_on(redis_server):
    own = FakeClock(time.time() + YEAR)
    client = connect(redis_server.url)
    clock = FleetClock(client, own=own)
    before = clock.now()
    client.connection_pool.disconnect()
    client.connection_pool.connection_kwargs |= {"port": 1}

    own.advance(60.0)

    assert clock.now() == pytest.approx(before + 60.0)


def test_before_the_first_answer_the_machines_clock_counts():
    own = FakeClock(1_800_000_000.0)
    clock = FleetClock(connect("redis://127.0.0.1:1/0", timeout_seconds=1.0), own=own)

    assert clock.now() == own.now()


def test_a_runtime_has_the_fleets_clock(tmp_path, redis_server):
    runtime = Runtime.open(Settings.model_validate({"home": tmp_path, "redis_url": redis_server.url}))
    try:
        assert isinstance(runtime.ports.clock, FleetClock)
    finally:
        runtime.close()
