"""A clock that was a year ahead for half a minute and is correct again: nothing waits for next year, and
times that are rightly in the future stay."""

from __future__ import annotations

from dataclasses import replace

import pytest

from certmill.contract import STEP_NAMES
from certmill.errors import CAUnavailable
from certmill.http01.selfcheck import Probe
from certmill.issuers import registration_backoff
from certmill.runs.facts import Facts
from certmill.runs.outcomes import Proceed, Wait
from certmill.state import keys
from certmill.state.locks import Locks
from certmill.state.records import Due
from certmill.upkeep.sweep import SWEEP_AFTER_SECONDS
from certmill.upkeep.ticks import WAKE_LIMIT
from tests.support.builders import DAY, NOW, a_certificate
from tests.support.mill import Mill

WEB = a_certificate()
YEAR = 365 * DAY


def ticks(mill, *, seconds, every=10.0, renew=True):
    """Run the ticks of beat for this long, and execute what they publish."""
    for _ in range(int(seconds / every)):
        mill.world.clock.advance(every)
        if renew:
            mill.ticks.renew()
        for wake_up in mill.ticks.wake().wake_ups:
            mill.run(wake_up.step)


def ahead(mill, does):
    """Do something while the clock is a year ahead, with ticks before, during and after."""
    mill.ticks.wake()
    mill.world.clock.set_by(YEAR)
    mill.ticks.wake()
    mill.world.clock.advance(10)
    does()
    mill.world.clock.advance(20)
    mill.ticks.wake()
    mill.world.clock.set_by(-YEAR)


def at_step(mill, step):
    mill.reconciler.reconcile(WEB.id)
    for name in STEP_NAMES[: STEP_NAMES.index(step)]:
        assert isinstance(mill.step(name), Proceed)


def test_a_run_that_began_to_wait_while_the_clock_was_ahead_continues_at_once(redis):
    mill = Mill(redis)
    at_step(mill, "validate")

    def wait():
        mill.world.ca.trouble.down = CAUnavailable("503", retry_after=3600)
        assert isinstance(mill.step("validate"), Wait)
        mill.world.ca.trouble.down = None

    ahead(mill, wait)
    assert redis.zscore(keys.WAITING, WEB.id) > NOW + YEAR

    ticks(mill, seconds=20)

    assert mill.record().result == "issued"


def test_an_attempt_postponed_while_the_clock_was_ahead_begins_soon(redis):
    mill = Mill(redis)
    mill.world.validates = lambda *_: False

    def fail():
        mill.reconciler.reconcile(WEB.id)
        mill.run()

    ahead(mill, fail)
    assert redis.zscore(keys.RENEWALS, WEB.id) > NOW + YEAR
    mill.world.validates = mill.world._validates

    ticks(mill, seconds=20)

    assert mill.record().result == "issued"


def test_a_renewal_rightly_due_in_years_is_not_reconciled(redis):
    mill = Mill(redis)
    mill.world.ca.trouble.lifetime_seconds = 10 * YEAR
    mill.issue()
    later = {f"default/other{number}": NOW + number * 30 * DAY + 7 for number in range(1, 100)}
    redis.zadd(keys.RENEWALS, later)

    ahead(mill, lambda: None)
    mill.ticks.wake()

    moved = {
        id_
        for id_, at in redis.zrange(keys.RENEWALS, 0, -1, withscores=True)
        if id_ in later and at != later[id_]
    }
    assert moved == set()
    assert redis.zscore(keys.RENEWALS, WEB.id) > NOW + 6 * YEAR


def test_each_tick_corrects_a_bounded_number_of_postponed_times(redis):
    mill, count = Mill(redis), 2 * WAKE_LIMIT + 10
    ahead(
        mill,
        lambda: redis.zadd(
            keys.RENEWALS, {f"default/n{number}": NOW + YEAR + 60 + number / 100 for number in range(count)}
        ),
    )

    left = []
    for _ in range(4):
        mill.world.clock.advance(1)
        mill.ticks.wake()
        left.append(redis.zcount(keys.RENEWALS, NOW + DAY, "+inf"))

    assert left == [count - WAKE_LIMIT, count - 2 * WAKE_LIMIT, 0, 0]
    assert not redis.hexists(keys.CLOCK, "from")


def test_without_a_tick_in_the_meantime_no_wait_is_longer_than_the_longest(redis):
    mill = Mill(redis)
    redis.zadd(keys.WAITING, {WEB.id: NOW + YEAR})

    mill.ticks.wake()

    assert redis.zscore(keys.WAITING, WEB.id) is None


def test_a_deadline_that_began_while_the_clock_was_ahead_still_ends_the_run(redis):
    mill = Mill(redis)
    mill.world.seen = lambda: Probe(ok=False, reason="web.example.test answered 404")

    def come_to_the_self_check():
        mill.reconciler.reconcile(WEB.id)
        mill.run()

    ahead(mill, come_to_the_self_check)
    assert mill.record().since > NOW + YEAR

    ticks(mill, seconds=700, renew=False)

    assert "given up after" in mill.failed


def test_a_validation_requested_while_the_clock_was_ahead_ends_too(redis):
    mill = Mill(redis)
    at_step(mill, "validate")
    mill.world.ca.trouble.validation = True
    ahead(mill, lambda: mill.run("validate"))
    assert Facts.from_json(mill.record().facts).answered_at > NOW + YEAR

    ticks(mill, seconds=400, renew=False)

    assert "has not validated" in mill.failed


def test_step_times_recorded_while_the_clock_was_ahead_are_set_to_now():
    facts = Facts(presented_at=NOW + YEAR, answered_at=NOW - 5, finalized_at=None)

    assert facts.as_of(NOW) == replace(facts, presented_at=NOW)


def test_a_lock_whose_redis_was_set_back_is_free_and_others_are_not(redis):
    locks = Locks(redis)
    redis.set(keys.lock("zone", "a"), "dead", px=int(YEAR * 1000))
    redis.set(keys.lock("zone", "b"), "alive", px=29_000)

    assert locks.acquire("zone", "a", owner="me", seconds=30)
    assert not locks.acquire("zone", "b", owner="me", seconds=30)


def test_a_registration_postponed_while_the_clock_was_ahead_is_done(redis):
    mill = Mill(redis)
    issuer = mill.ports.home.issuer(WEB.issuer)
    ahead(mill, lambda: registration_backoff.postpone(mill.ports, issuer, CAUnavailable("503")))

    assert registration_backoff.postponed(mill.ports, issuer) is None


def test_challenges_presented_while_the_clock_was_ahead_are_swept_in_an_hour(redis):
    mill = Mill(redis)

    def killed_after_it_was_presented():
        at_step(mill, "wait_for_propagation")
        redis.delete(keys.record(WEB.id))
        for due in Due:
            redis.zrem(due.value, WEB.id)

    ahead(mill, killed_after_it_was_presented)
    mill.ticks.wake()
    mill.world.clock.advance(SWEEP_AFTER_SECONDS + 1)

    assert mill.ticks.sweep("sweep") == 1


@pytest.mark.parametrize("seconds", [-300.0, -86_400.0])
def test_a_clock_that_is_only_set_back_stops_nothing(redis, seconds):
    mill = Mill(redis)
    at_step(mill, "validate")
    mill.world.ca.trouble.down = CAUnavailable("503", retry_after=30)
    mill.ticks.wake()
    assert isinstance(mill.step("validate"), Wait)
    mill.world.ca.trouble.down = None
    mill.world.clock.set_by(seconds)

    ticks(mill, seconds=60)

    assert mill.record().result == "issued"
