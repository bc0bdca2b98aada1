"""A Certificate whose issuer does not exist or is not ready: it waits, as in cert-manager, and no failure
is counted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from certmill.errors import AccountRefused, CAUnavailable, RateLimited
from certmill.model.issuer import ExternalAccountBinding, SecretKeyRef
from certmill.model.secret import OPAQUE_TYPE, Secret
from certmill.state import keys
from tests.support.builders import NOW, a_certificate, an_issuer
from tests.support.mill import Mill

WEB = a_certificate()
OTHER = a_certificate(name="other", secret_name="other-tls", dns_names=("other.example.test",))


class Heard:
    """The events of Certificates: (reason, message, whether it is a Warning)."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, bool]] = []

    def record_event(self, certificate, reason, message, *, warning=False):
        self.events.append((reason, message, warning))

    def record_issuer_event(self, issuer, reason, message, *, warning=False):
        """Not needed here."""


class CountingCA:
    """The environment's CA. While `trouble` is set, each newAccount raises it; while `trouble_with_orders`
    is set, each newOrder raises that."""

    def __init__(self, mill) -> None:
        self.registrations, self.trouble, self.trouble_with_orders = 0, None, None
        mill.wrap_clients(lambda client: _Client(self, client))


class _Client:
    def __init__(self, ca, client) -> None:
        self._ca, self._client = ca, client

    def __getattr__(self, name):
        return getattr(self._client, name)

    def new_account(self, **arguments):
        self._ca.registrations += 1
        if self._ca.trouble is not None:
            raise self._ca.trouble
        return self._client.new_account(**arguments)

    def new_order(self, identifiers, **arguments):
        if self._ca.trouble_with_orders is not None:
            raise self._ca.trouble_with_orders
        return self._client.new_order(identifiers, **arguments)


def without_issuer(redis):
    """An environment with a Certificate whose run waits for an issuer that does not exist."""
    heard = Heard()
    mill = Mill(redis, events=heard)
    mill.heard = heard
    mill.ca = CountingCA(mill)
    mill.ports.home.delete("ClusterIssuer", "", "prod")
    mill.reconciler.reconcile(WEB.id)
    mill.run()
    return mill


def published(mill):
    """The certificates that a tick publishes now."""
    return sorted(wake_up.certificate for wake_up in mill.ticks.wake().wake_ups)


def test_a_certificate_before_its_issuer_waits_and_no_failure_is_counted(redis):
    mill = without_issuer(redis)
    for _ in range(6):
        mill.wake(601)
        mill.reconciler.reconcile(WEB.id)

    status = mill.status()
    assert (status.failed_issuance_attempts, status.last_failure_time, status.next_attempt) == (0, None, None)
    assert status.condition("Ready").reason == "DoesNotExist"
    issuing = status.condition("Issuing")
    assert (issuing.status, issuing.reason) == (True, "DoesNotExist")
    assert "ClusterIssuer/prod is not there; apply it" in issuing.message


def test_a_wait_for_an_issuer_tells_of_one_of_the_same_name_and_the_other_kind(redis):
    mill = without_issuer(redis)
    mill.ports.home.apply(replace(an_issuer(), kind="Issuer", namespace=WEB.namespace), "")
    mill.wake(601)
    mill.reconciler.reconcile(WEB.id)

    assert "set spec.issuerRef.kind to Issuer" in mill.record().reason


def test_a_wait_for_an_issuer_is_one_event_and_no_warning(redis):
    mill = without_issuer(redis)
    for _ in range(6):
        mill.wake(601)

    assert [reason for reason, _, _ in mill.heard.events] == ["Issuing", "Waiting"]
    assert not any(warning for _, _, warning in mill.heard.events)


def test_a_certificate_is_issued_at_once_when_its_issuer_comes(redis):
    mill = without_issuer(redis)
    mill.ports.home.apply(an_issuer(), "here: true\n")
    mill.issuers.reconcile_path("ClusterIssuer", "prod", owner="controller")

    mill.wake(0)

    assert mill.world.leaf(WEB).dns_names == WEB.dns_names
    assert mill.status().failed_issuance_attempts == 0


EAB = ExternalAccountBinding(key_id="kid", key_secret_ref=SecretKeyRef(name="eab", key="hmac"))


def with_certificates(redis, trouble, **issuer):
    """An environment whose CA has this error, and two runs that wait for it."""
    mill = Mill(redis, issuer=an_issuer(**issuer))
    mill.ca = CountingCA(mill)
    mill.ca.trouble = trouble
    for certificate in (WEB, OTHER):
        mill.apply(certificate)
        mill.reconciler.reconcile(certificate.id)
        mill.run()
    return mill


def statuses(mill):
    return [mill.ports.home.certificate_status(each.id) for each in (WEB, OTHER)]


@pytest.mark.parametrize(
    ("issuer", "trouble"), [({}, AccountRefused("no")), ({"external_account_binding": EAB}, None)]
)
def test_runs_of_an_issuer_that_is_not_ready_wait_and_are_not_counted(redis, issuer, trouble):
    mill = with_certificates(redis, trouble, **issuer)

    assert [status.failed_issuance_attempts for status in statuses(mill)] == [0, 0]
    assert all(status.condition("Issuing").status for status in statuses(mill))
    assert redis.zcard(keys.WAITING) == 2


def test_of_many_runs_of_a_refused_issuer_one_asks_the_ca_within_the_hour(redis):
    mill = with_certificates(redis, AccountRefused("external account required"))
    for _ in range(5):
        mill.world.clock.advance(600)
        mill.issuers.reconcile_path("ClusterIssuer", "prod", owner="controller")
        assert published(mill) == []

    assert mill.ca.registrations == 1
    mill.world.clock.advance(601)
    assert published(mill) == [OTHER.id, WEB.id]


def test_a_new_certificate_tries_a_refused_account_again(redis):
    mill = with_certificates(redis, AccountRefused("external account required"))
    mill.ca.trouble = None
    mill.world.clock.advance(61)
    late = a_certificate(name="late", secret_name="late-tls", dns_names=("late.example.test",))
    mill.apply(late)
    mill.reconciler.reconcile(late.id)

    mill.run()

    assert mill.ca.registrations == 2
    assert mill.world.leaf(late).dns_names == late.dns_names


def test_all_runs_continue_at_once_when_their_issuer_is_ready(redis):
    mill = with_certificates(redis, None, external_account_binding=EAB)
    eab = Secret(
        namespace="cert-manager", name="eab", type=OPAQUE_TYPE, data={"hmac": b"c2VjcmV0LW9uZS1zZWNyZXQtb25l"}
    )
    mill.ports.home.write_secret(eab)
    mill.issuers.reconcile_path("ClusterIssuer", "prod", owner="controller")

    assert published(mill) == [OTHER.id, WEB.id]
    assert mill.ports.issuer_records.failing(WEB.issuer) == []
    mill.run("register_account")
    assert mill.world.leaf(OTHER).dns_names == OTHER.dns_names


def test_runs_that_wait_for_a_ca_that_is_away_go_on_when_it_is_back(redis):
    mill = with_certificates(redis, CAUnavailable("503", retry_after=240))
    mill.ca.trouble = None
    mill.world.clock.advance(241)
    redis.zadd(keys.WAITING, {WEB.id: NOW + 9000, OTHER.id: NOW + 9000})
    mill.issuers.reconcile_path("ClusterIssuer", "prod", owner="controller")

    assert published(mill) == [OTHER.id, WEB.id]


def test_an_issuer_that_becomes_ready_ends_no_other_wait(redis):
    """A Retry-After of the CA is respected, also if the issuer changes."""
    mill = Mill(redis)
    mill.ca = CountingCA(mill)
    mill.ca.trouble_with_orders = RateLimited("too many orders", retry_after=3600)
    mill.reconciler.reconcile(WEB.id)
    mill.run()
    mill.ports.issuer_records.note_failing(WEB.issuer, WEB.id, now=NOW)
    mill.ports.home.apply(replace(an_issuer(), email="new@example.test"), "changed: true\n")
    mill.issuers.reconcile_path("ClusterIssuer", "prod", owner="controller")

    assert published(mill) == []


class Moment:
    """Calls `then` once: immediately before or after another worker's call of a method."""

    def __init__(self, part, method: str, then, *, after: bool) -> None:
        self._part, self._method, self._then, self._after = part, method, [then], after

    def __getattr__(self, name):
        method = getattr(self._part, name)
        return self._around(method) if name == self._method and self._then else method

    def _around(self, method):
        def called(*args, **kwargs):
            then = self._then.pop()
            if not self._after:
                then()
            answer = method(*args, **kwargs)
            if self._after:
                then()
            return answer

        return called


MOMENTS = [
    ("issuer_records", "note_failing", False),
    ("issuer_records", "note_failing", True),
    ("records", "commit", False),
]


def at_the_moment(mill, part, method, *, after, then):
    """Calls `then` while the run's next step is between two of its calls."""
    mill.use(**{part: Moment(getattr(mill.ports, part), method, then, after=after)})


@pytest.mark.parametrize(("part", "method", "after"), MOMENTS)
def test_an_issuer_that_comes_while_a_run_is_about_to_wait_is_not_missed(redis, part, method, after):
    mill = Mill(redis)
    mill.ca = CountingCA(mill)
    mill.ports.home.delete("ClusterIssuer", "", "prod")
    mill.reconciler.reconcile(WEB.id)

    def comes():
        mill.ports.home.apply(an_issuer(), "here: true\n")
        mill.issuers.reconcile_path("ClusterIssuer", "prod", owner="controller")

    at_the_moment(mill, part, method, after=after, then=comes)
    mill.run()
    mill.wake(3)

    assert mill.world.leaf(WEB).dns_names == WEB.dns_names


@pytest.mark.parametrize(("part", "method", "after"), MOMENTS)
@pytest.mark.parametrize("trouble", [AccountRefused("no"), CAUnavailable("503", retry_after=900)])
def test_an_issuer_that_is_ready_while_a_run_is_about_to_wait_is_not_missed(
    redis, trouble, part, method, after
):
    mill = Mill(redis)
    mill.ca = CountingCA(mill)
    mill.ca.trouble = trouble
    mill.reconciler.reconcile(WEB.id)

    def is_ready():
        mill.ca.trouble = None
        mill.ports.home.apply(replace(an_issuer(), email="new@example.test"), "changed: true\n")
        mill.issuers.reconcile_path("ClusterIssuer", "prod", owner="controller")

    at_the_moment(mill, part, method, after=after, then=is_ready)
    mill.run()
    mill.wake(3)

    assert mill.world.leaf(WEB).dns_names == WEB.dns_names
