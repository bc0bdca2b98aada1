"""What counts as standing still, by a clock of the test."""

from __future__ import annotations

from types import SimpleNamespace

from workers.admin.liveness import STALE_SECONDS, Liveness


def liveness():
    clock = SimpleNamespace(now=1000.0)
    return Liveness(monotonic=lambda: clock.now), clock


def test_a_turn_of_the_main_loop_is_good_for_two_minutes():
    life, clock = liveness()
    clock.now += STALE_SECONDS
    assert life.troubles() == []

    clock.now += 1
    assert life.troubles() == ["the main loop has not turned for 121 s"]

    life.turned()
    assert life.troubles() == []


def test_trying_to_reach_redis_for_an_hour_is_no_standing_still():
    life, clock = liveness()

    with life.connecting():
        clock.now += 3600
        assert life.troubles() == []

    assert life.troubles() == []
    clock.now += STALE_SECONDS + 1
    assert len(life.troubles()) == 1


def test_what_must_hold_is_distinguished_from_what_is_needed():
    life, _ = liveness()
    life.require("a thread has ended", lambda: False)
    life.need("the API server does not answer", lambda: False)

    assert life.troubles() == ["a thread has ended"]
    assert life.unready() == ["the API server does not answer"]
