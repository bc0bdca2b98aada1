"""Leader election: one Lease, two candidates, and clocks that differ. `certmill.testing` has no API server,
so a small one is here."""

from __future__ import annotations

import copy
import itertools

import pytest

from certmill.controller.leader import LEASE_SECONDS, Leadership
from certmill.errors import Conflict, Forbidden, HomeUnavailable
from certmill.kube.objects import instant_of
from certmill.testing.clock import FakeClock


class Leases:
    """An API server with one Lease: what is written over an older version is a conflict."""

    def __init__(self):
        self.lease, self.error, self.before_write = None, None, lambda: None
        self._versions = itertools.count(1)

    def get(self, resource, namespace, name):
        if self.error is not None:
            raise self.error
        return copy.deepcopy(self.lease)

    def create(self, resource, body):
        if self.lease is not None:
            raise Conflict("it is there")
        return self._kept(body)

    def update(self, resource, body):
        before_write, self.before_write = self.before_write, lambda: None
        before_write()
        if self.lease is None:
            return None
        if body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise Conflict("it changed")
        return self._kept(body)

    def _kept(self, body):
        self.lease = {**body, "metadata": {**body["metadata"], "resourceVersion": str(next(self._versions))}}
        return copy.deepcopy(self.lease)


class SkewedClock:
    def __init__(self, clock, skew):
        self._clock, self._skew = clock, skew

    def now(self):
        return self._clock.now() + self._skew


@pytest.fixture
def leases():
    return Leases()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def candidate(leases, clock):
    def candidate(identity, *, skew=0.0, **options):
        clocks = SkewedClock(clock, skew)
        return Leadership(
            leases, namespace="certmill", name="controller", identity=identity, clock=clocks, **options
        )

    return candidate


RENEW_SECONDS = LEASE_SECONDS / 3


def contend(clock, *candidates, seconds):
    """They all contend every few seconds; who led at each of these times."""
    led = []
    for _ in range(int(seconds / RENEW_SECONDS)):
        for one in candidates:
            one.contend()
        led.append([one.leads for one in candidates])
        clock.advance(RENEW_SECONDS)
    return led


def test_the_first_takes_it_and_says_so_in_the_lease(candidate, leases, clock):
    one = candidate("one")

    assert one.leads is False
    assert one.contend() is True

    assert one.leads is True
    spec = leases.lease["spec"]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == (
        "one",
        LEASE_SECONDS,
        0,
    )
    assert instant_of(spec["renewTime"]) == instant_of(spec["acquireTime"]) == clock.now()


def test_of_two_one_leads_as_long_as_it_renews(candidate, clock):
    one, two = candidate("one"), candidate("two")

    assert contend(clock, one, two, seconds=120) == [[True, False]] * 24


def test_a_clock_that_is_set_back_while_the_leader_dies_does_not_put_off_its_end(candidate, clock):
    one, two = candidate("one"), candidate("two")
    contend(clock, one, two, seconds=20)

    clock.advance(-3 * 3600)

    assert contend(clock, two, seconds=30)[-1] == [True]


def test_a_renewal_keeps_when_it_was_acquired(candidate, leases, clock):
    one = candidate("one")
    one.contend()
    acquired = leases.lease["spec"]["acquireTime"]
    clock.advance(RENEW_SECONDS)
    one.contend()

    assert leases.lease["spec"]["acquireTime"] == acquired != leases.lease["spec"]["renewTime"]


def test_when_the_leader_dies_another_takes_over_after_the_end_of_its_lease(candidate, leases, clock):
    one, two = candidate("one"), candidate("two")
    contend(clock, one, two, seconds=30)

    led = contend(clock, two, seconds=40)

    assert led.index([True]) * RENEW_SECONDS <= LEASE_SECONDS + 2 * RENEW_SECONDS
    assert led[0] == [False]
    assert one.leads is False
    assert leases.lease["spec"]["leaseTransitions"] == 1


def test_a_shorter_lease_is_renewed_more_often_and_ends_earlier(candidate, leases, clock):
    one, two = candidate("one", seconds=2.5), candidate("two", seconds=2.5)
    one.contend()
    two.contend()

    assert one.renew_seconds == pytest.approx(2.5 / 3)
    assert leases.lease["spec"]["leaseDurationSeconds"] == 3
    clock.advance(2.4)
    assert (one.leads, two.contend()) == (True, False)
    clock.advance(0.2)
    assert (one.leads, two.contend()) == (False, True)


def test_after_a_leader_that_died_long_ago_nobody_waits(candidate, clock):
    candidate("one").contend()
    clock.advance(LEASE_SECONDS + 1)

    assert candidate("two").contend() is True


@pytest.mark.parametrize("skew", [3600.0, 20.0, -20.0, -3600.0])
def test_clocks_that_differ_do_not_make_two_take_it_from_each_other(candidate, leases, clock, skew):
    one, two = candidate("one"), candidate("two", skew=skew)

    led = contend(clock, one, two, seconds=300)

    assert leases.lease["spec"]["leaseTransitions"] <= 1
    assert all(sum(each) == 1 for each in led[1:])


@pytest.mark.parametrize("skew", [3600.0, -3600.0])
def test_nor_do_they_keep_a_dead_leaders_lease_for_ever(candidate, clock, skew):
    one, two = candidate("one", skew=skew), candidate("two")
    contend(clock, one, two, seconds=30)

    assert contend(clock, two, seconds=60)[-1] == [True]


def test_one_that_lost_it_leads_no_longer(candidate, leases, clock):
    one, two = candidate("one"), candidate("two")
    one.contend()
    leases.lease["spec"]["holderIdentity"] = ""
    two.contend()

    assert one.contend() is False
    assert one.leads is False


def test_given_up_it_is_free_at_once(candidate):
    one, two = candidate("one"), candidate("two")
    one.contend()
    two.contend()

    one.give_up()

    assert one.leads is False
    assert two.contend() is True


def test_nobody_gives_up_what_another_holds(candidate, leases):
    one = candidate("one")
    one.give_up()
    one.contend()
    leases.lease["spec"]["holderIdentity"] = "two"

    one.give_up()

    assert leases.lease["spec"]["holderIdentity"] == "two"


def test_of_two_that_see_it_free_one_gets_it(candidate, leases):
    one, two = candidate("one"), candidate("two")
    one.contend()
    one.give_up()
    leases.before_write = one.contend

    assert two.contend() is False
    assert (one.leads, two.leads) == (True, False)


def test_one_that_is_deleted_at_that_moment_is_not_held(candidate, leases):
    one = candidate("one")
    one.contend()
    leases.before_write = lambda: setattr(leases, "lease", None)

    assert one.contend() is False
    assert one.contend() is True


def test_an_api_server_that_is_away_costs_it_when_it_ends(candidate, leases, clock):
    one = candidate("one")
    one.contend()
    leases.error = HomeUnavailable("away")

    assert one.contend() is True
    clock.advance(LEASE_SECONDS)
    assert one.contend() is False


def test_a_missing_role_is_raised(candidate, leases):
    leases.error = Forbidden("no role")

    with pytest.raises(Forbidden):
        candidate("one").contend()
