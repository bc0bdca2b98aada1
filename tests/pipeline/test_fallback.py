"""A run passes to a fall-back issuer only if its CA cannot issue now and another one could (renewal.fallback)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from certmill.client.answers import Answers
from certmill.client.handle import IssuanceFailed
from certmill.errors import (
    AccountRefused,
    CAUnavailable,
    DnsUnavailable,
    NameRefused,
    OrderRefused,
    RateLimited,
)
from certmill.model.certificate import IssuerRef
from certmill.model.trigger import Origin, ReconcileOptions, Trigger
from certmill.observe import recording
from certmill.runs.outcomes import Wait
from certmill.state import keys
from certmill.state.requests import Acceptance
from tests.pipeline.test_two_candidates import BACKUP, PROD, WEB, TwoCAs
from tests.support.builders import DAY
from tests.support.mill import Mill

HOUR = 3600.0
DOWN = CAUnavailable("https://ca.test cannot be reached: connection refused")
ALWAYS = 1000


@pytest.fixture
def mill(redis):
    return two_cas(redis)


def two_cas(redis, certificate=WEB, issuer=PROD):
    mill = Mill(redis, certificate=certificate, issuer=issuer)
    mill.ports.home.apply(BACKUP, "")
    mill.cas = TwoCAs(mill)
    mill.use(clients=mill.cas)
    return mill


@pytest.fixture
def counted():
    """The fall-backs that the metrics count."""
    sink = Counting()
    recording.send_to(sink)
    yield sink.fallbacks
    recording.send_to(None)


class Counting(type(recording.sink())):
    def __init__(self) -> None:
        self.fallbacks = []

    def fallback(self, used, following):
        self.fallbacks.append((used, following))


def broken(mill, error, *, on="new_order", times=ALWAYS):
    mill.cas.faults[on] = [error] * times


def begin(mill, **options):
    done = mill.reconciler.reconcile(mill.certificate.id, ReconcileOptions(**options))
    assert done.publish_run
    return done, mill.run()


def play(mill, seconds):
    """Let time pass until the run that is under way ends, or the time is over."""
    ends = mill.world.clock.now() + seconds
    while mill.record().step and mill.world.clock.now() < ends:
        mill.wake(max(1.0, min(mill.record().due, ends) - mill.world.clock.now() + 0.001))


def to_renewal(mill):
    mill.world.clock.advance(mill.status().renewal_time - mill.world.clock.now() + 1)


def issuer_of_secret(mill):
    return mill.world.secret("default", "web-tls").annotations["cert-manager.io/issuer-name"]


def issued_by_first(mill):
    begin(mill)
    assert issuer_of_secret(mill) == "prod"


def events(mill, reason):
    return [event.message for event in mill.world.events if event.reason == reason]


def test_a_ca_that_does_not_answer_for_minutes_gives_way_to_the_next_candidate(mill, redis, counted):
    broken(mill, DOWN)

    _, result = begin(mill)
    assert isinstance(result, Wait)
    play(mill, 299)
    assert mill.cas.second.ordered == [], "a CA that is out for less than five minutes is waited for"
    play(mill, 60)

    assert (mill.record().result, issuer_of_secret(mill)) == ("issued", "backup")
    assert counted == [("ClusterIssuer/prod", "Issuer/default/backup")]
    assert redis.hlen(keys.JOURNAL) == 0
    assert mill.reconciler.reconcile(WEB.id).right
