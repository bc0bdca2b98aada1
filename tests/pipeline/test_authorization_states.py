"""Authorizations with other states than valid and invalid, and labels that change while authorizations are
pending."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from certmill.acme.problems import Problem
from certmill.acme.resources import AuthorizationStatus, OrderStatus
from certmill.contract import STEP_NAMES
from certmill.dns01.providers.rfc2136 import Rfc2136
from certmill.errors import FailureClass, OrderGone
from certmill.http01.selfcheck import Probe
from certmill.model.issuer import Dns01Solver, Http01Solver, Selector, Solver
from certmill.runs.facts import Facts
from certmill.runs.outcomes import Fail, Proceed, Wait
from certmill.state import keys
from tests.support.builders import a_certificate, an_issuer
from tests.support.mill import Mill

MANY = a_certificate(dns_names=tuple(f"n{number}.example.test" for number in range(3)))
LABELLED = a_certificate(labels={"team": "web"})


def at_step(mill, step):
    """Begin a run, and execute it up to the step before this one."""
    assert mill.reconciler.reconcile(mill.certificate.id).publish_run
    for name in STEP_NAMES[: STEP_NAMES.index(step)]:
        assert isinstance(mill.step(name), Proceed)
    return mill


class Pending:
    """A client whose authorizations stay pending, each with the next of these Retry-After values."""

    def __init__(self, client, retry_afters):
        self._client, self._retry_afters = client, retry_afters

    def __getattr__(self, name):
        return getattr(self._client, name)

    def authorization(self, url):
        found = self._client.authorization(url)
        return replace(found, status=AuthorizationStatus.PENDING, retry_after=self._retry_afters.pop(0))


@pytest.mark.parametrize("retry_afters", [[30.0, 5.0, None], [5.0, 30.0, None], [None, 5.0, 30.0]])
def test_the_longest_retry_after_of_the_authorizations_is_respected(redis, retry_afters):
    mill = at_step(Mill(redis, certificate=MANY), "validate")
    mill.wrap_clients(lambda client: Pending(client, retry_afters))

    result = mill.step("validate")

    assert isinstance(result, Wait)
    assert result.seconds == 30.0


class TestARateLimitOnAnAuthorization:
    def limited(self, redis):
        mill = Mill(redis)
        mill.world.validates = lambda *_: False
        mill.world.ca.trouble.problem = Problem(type="rateLimited", detail="too many validations", status=429)
        at_step(mill, "validate")
        mill.run("validate")
        return mill

    def test_the_run_waits_for_the_end_of_the_rate_limit(self, redis):
        mill = self.limited(redis)

        assert mill.record().step == "create_order"
        assert redis.zscore(keys.WAITING, mill.certificate.id) == mill.world.clock.now() + 3600
        assert "too many validations" in mill.record().reason
        assert mill.status().failed_issuance_attempts == 0

    def test_it_is_reported_as_a_rate_limit_by_get_and_by_the_log(self, redis):
        with capture_logs() as lines:
            mill = self.limited(redis)
        waits = [line for line in lines if line["event"] == "certificate.waiting"]

        assert mill.record().wait_class == FailureClass.RATE_LIMITED
        assert [(line["step"], line["until"][-6:]) for line in waits] == [("create_order", "+00:00")]

    def test_any_number_of_rate_limits_does_not_fail_the_run(self, redis):
        mill = self.limited(redis)
        for _ in range(6):
            mill.wake(3601)

        assert mill.record().step == "create_order"
        assert mill.status().failed_issuance_attempts == 0

    def test_when_the_rate_limit_ends_the_same_run_issues(self, redis):
        mill = self.limited(redis)
        mill.world.validates = mill.world._validates

        mill.wake(3601)

        assert (mill.record().result, mill.record().run) == ("issued", 1)
        assert list(redis.scan_iter("certmill:http01:*")) == []


class LimitedAtTheEnd:
    """A client whose orders become invalid when they are finalized, because of a rate limit of the CA."""

    def __init__(self, client):
        self._client = client

    def __getattr__(self, name):
        return getattr(self._client, name)

    def finalize(self, url, csr):
        problem = Problem(type="rateLimited", detail="too many certificates", status=429)
        return replace(
            self._client.finalize(url, csr), status=OrderStatus.INVALID, certificate="", error=problem
        )


def test_a_rate_limit_on_an_order_that_is_finalized_ends_no_run_either(redis):
    mill = at_step(Mill(redis), "finalize")
    mill.wrap_clients(LimitedAtTheEnd)

    mill.step("finalize")

    assert (mill.record().step, mill.record().wait_class) == ("create_order", FailureClass.RATE_LIMITED)
    assert redis.zscore(keys.WAITING, mill.certificate.id) == mill.world.clock.now() + 3600
    assert mill.status().failed_issuance_attempts == 0


def test_a_404_to_every_authorization_is_not_a_wrong_name(redis):
    mill = at_step(Mill(redis), "set_up_challenge")

    class Forgetful:
        def __init__(self, client):
            self._client = client

        def __getattr__(self, name):
            return getattr(self._client, name)

        def authorization(self, url):
            mill.world.ca.authorizations.clear()
            return self._client.authorization(url)

    mill.wrap_clients(Forgetful)
    mill.run("set_up_challenge")
    while not hasattr(mill, "failed"):
        mill.wake(5)

    assert "begun again 3 times" in mill.failed
    assert len(mill.world.ca.orders) == 4
    assert (
        mill.status().next_attempt - mill.status().last_failure_time >= 12 * 60
    )  # each attempt costs four orders
    assert Facts.from_json(mill.record().facts) == Facts()


def test_a_ca_that_forgets_its_orders_fails_as_transient(redis):
    mill = at_step(Mill(redis), "set_up_challenge")
    facts = Facts.from_json(mill.record().facts)
    redis.hset(keys.record(mill.certificate.id), "facts", replace(facts, restarts=3).to_json())
    mill.world.ca.authorizations.clear()

    mill.step("set_up_challenge")

    assert Facts.from_json(mill.record().facts).failure.failure_class is FailureClass.TRANSIENT


class TestALabelThatChangesInMidRun:
    SOLVERS = (
        Solver(
            dns01=Dns01Solver(provider=Rfc2136(nameserver="192.0.2.1")),
            selector=Selector(match_labels={"team": "web"}),
        ),
        Solver(
            http01=Http01Solver(),
            selector=Selector(match_labels={"team": "web"}, dns_names=("other.example.test",)),
        ),
    )

    def relabelled(self, redis, step):
        mill = at_step(Mill(redis, certificate=LABELLED, issuer=an_issuer(solvers=self.SOLVERS)), step)
        mill.apply(replace(LABELLED, labels={"team": "platform"}))
        return mill

    @pytest.mark.parametrize("step", ["wait_for_propagation", "validate", "clean_up"])
    def test_a_run_continues_with_the_solver_that_it_chose(self, redis, step):
        mill = self.relabelled(redis, step)

        mill.run(step)

        assert mill.record().result == "issued"
        assert {name: values for name, values in mill.world.provider.values.items() if values} == {}

    def test_a_run_that_waits_for_the_self_check_continues_too(self, redis):
        mill = at_step(
            Mill(redis, certificate=LABELLED, issuer=an_issuer(solvers=self.SOLVERS)), "wait_for_propagation"
        )
        values = dict(mill.world.provider.values)
        mill.world.provider.values.clear()
        mill.step("wait_for_propagation")
        mill.apply(replace(LABELLED, labels={}))
        mill.world.provider.values.update(values)

        mill.wake(30)

        assert mill.record().result == "issued"

    def test_a_route_is_repaired_by_the_solver_that_the_run_chose(self, redis):
        solvers = (Solver(http01=Http01Solver(), selector=Selector(match_labels={"team": "web"})),)
        mill = at_step(
            Mill(redis, certificate=LABELLED, issuer=an_issuer(solvers=solvers)), "wait_for_propagation"
        )
        seen, mill.world.seen = mill.world.seen, lambda: Probe(ok=False, reason="answered 404")
        mill.step("wait_for_propagation")
        mill.apply(replace(LABELLED, labels={}))

        mill.wake(30)
        mill.world.seen = seen
        mill.wake(30)

        assert mill.record().result == "issued"

    def test_changed_labels_count_until_the_challenge_is_set_up(self, redis):
        mill = self.relabelled(redis, "set_up_challenge")

        result = mill.step("set_up_challenge")

        assert isinstance(result, Fail)
        assert "no solver" in result.message


class Gone:
    """A client to which the CA answers that the order does not exist."""

    def __init__(self, client):
        self._client = client

    def __getattr__(self, name):
        return getattr(self._client, name)

    def _gone(self, *_):
        raise OrderGone("the CA does not know the order")

    order = authorization = finalize = certificate = _gone


@pytest.mark.parametrize("step", ["set_up_challenge", "validate", "finalize", "store_secret"])
def test_an_order_that_is_gone_is_replaced_and_every_step_says_the_same(redis, step):
    mill = at_step(Mill(redis), step)
    mill.wrap_clients(Gone)

    mill.step(step)

    record = mill.record()
    assert (record.step, Facts.from_json(record.facts).order) == ("create_order", "")
    assert record.reason == "the CA does not know the order; a new order is created"


@pytest.mark.parametrize("step", ["set_up_challenge", "wait_for_propagation", "validate"])
def test_a_changed_account_is_registered_again_by_the_same_run(redis, step):
    solvers = (Solver(http01=Http01Solver()),)
    mill = at_step(Mill(redis, issuer=an_issuer(solvers=solvers)), step)
    mill.ports.home.apply(an_issuer(solvers=solvers, email="new@example.test"), "changed: true\n")

    mill.step(step)

    status = mill.ports.home.issuer_status(an_issuer())
    assert (mill.record().step, Facts.from_json(mill.record().facts).order) == ("register_account", "")
    assert [c for c in status.conditions if c.type == "Ready" and not c.status] == []
