"""Runs keep within the rate limits of their CA: they wait for a token, and spend each once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from certmill.acme.problems import AcmeProblem, Problem
from certmill.errors import CAUnavailable, NameRefused, RateLimited
from certmill.home.base import NoEvents
from certmill.issuers import account
from certmill.model.issuer import SecretKeyRef
from certmill.model.rate_limit import LimitName, RateLimit
from certmill.model.trigger import ReconcileOptions
from certmill.runs.outcomes import Wait
from certmill.views.causes import Cause
from tests.pipeline.faulty_client import with_faults
from tests.support.builders import DAY, NOW, a_certificate, an_issuer
from tests.support.mill import Mill

HOUR = 3600.0
ORDERS, DOMAIN, SET = LimitName.NEW_ORDERS, LimitName.CERTIFICATES_PER_DOMAIN, LimitName.CERTIFICATES_PER_SET
FAILED, CONSECUTIVE = LimitName.FAILED_AUTHORIZATIONS, LimitName.CONSECUTIVE_FAILURES


def limited(redis, limits, **kwargs):
    """A mill whose issuer has these limits."""
    return Mill(redis, issuer=an_issuer(rate_limits=limits), **kwargs)


def other(name, *dns_names):
    return a_certificate(
        name=name, secret_name=f"{name}-tls", dns_names=dns_names or (f"{name}.example.test",)
    )


def ask(mill, certificate, *, force=False):
    """Apply the Certificate, begin its run and play it; how its run ends or waits."""
    mill.apply(certificate)
    assert mill.reconciler.reconcile(
        certificate.id, ReconcileOptions(force=force, ignore_back_off=force)
    ).publish_run
    return mill.run()


def orders(mill):
    return len(mill.world.ca.ordered)


def test_a_run_waits_while_its_registered_domain_has_no_certificate_left(redis):
    mill = limited(redis, {DOMAIN: RateLimit(count=2, seconds=7 * DAY)})
    ask(mill, other("a"))
    ask(mill, other("b"))

    result = ask(mill, other("c"))

    assert isinstance(result, Wait)
    assert result.reason == f"waits for a rate limit of ca.test: {DOMAIN} (2 in 7 d) of example.test"
    assert 3.5 * DAY <= result.seconds <= 3.5 * DAY + 60
    assert orders(mill) == 2
    assert mill.record().wait_class == Cause.RATE_LIMITED
    assert mill.record().sealed_key == "", "a run that waits for a token has no key yet"

    mill.wake(result.seconds)
    assert mill.record().result == "issued"


def test_a_renewal_of_the_same_names_spends_only_the_exact_set(redis):
    limits = {ORDERS: 1, DOMAIN: 1, SET: 3}
    mill = limited(redis, {name: RateLimit(count=count, seconds=7 * DAY) for name, count in limits.items()})
    web = a_certificate()
    ask(mill, web)

    for _ in range(2):
        assert not isinstance(ask(mill, web, force=True), Wait)
    result = ask(mill, web, force=True)

    assert isinstance(result, Wait)
    assert SET in result.reason
    assert isinstance(ask(mill, other("b")), Wait), "the first order spent the account and the domain"


def test_the_same_names_are_exempt_for_120_days_and_from_the_same_issuer_only(redis):
    mill = limited(redis, {ORDERS: RateLimit(count=1, seconds=1000 * DAY)})
    mill.world.ca.trouble.lifetime_seconds = 200 * DAY
    ask(mill, a_certificate())

    mill.world.clock.advance(118 * DAY)
    assert not isinstance(ask(mill, a_certificate(), force=True), Wait)
    mill.world.clock.advance(121 * DAY)
    assert isinstance(ask(mill, a_certificate(), force=True), Wait)


def test_a_set_that_is_ordered_too_often_is_told_before_it_waits(redis):
    recorder = Recorder()
    mill = limited(redis, {SET: RateLimit(count=3, seconds=7 * DAY)}, events=recorder)
    copies = [other(f"copy-{number}", "web.example.test") for number in range(4)]

    results = [ask(mill, copy) for copy in copies]

    warned = [certificate for certificate, reason, _ in recorder.events if reason == "RateLimitNear"]
    assert warned == [copies[2].id]
    assert [isinstance(result, Wait) for result in results] == [False, False, False, True]


class Recorder(NoEvents):
    """Keeps the events of Certificates."""

    def __init__(self):
        self.events = []

    def record_event(self, certificate, reason, message, *, warning=False):
        self.events.append((certificate.id, reason, message))


def test_more_names_than_before_are_not_the_same_set(redis):
    mill = limited(redis, {DOMAIN: RateLimit(count=1, seconds=7 * DAY)})
    ask(mill, a_certificate())

    result = ask(mill, a_certificate(dns_names=("web.example.test", "www.example.test")))

    assert isinstance(result, Wait)


class Killed(BaseException):
    """The worker dies."""


def killed_once_after(mill, verb):
    """A CA that answers this verb once to a worker that dies before it reads the answer."""
    left = [verb]

    class Deadly:
        def __init__(self, client):
            self._client = client

        def __getattr__(self, name):
            found = getattr(self._client, name)
            if name not in left:
                return found

            def call(*args, **kwargs):
                left.remove(name)
                found(*args, **kwargs)
                raise Killed

            return call

    mill.wrap_clients(Deadly)


@pytest.mark.parametrize("verb", ["new_order", "finalize"])
def test_a_step_that_dies_after_its_request_spends_once(redis, verb):
    limit = RateLimit(count=2, seconds=7 * DAY)
    mill = limited(redis, {ORDERS: limit, DOMAIN: limit})
    killed_once_after(mill, verb)

    with pytest.raises(Killed):
        ask(mill, other("a"))
    mill.wake(100)

    assert mill.record().result == "issued"
    assert not isinstance(ask(mill, other("b")), Wait)
    assert isinstance(ask(mill, other("c")), Wait)


def refused(error):
    error.__cause__ = AcmeProblem(Problem(), 400, "")
    return error


@pytest.mark.parametrize(
    ("error", "is_spent"),
    [
        (refused(NameRefused("the CA refuses the name")), False),
        (refused(CAUnavailable("503")), False),
        (CAUnavailable("the connection was cut"), True),
    ],
)
def test_an_order_that_the_ca_refuses_is_given_back(redis, error, is_spent):
    mill = limited(redis, {ORDERS: RateLimit(count=1, seconds=7 * DAY)})
    with_faults(mill, new_order=[error])
    ask(mill, other("a"))

    assert isinstance(ask(mill, other("b")), Wait) is is_spent


def test_an_answer_429_makes_other_runs_wait_for_the_bucket_that_it_names(redis):
    mill = limited(redis, {DOMAIN: RateLimit(count=50, seconds=7 * DAY)})
    text = 'too many certificates (50) already issued for "example.test" in the last 168h0m0s'
    with_faults(mill, new_order=[refused(RateLimited(text, retry_after=7200))])
    ask(mill, other("a"))

    same_domain = ask(mill, other("b"))

    assert isinstance(same_domain, Wait)
    assert same_domain.seconds == pytest.approx(7200, abs=60)
    assert orders(mill) == 0
    assert not isinstance(ask(mill, other("c", "www.example.org")), Wait)


def test_a_name_that_fails_waits_before_the_ca_limits_it(redis):
    mill = limited(redis, {FAILED: RateLimit(count=2, seconds=HOUR)})
    mill.world.validates = lambda *challenge: False
    web = other("a")
    for _ in range(2):
        assert not isinstance(ask(mill, web, force=True), Wait)
        assert "could not validate" in mill.failed

    result = ask(mill, web, force=True)

    assert isinstance(result, Wait)
    assert f"{FAILED} (2 in 1 h) of a.example.test" in result.reason
    assert 0 < result.seconds <= HOUR / 2 + 180
    mill.world.validates = lambda *challenge: True
    assert not isinstance(ask(mill, other("b")), Wait), "another name is not affected"


@pytest.mark.parametrize(("failures", "is_first"), [(2, True), (3, False)])
def test_a_name_that_keeps_failing_does_not_take_the_token_of_a_good_one(redis, failures, is_first):
    mill = limited(redis, {ORDERS: RateLimit(count=failures, seconds=failures * HOUR)})
    mill.world.validates = lambda *challenge: False
    dead, good = other("dead"), other("good", "www.example.org")
    for _ in range(failures):
        ask(mill, dead, force=True)
    assert isinstance(ask(mill, dead, force=True), Wait)
    mill.world.validates = lambda *challenge: True
    assert isinstance(ask(mill, good), Wait)

    mill.world.clock.advance(HOUR + 60)
    ids = [wake_up.certificate for wake_up in mill.ticks.wake().wake_ups]
    for certificate in (dead, good):
        if certificate.id in ids:
            mill.certificate = certificate
            mill.run("create_order")

    mill.certificate = good
    assert (mill.record().result == "issued") is not is_first


def test_a_validated_name_begins_again_with_all_its_consecutive_failures(redis):
    mill = limited(redis, {CONSECUTIVE: RateLimit(count=2, seconds=200 * DAY)})
    web = other("a")
    for outcome in (False, True, False):
        mill.world.validates = lambda *challenge, outcome=outcome: outcome
        ask(mill, web, force=True)

    assert not isinstance(ask(mill, web, force=True), Wait)
    assert isinstance(ask(mill, web, force=True), Wait)


def test_a_ca_without_limits_has_no_key_in_redis(redis):
    mill = limited(redis, {})

    ask(mill, other("a"))

    assert redis.keys("certmill:bucket:*") == []
    assert redis.keys("certmill:receipt:*") == []


def test_a_redis_that_lost_its_data_begins_with_full_buckets(redis):
    mill = limited(redis, {ORDERS: RateLimit(count=1, seconds=7 * DAY)})
    ask(mill, other("a"))
    assert isinstance(ask(mill, other("b")), Wait)

    redis.flushdb()

    assert not isinstance(ask(mill, other("b")), Wait)


def test_a_run_that_waits_and_is_asked_again_has_the_new_numbers(redis):
    mill = limited(redis, {ORDERS: RateLimit(count=1, seconds=7 * DAY)})
    ask(mill, other("a"))
    result = ask(mill, other("b"))
    assert isinstance(result, Wait)

    issuer = replace(an_issuer(), rate_limits={})
    mill.ports.home.apply(issuer, "kind: ClusterIssuer\n")
    mill.reconciler.reconcile(mill.certificate.id, ReconcileOptions(force=True, ignore_back_off=True))
    mill.wake(0)

    assert mill.record().result == "issued"
    assert mill.world.clock.now() == NOW


def test_new_accounts_of_one_address_wait_for_their_limit(redis):
    limits = {LimitName.NEW_ACCOUNTS: RateLimit(count=1, seconds=HOUR)}
    mill = limited(redis, limits)
    ask(mill, other("a"))
    second = an_issuer(
        name="second", private_key=SecretKeyRef(name="second", key="tls.key"), rate_limits=limits
    )
    mill.ports.home.apply(second, "kind: ClusterIssuer\n")

    looked = mill.issuers.reconcile(second, owner="test")

    waits = f"the registration waits for a rate limit of ca.test: {LimitName.NEW_ACCOUNTS} (1 in 1 h)"
    assert looked.failed == (f"ClusterIssuer/second: {waits}",)
    assert len(mill.world.ca.accounts) == 1
    mill.world.clock.advance(HOUR / 2)
    assert not mill.issuers.reconcile(second, owner="test").done, "the back-off lasts as long as the limit"
    mill.world.clock.advance(HOUR)
    assert mill.issuers.reconcile(second, owner="test").failed == ()
    assert len(mill.world.ca.accounts) == 2


def test_an_account_that_exists_already_needs_no_token(redis):
    limits = {LimitName.NEW_ACCOUNTS: RateLimit(count=1, seconds=HOUR)}
    mill = limited(redis, limits)
    ask(mill, other("a"))
    redis.flushdb()
    issuer = an_issuer(rate_limits=limits)
    account.forget(mill.ports, issuer)

    assert mill.issuers.reconcile(issuer, owner="test").failed == ()

    second = an_issuer(name="second", private_key=SecretKeyRef(name="2", key="k"), rate_limits=limits)
    mill.ports.home.apply(second, "kind: ClusterIssuer\n")
    assert mill.issuers.reconcile(second, owner="test").failed == ()
    assert len(mill.world.ca.accounts) == 2
