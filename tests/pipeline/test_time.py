"""Runs and the clock: short lifetimes, waits that servers request, and pairs that are not valid yet."""

from __future__ import annotations

import itertools

import pytest

from certmill.errors import CAUnavailable, RateLimited
from certmill.runs.outcomes import Wait
from certmill.state import keys
from tests.support.builders import DAY, a_certificate
from tests.support.mill import Mill

WEB = a_certificate()
HOUR = 3600.0


def renewals(mill, *, seconds, every=30.0):
    """Execute what is due for this long. Returns the stored leaves, each with the time at which it was
    first stored."""
    found = []
    for _ in range(int(seconds / every)):
        mill.world.clock.advance(every)
        mill.ticks.renew()
        for wake_up in mill.ticks.wake().wake_ups:
            mill.run(wake_up.step)
        leaf = mill.world.leaf(WEB)
        if not found or found[-1][0].serial != leaf.serial:
            found.append((leaf, mill.world.clock.now()))
    return found


@pytest.mark.parametrize("lifetime", [10 * 60.0, HOUR, 24 * HOUR])
def test_a_certificate_with_a_short_life_is_renewed_before_it_expires(redis, lifetime):
    mill = Mill(redis)
    mill.world.ca.trouble.lifetime_seconds = lifetime
    mill.issue()

    leaves = renewals(mill, seconds=3 * lifetime, every=max(30.0, lifetime / 500))

    assert len(leaves) >= 4
    assert all(seen < before.not_after for (before, _), (_, seen) in itertools.pairwise(leaves))
    assert len(mill.world.ca.orders) <= 6


@pytest.mark.parametrize("lifetime", [10 * 60.0, 90 * DAY])
def test_a_clock_that_is_ahead_does_not_make_each_reconciliation_an_order(redis, lifetime):
    mill = Mill(redis)
    mill.world.ca.trouble.lifetime_seconds = lifetime
    mill.world.ca.trouble.valid_in_seconds = -0.9 * lifetime  # our clock is far ahead of the CA's
    mill.issue()

    renewals(mill, seconds=lifetime / 20, every=lifetime / 2000)

    assert len(mill.world.ca.orders) <= 1 + max(1, lifetime / 20 / HOUR)


class TestWaitsThatServersAskFor:
    def asked_to_wait(self, redis, error, *, remaining):
        """How long the renewal of a certificate waits after this error of its CA."""
        mill = Mill(redis)
        mill.issue()
        mill.world.clock.advance(90 * DAY - remaining)
        mill.world.ca.trouble.down = error
        mill.reconciler.reconcile(WEB.id)
        result = mill.run()
        assert isinstance(result, Wait)
        assert redis.zscore(keys.WAITING, WEB.id) == pytest.approx(mill.world.clock.now() + result.seconds)
        return result.seconds

    def test_a_503_that_asks_for_a_week_is_waited_for_an_hour(self, redis):
        assert (
            self.asked_to_wait(redis, CAUnavailable("503", retry_after=604_800), remaining=20 * DAY) == HOUR
        )

    @pytest.mark.parametrize(
        "error", [CAUnavailable("503", retry_after=604_800), RateLimited("429", retry_after=604_800)]
    )
    def test_no_server_has_a_renewal_wait_longer_than_an_eighth_of_the_remaining_life(self, redis, error):
        assert self.asked_to_wait(redis, error, remaining=4 * HOUR) == HOUR / 2

    def test_a_rate_limit_is_respected_while_the_certificate_lives_long_enough(self, redis):
        assert self.asked_to_wait(redis, RateLimited("429", retry_after=7200), remaining=20 * DAY) == 7200

    @pytest.mark.parametrize("error", [RateLimited("429", retry_after=7200), CAUnavailable("503")])
    def test_what_is_waited_for_is_kept_by_its_class_as_get_shows_rate_limits(self, redis, error):
        self.asked_to_wait(redis, error, remaining=20 * DAY)

        assert redis.hget(keys.record(WEB.id), "wait_class") == error.failure_class

    def test_an_issuer_that_is_not_there_has_no_renewal_wait_past_its_expiry(self, redis):
        mill = Mill(redis)
        mill.issue()
        mill.world.clock.advance(90 * DAY - 200)
        mill.reconciler.reconcile(WEB.id)
        mill.ports.home.delete("ClusterIssuer", "", "prod")

        result = mill.run()

        assert isinstance(result, Wait)
        assert "is not there" in result.reason
        assert result.seconds == 200

    def test_the_expiry_ends_a_wait(self, redis):
        assert self.asked_to_wait(redis, RateLimited("429", retry_after=604_800), remaining=60) == 60


class TestAPairThatIsNotValidYet:
    def issued(self, redis):
        mill = Mill(redis)
        mill.world.ca.trouble.valid_in_seconds = 3 * DAY
        mill.issue()
        return mill

    def test_it_is_not_ready_and_says_from_when_it_is_valid(self, redis):
        mill = self.issued(redis)

        ready = mill.status().condition("Ready")
        assert (ready.status, ready.reason) == (False, "NotYetValid")
        assert "is not valid before" in ready.message

    def test_it_is_not_issued_again_and_becomes_ready_when_it_is_valid(self, redis):
        mill = self.issued(redis)
        mill.reconciler.reconcile(WEB.id)
        assert mill.status().condition("Ready").reason == "NotYetValid"

        renewals(mill, seconds=2.9 * DAY, every=HOUR)
        assert mill.status().condition("Ready").reason == "NotYetValid"
        renewals(mill, seconds=0.2 * DAY, every=HOUR)

        assert mill.status().condition("Ready").status
        assert len(mill.world.ca.orders) == 1
        assert redis.zscore(keys.RENEWALS, WEB.id) == pytest.approx(
            mill.world.leaf(WEB).not_before + 60 * DAY, abs=HOUR
        )

    def test_an_expired_pair_found_in_the_home_is_not_ready_either(self, redis):
        mill = self.issued(redis)
        redis.flushdb()

        mill.ticks.reread("tick")

        assert mill.status().condition("Ready").reason == "NotYetValid"
        assert redis.zscore(keys.RENEWALS, WEB.id) == mill.world.leaf(WEB).not_before
        assert len(mill.world.ca.orders) == 1

    def test_the_clocks_of_ca_and_worker_may_differ_by_a_minute(self, redis):
        mill = Mill(redis)
        mill.world.ca.trouble.valid_in_seconds = 60
        mill.issue()

        assert mill.status().condition("Ready").status
