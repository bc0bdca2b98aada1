"""A run passes to a fall-back issuer only if its CA cannot issue now and another one could."""

from __future__ import annotations

from dataclasses import replace

import pytest

from certmill.client.answers import Answers
from certmill.errors import (
    AccountRefused,
    CAUnavailable,
    DnsUnavailable,
    NameRefused,
    OrderRefused,
    RateLimited,
)
from certmill.model.trigger import Origin, ReconcileOptions, Trigger
from certmill.observe import recording
from certmill.runs.outcomes import Wait
from certmill.state import keys
from certmill.state.requests import Acceptance
from certmill.testing.memory_ca import MemoryCA
from certmill.views.next_step import next_line
from certmill.views.observations import Observations
from tests.pipeline.two_cas import BACKUP, PROD, WEB, TwoCAs
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


class Counting:
    def __init__(self) -> None:
        self.fallbacks: list[tuple[str, str]] = []

    def __getattr__(self, name):
        return lambda *args, **kwargs: None

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


class Told:
    """Events, as (reason, message)."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str]] = []

    def record_event(self, certificate, reason, message, *, warning=False):
        self.all.append((reason, message))


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


def test_a_certificate_with_time_left_waits_for_its_own_ca(mill):
    issued_by_first(mill)
    to_renewal(mill)
    broken(mill, DOWN)
    begin(mill)

    for _ in range(14):
        mill.wake(DAY)

    assert mill.record().step == "create_order"
    assert mill.cas.second.ordered == []


def test_a_certificate_near_its_expiry_gets_the_next_candidate(mill, counted):
    issued_by_first(mill)
    to_renewal(mill)
    broken(mill, DOWN)
    begin(mill)

    for _ in range(15):
        mill.wake(DAY)
    assert mill.cas.second.ordered == []
    mill.wake(2 * HOUR)

    assert (mill.record().result, issuer_of_secret(mill)) == ("issued", "backup")
    assert mill.status().condition("Ready").status
    assert len(counted) == 1


def test_the_first_candidate_is_used_again_at_the_next_renewal(mill):
    broken(mill, RateLimited("too many orders", retry_after=7 * DAY), times=1)
    begin(mill)
    assert issuer_of_secret(mill) == "backup"
    serial = mill.world.leaf(WEB).serial

    for _ in range(3):
        mill.world.clock.advance(10 * DAY)
        assert mill.reconciler.reconcile(WEB.id).right
    assert mill.world.leaf(WEB).serial == serial, "a pair of any candidate is good"
    to_renewal(mill)
    begin(mill)

    assert issuer_of_secret(mill) == "prod"
    assert (len(mill.cas.first.orders), len(mill.cas.second.orders)) == (1, 1)


@pytest.mark.parametrize(
    "error",
    [
        NameRefused("web.example.test: no such domain"),
        OrderRefused("the profile is unknown"),
        AccountRefused("the account is deactivated"),
        DnsUnavailable("no name server answers"),
    ],
)
def test_an_error_that_another_ca_would_give_too_uses_no_other_issuer(mill, error):
    broken(mill, error)
    begin(mill)

    for _ in range(5):
        if mill.record().step:
            mill.wake(33 * HOUR)
        else:
            mill.world.clock.advance(33 * HOUR)
            begin(mill)

    assert (mill.cas.second.ordered, mill.cas.second.accounts) == ([], {})


def test_a_name_that_the_ca_cannot_validate_uses_no_other_issuer(mill):
    mill.cas.first = MemoryCA(clock=mill.world.clock, validates=lambda type_, name, token: False)
    begin(mill)

    assert mill.status().failed_issuance_attempts == 1
    assert mill.cas.second.ordered == []


def test_a_short_rate_limit_is_waited_for(mill):
    broken(mill, RateLimited("too many orders", retry_after=240), times=1)

    _, result = begin(mill)
    assert isinstance(result, Wait)
    play(mill, 300)

    assert issuer_of_secret(mill) == "prod"


def test_a_rate_limit_that_ends_in_time_is_waited_for_by_a_stored_certificate(mill):
    issued_by_first(mill)
    to_renewal(mill)
    broken(mill, RateLimited("too many certificates", retry_after=5 * DAY), times=1)

    _, result = begin(mill)
    assert isinstance(result, Wait)

    assert mill.cas.second.ordered == []


def test_the_switch_is_shown_in_the_condition_the_event_the_log_and_the_metric(mill, counted, capsys):
    mill.use(events=Told())
    broken(mill, RateLimited("too many orders", retry_after=7 * DAY), times=1)
    mill.reconciler.reconcile(WEB.id)
    mill.step("register_account")
    mill.step("create_order")
    mill.step("clean_up")

    why = "uses Issuer/default/backup, because ClusterIssuer/prod cannot issue now: too many orders"
    issuing = mill.status().condition("Issuing")
    assert issuing.status
    assert issuing.message == f"Issuing certificate as Secret does not exist; {why}"
    message = "ClusterIssuer/prod cannot issue now: too many orders; Issuer/default/backup is used instead"
    assert ("Fallback", message) in mill.ports.events.all
    assert counted == [("ClusterIssuer/prod", "Issuer/default/backup")]
    assert "certificate.fell_back" in capsys.readouterr().out


def test_a_request_whose_run_passes_to_another_issuer_waits_for_that_run(mill, redis):
    broken(mill, RateLimited("too many orders", retry_after=7 * DAY), times=1)
    done = mill.reconciler.reconcile(
        WEB.id, ReconcileOptions(origin=Origin(root_id="request-1", trigger=Trigger.REQUEST))
    )
    mill.ports.requests.accept("request-1", Acceptance(certificate=WEB.id, run=done.run))
    answers = Answers(redis, mill.world.clock)
    for step in ("register_account", "create_order", "clean_up"):
        mill.step(step)
        assert answers.status("request-1").phase in ("issuing", "waiting")

    assert mill.record().trigger is Trigger.REQUEST
    mill.run()

    assert answers.status("request-1").phase == "issued"


def test_a_renewal_that_a_person_asked_for_also_passes_to_the_next_candidate(mill):
    mill.cas.first.trouble.lifetime_seconds = 6 * DAY
    issued_by_first(mill)
    broken(mill, RateLimited("too many certificates", retry_after=7 * DAY))

    begin(mill, force=True)

    assert issuer_of_secret(mill) == "backup"
    assert mill.reconciler.reconcile(WEB.id).right


def test_a_run_fails_if_no_candidate_can_issue_and_the_first_is_next(mill):
    broken(mill, RateLimited("too many orders", retry_after=7 * DAY))
    mill.cas.refused = RateLimited("too many accounts", retry_after=DAY)
    begin(mill)

    assert "too many accounts; it is the last fall-back issuer, so ClusterIssuer/prod is next" in mill.failed
    assert mill.status().next_attempt <= mill.world.clock.now() + HOUR
    mill.cas.faults.clear()
    mill.world.clock.advance(HOUR)
    begin(mill)
    assert issuer_of_secret(mill) == "prod"


def test_a_fall_back_that_does_not_begin_within_the_hour_begins_with_the_first(mill):
    broken(mill, RateLimited("too many orders", retry_after=7 * DAY), times=1)
    mill.reconciler.reconcile(WEB.id)
    for step in ("register_account", "create_order"):
        mill.step(step)
    mill.ports.home.delete("Certificate", "default", "web")
    mill.step("clean_up")
    mill.apply(WEB)
    mill.world.clock.advance(2 * HOUR)

    begin(mill)

    assert issuer_of_secret(mill) == "prod"


def test_an_issuer_gives_its_fall_back_issuers_to_its_certificates(redis):
    issuer = replace(PROD, annotations={"certmill.io/fallback-issuers": "Issuer/backup"})
    mill = two_cas(redis, replace(WEB, fallback_issuers=()), issuer)
    broken(mill, RateLimited("too many orders", retry_after=7 * DAY), times=1)
    begin(mill)

    assert issuer_of_secret(mill) == "backup"
    assert mill.reconciler.reconcile(WEB.id).right


def test_an_empty_annotation_of_a_certificate_means_no_fall_back_issuer(redis):
    issuer = replace(PROD, annotations={"certmill.io/fallback-issuers": "Issuer/backup"})
    alone = replace(WEB, fallback_issuers=(), annotations={"certmill.io/fallback-issuers": ""})
    mill = two_cas(redis, alone, issuer)
    broken(mill, RateLimited("too many orders", retry_after=7 * DAY), times=1)

    _, result = begin(mill)

    assert isinstance(result, Wait)
    assert mill.cas.second.ordered == []


def test_an_account_that_cannot_be_registered_because_its_ca_is_out_counts_for_all(mill):
    """The registration's back-off is shared: most runs do not send the request that fails."""
    broken(mill, DOWN, on="new_account")
    begin(mill)
    other = replace(WEB, name="other", secret_name="other-tls")
    mill.apply(other)
    begin(mill)

    mill.world.clock.advance(301)
    mill.ticks.wake()
    mill.run()

    assert mill.record().result == "issued"
    assert len(mill.cas.second.orders) == 1


def test_a_fall_back_issuer_that_could_not_issue_is_an_event_of_each_run(mill):
    mill.use(events=Told())

    issued_by_first(mill)

    message = f"the fall-back issuer {BACKUP.ref} has no account yet: no worker has registered it"
    assert mill.ports.events.all.count(("FallbackNotReady", message)) == 1


def test_describe_knows_that_a_pair_of_an_issuers_fall_back_is_good(redis):
    issuer = replace(PROD, annotations={"certmill.io/fallback-issuers": "Issuer/backup"})
    alone = replace(WEB, fallback_issuers=())
    mill = two_cas(redis, alone, issuer)
    broken(mill, RateLimited("too many orders", retry_after=7 * DAY), times=1)
    begin(mill)
    shown = Observations(mill.ports.home, mill.ports.records.read, mill.world.clock, renewal_jitter=0.0)

    line = next_line(shown.known(alone, mill.world.secret("default", "web-tls")), mill.world.clock.now())

    assert line.startswith("renew")
