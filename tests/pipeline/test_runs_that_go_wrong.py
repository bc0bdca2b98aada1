"""What remains of a run that fails, is slow, or meets a change: nothing that blocks others, costs orders,
or is never checked again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from certmill.contract import STEP_NAMES
from certmill.dns01.providers.rfc2136 import Rfc2136
from certmill.errors import CAUnavailable, FailureClass, HomeUnavailable, NameRefused
from certmill.http01.base import NoRoutes
from certmill.http01.selfcheck import Probe
from certmill.model.certificate import PrivateKeySpec, RotationPolicy
from certmill.model.issuer import Dns01Solver, Http01Solver, SecretKeyRef, Selector, Solver
from certmill.model.secret import OPAQUE_TYPE, Secret
from certmill.model.trigger import ReconcileOptions
from certmill.runs.outcomes import Drop, Fail, Proceed, Wait
from certmill.state import keys
from tests.support.builders import DAY, ECDSA, a_certificate, a_pair, an_issuer
from tests.support.mill import Mill

WEB = a_certificate()


def play_to(mill, step):
    """Begin a run, and execute it up to this step."""
    mill.reconciler.reconcile(mill.certificate.id)
    for name in STEP_NAMES[: STEP_NAMES.index(step)]:
        assert isinstance(mill.step(name), Proceed)


def play(mill, *, seconds, every):
    """Advance the clock, and execute what the tick publishes."""
    last = None
    for _ in range(int(seconds / every)):
        mill.world.clock.advance(every)
        for wake_up in mill.ticks.wake().wake_ups:
            last = mill.run(wake_up.step)
    return last


class TestAnIssuerThatIsWrong:
    def test_a_certificate_created_meanwhile_is_issued_after_the_repair(self, redis):
        mill = Mill(redis)
        mill.ports.home.break_manifest("ClusterIssuer", "", "prod", "typo")
        mill.ticks.reread("r1")
        assert redis.zscore(keys.RENEWALS, WEB.id) is not None

        mill.ports.home.apply(an_issuer(), "kind: ClusterIssuer\n")
        mill.ticks.reread("r2")

        assert [wake_up.step for wake_up in mill.ticks.wake().wake_ups] == [STEP_NAMES[0]]

    def test_a_good_pair_is_adopted_after_the_repair_though_redis_was_lost(self, redis):
        mill = Mill(redis)
        mill.issue()
        redis.flushdb()
        mill.ports.home.break_manifest("ClusterIssuer", "", "prod", "typo")
        mill.ticks.reread("r1")

        mill.ports.home.apply(an_issuer(), "kind: ClusterIssuer\n")
        mill.ticks.reread("r2")

        assert redis.zscore(keys.RENEWALS, WEB.id) > mill.world.clock.now() + 30 * DAY


class TestTheLockOfAnOrder:
    def test_a_run_that_fails_before_its_order_leaves_no_lock(self, redis):
        never = a_certificate(private_key=replace(ECDSA, rotation_policy=RotationPolicy.NEVER))
        mill = Mill(redis, certificate=never)
        mill.ports.home.write_secret(a_pair(a_certificate(private_key=PrivateKeySpec())))  # an RSA key
        mill.reconciler.reconcile(never.id)

        mill.run()

        assert "rotationPolicy Never" in mill.failed
        assert list(redis.scan_iter("certmill:lock:order:*")) == []

    def test_a_step_that_kept_dying_leaves_no_lock(self, redis):
        mill = Mill(redis)
        play_to(mill, "set_up_challenge")
        redis.hset(keys.record(WEB.id), "attempts", 99)

        mill.run("set_up_challenge")

        assert "without an end" in mill.failed
        assert list(redis.scan_iter("certmill:lock:order:*")) == []


def test_an_order_of_another_spec_is_not_continued(redis):
    issuer = an_issuer(
        solvers=(Solver(http01=Http01Solver(), selector=Selector(dns_names=("web.example.test",))),)
    )
    mill = Mill(redis, issuer=issuer)
    mill.issue()
    mill.apply(a_certificate(dns_names=("web.example.test", "b.example.test")))
    mill.ticks.reread("a")
    (wake_up,) = mill.ticks.wake().wake_ups
    mill.run(wake_up.step)
    assert "no solver" in mill.failed

    mill.apply(WEB)
    mill.ticks.reread("b")
    mill.reconciler.reconcile(WEB.id, ReconcileOptions(force=True))
    mill.run()

    assert mill.record().result == "issued"
    assert [len(order.identifiers) for order in mill.world.ca.orders.values()] == [1, 2, 1]


def test_an_order_lost_after_its_challenges_were_presented_leaves_no_value(redis):
    solver = Solver(dns01=Dns01Solver(provider=Rfc2136(nameserver="192.0.2.1")))
    mill = Mill(redis, issuer=an_issuer(solvers=(solver,)))
    play_to(mill, "set_up_challenge")
    kept = redis.hgetall(keys.record(WEB.id))
    mill.step("set_up_challenge")
    facts = redis.hget(keys.record(WEB.id), "facts")
    redis.hset(keys.record(WEB.id), mapping=kept | {"facts": facts})  # killed after it had presented them
    mill.world.ca.authorizations.clear()

    mill.run("set_up_challenge")

    assert mill.record().result == "issued"
    assert {name: values for name, values in mill.world.provider.values.items() if values} == {}


class TestACaThatIsSlow:
    def test_a_worker_killed_before_it_answered_costs_no_waiting_time(self, redis):
        mill = Mill(redis)
        mill.world.ca.trouble.validation = True
        play_to(mill, "validate")
        mill.world.clock.advance(3600)

        assert isinstance(mill.step("validate"), Wait)

    def test_the_next_run_continues_an_order_that_is_still_processing(self, redis):
        mill = Mill(redis)
        mill.world.ca.trouble.issuance = True
        play_to(mill, "finalize")
        assert isinstance(mill.step("finalize"), Wait)
        play(mill, seconds=330, every=5)
        assert "has not issued" in mill.failed

        mill.world.ca.trouble.issuance = False
        mill.world.clock.advance(3700)
        mill.ticks.renew()
        mill.wake(1)

        assert mill.record().result == "issued"
        assert (len(mill.world.ca.orders), len(mill.world.ca.chains)) == (1, 1)

    def test_polls_do_not_count_as_failures(self, redis):
        mill = Mill(redis)
        mill.world.ca.trouble.validation = True
        play_to(mill, "validate")
        for _ in range(6):
            mill.step("validate")
            mill.world.clock.advance(40)
            mill.ticks.wake()

        assert (mill.record().tries, mill.record().failures) == (6, 0)

    def test_failures_in_a_row_count(self, redis):
        mill = Mill(redis)
        play_to(mill, "validate")
        mill.world.ca.trouble.down = CAUnavailable("ca.test answers 503")
        for _ in range(3):
            mill.step("validate")
            mill.world.clock.advance(400)
            mill.ticks.wake()

        assert mill.record().failures == 3


class TestSelfChecks:
    def test_a_solver_that_waits_longer_than_the_deadline_issues_in_the_end(self, redis):
        issuer = an_issuer(
            solvers=(Solver(http01=Http01Solver(), wait_instead_of_self_check=timedelta(minutes=15)),)
        )
        mill = Mill(redis, issuer=issuer)
        mill.reconciler.reconcile(WEB.id)
        mill.run()

        play(mill, seconds=1000, every=10)

        assert mill.record().result == "issued"

    def through_an_ingress(self, redis, answers):
        mill = Mill(redis, issuer=an_issuer(solvers=(Solver(http01=Http01Solver()),)))
        mill.world.way = "own"
        mill.world.seen = lambda: Probe(ok=answers.pop(0), reason="web.example.test answered 404")
        mill.reconciler.reconcile(WEB.id)
        mill.run()
        return mill

    def test_through_an_ingress_the_ca_is_asked_after_five_good_answers_in_a_row(self, redis):
        mill = self.through_an_ingress(redis, [True] * 4 + [False] + [True] * 5)

        assert (len(mill.world.looked), mill.record().result) == (10, "issued")

    def test_only_the_first_check_through_an_ingress_polls_for_half_a_second(self, redis):
        mill = self.through_an_ingress(redis, [False] * 5 + [True] * 5)
        assert (len(mill.world.looked), mill.record().step) == (4, "wait_for_propagation")

        mill.wake(seconds=2)
        assert (len(mill.world.looked), mill.record().step) == (5, "wait_for_propagation")

        mill.wake(seconds=10)
        assert (len(mill.world.looked), mill.record().result) == (10, "issued")

    def test_one_good_answer_is_enough_where_only_the_operator_leads_to_the_responder(self, redis):
        mill = Mill(redis, issuer=an_issuer(solvers=(Solver(http01=Http01Solver()),)))

        mill.issue()

        assert len(mill.world.looked) == 1

    def test_what_cannot_be_seen_fails_at_the_deadline(self, redis):
        mill = Mill(redis)
        mill.world.seen = lambda: Probe(ok=False, reason="web.example.test answered 404")
        mill.reconciler.reconcile(WEB.id)
        mill.run()

        play(mill, seconds=700, every=10)

        assert "answered 404; given up after" in mill.failed
        assert mill.status().next_attempt > mill.world.clock.now() + 300


class Troubled(NoRoutes):
    """The route to the responder cannot be presented, each time for the next of these reasons."""

    def __init__(self, reasons):
        self._reasons = list(reasons)

    def present(self, certificate, host, token, solver):
        if self._reasons:
            raise HomeUnavailable(self._reasons.pop(0))


@pytest.mark.parametrize(
    "reasons", [["a"] * 5, ["a", "b", "c", "d", "e"]], ids=["one trouble", "one after the other"]
)
def test_only_repeated_errors_of_the_home_lengthen_the_back_off(redis, reasons):
    mill = Mill(redis, issuer=an_issuer(solvers=(Solver(http01=Http01Solver()),)))
    mill.use(routes=Troubled(reasons), jitter=lambda: 1.0)
    play_to(mill, "set_up_challenge")
    waited = []
    for _ in reasons:
        waited.append(mill.step("set_up_challenge").seconds)
        mill.world.clock.advance(waited[-1])

    assert mill.step("set_up_challenge") == Proceed()
    assert (max(waited) > 3 * waited[0]) == (len(set(reasons)) == 1), waited


class TestTheSecret:
    def test_one_that_cannot_be_read_fails_before_the_ca_is_asked(self, redis):
        mill = Mill(redis)
        mill.ports.home.spoil_secret("default", "web-tls", "tls.crt is larger than 1048576 bytes")
        mill.reconciler.reconcile(WEB.id)

        mill.run()

        assert "default/web-tls" in mill.failed
        assert "delete it" in mill.failed
        assert mill.world.ca.orders == {}

    @pytest.mark.parametrize("name", ["prod-account", "stage-account"])
    def test_an_account_key_is_never_written_over(self, redis, name):
        mill = Mill(redis)
        mill.issue()
        stage = an_issuer(name="stage", private_key=replace(an_issuer().private_key, name="stage-account"))
        mill.ports.home.apply(stage, "kind: ClusterIssuer\n# stage\n")
        mill.ticks.reread("x")
        before = mill.world.secret("cert-manager", name)
        slip = a_certificate(namespace="cert-manager", name="slip", secret_name=name)
        mill.apply(slip)

        found = mill.reconciler.reconcile(slip.id)

        assert "spec.secretName" in found.reason
        assert found.run == 0
        assert mill.world.secret("cert-manager", name) == before

    @pytest.mark.parametrize("name", ["stage-account", "stage-tsig"])
    def test_what_another_issuer_needs_is_never_written_over_no_matter_who_made_it(self, redis, name):
        tsig = Rfc2136(nameserver="192.0.2.53:53", tsig_secret=SecretKeyRef(name="stage-tsig", key="secret"))
        solvers = (Solver(dns01=Dns01Solver(provider=tsig)),)
        stage = an_issuer(
            name="stage", private_key=replace(an_issuer().private_key, name="stage-account"), solvers=solvers
        )
        mill = Mill(redis)
        mill.ports.home.apply(stage, "kind: ClusterIssuer\n# stage\n")
        theirs = Secret(
            namespace="cert-manager", name=name, type=OPAQUE_TYPE, data={"tls.key": b"of cert-manager"}
        )
        mill.ports.home.write_secret(theirs)
        slip = a_certificate(namespace="cert-manager", name="slip", secret_name=name)
        mill.apply(slip)

        found = mill.reconciler.reconcile(slip.id)

        assert "spec.secretName" in found.reason
        assert "ClusterIssuer/stage" in found.reason
        assert found.run == 0
        assert mill.world.secret("cert-manager", name).data == theirs.data

    def test_a_secret_without_an_owner_is_written_and_keeps_its_other_content(self, redis):
        mill = Mill(redis)
        mill.ports.home.write_secret(Secret(namespace="default", name="web-tls", type=OPAQUE_TYPE, data={}))

        assert mill.issue().dns_names == WEB.dns_names

    def test_an_older_reconciliation_does_not_overwrite_a_pair_stored_meanwhile(self, redis):
        mill = Mill(redis)
        mill.issue()
        mill.reconciler.reconcile(WEB.id, ReconcileOptions(force=True))
        renewed = []

        def another_worker_ends_the_run():
            mill.run()
            renewed.append(mill.world.leaf(WEB))

        mill.ports.home.after_next_read_of("default", "web-tls", another_worker_ends_the_run)
        mill.reconciler.reconcile(WEB.id)

        assert mill.world.leaf(WEB) == renewed[0]
        assert mill.status().revision == 2


def test_a_status_that_was_written_meanwhile_does_not_repeat_the_last_step(redis):
    mill = Mill(redis)
    play_to(mill, "store_secret")
    mill.ports.home.before_next_status_of(WEB.id, lambda: None)

    assert isinstance(mill.step("store_secret"), Proceed)

    assert mill.status().condition("Ready").status


def test_a_worker_that_lost_its_step_does_not_say_that_the_run_failed(redis):
    mill = Mill(redis)
    play_to(mill, "validate")

    def go_on_elsewhere():
        mill.world.clock.advance(301)
        for wake_up in mill.ticks.wake().wake_ups:
            mill.run(wake_up.step)
        raise NameRefused("an answer that came late")

    mill.world.ca.trouble.before_next_authorization = go_on_elsewhere

    assert isinstance(mill.step("validate"), Drop)

    assert mill.record().result == "issued"
    assert mill.status().condition("Issuing") is None
    assert mill.status().failed_issuance_attempts == 0


def test_a_failure_noted_under_a_clock_that_was_years_ahead_does_not_hold_for_years(redis):
    mill = Mill(redis, issuer=an_issuer(solvers=()))
    mill.world.clock.advance(3650 * DAY)
    mill.reconciler.reconcile(WEB.id)
    mill.run()
    assert mill.status().next_attempt is not None

    mill.world.clock.advance(-3650 * DAY)

    assert mill.reconciler.reconcile(WEB.id).publish_run


def test_a_ca_that_is_slow_to_issue_is_not_a_wrong_name(redis):
    mill = Mill(redis)
    mill.world.ca.trouble.issuance = True
    play_to(mill, "finalize")
    mill.step("finalize")
    mill.world.clock.advance(400)
    mill.ticks.wake()

    result = mill.step("finalize")

    assert isinstance(result, Fail)
    assert f'"failure_class":"{FailureClass.TRANSIENT}"' in mill.record().facts


class TestAHomeThatRefusesUsFromNowOn:
    """A role was deleted, perhaps with its namespace."""

    @pytest.mark.parametrize("step", STEP_NAMES)
    def test_a_run_at_any_step_ends_and_is_not_begun_again_at_once(self, redis, step):
        mill = Mill(redis)
        play_to(mill, step)
        mill.ports.home.refuses = True

        mill.run(step)

        assert mill.record().step == ""
        assert redis.zscore(keys.RENEWALS, WEB.id) >= mill.world.clock.now()
        assert list(redis.scan_iter("certmill:http01:*")) == []
        assert list(redis.scan_iter("certmill:lock:order:*")) == []

    def test_the_certificate_is_issued_when_the_role_is_back(self, redis):
        mill = Mill(redis)
        play_to(mill, "store_secret")
        mill.ports.home.refuses = True
        mill.run("store_secret")

        mill.ports.home.refuses = False
        mill.world.clock.advance(7200)
        mill.ticks.renew()
        (wake_up,) = mill.ticks.wake().wake_ups
        mill.run(wake_up.step)

        assert mill.record().result == "issued"
        assert len(mill.world.ca.orders) == 1


def test_an_issuer_deleted_with_its_namespace_leaves_no_token(redis):
    mill = Mill(redis)
    play_to(mill, "validate")
    mill.ports.home.delete("ClusterIssuer", "", "prod")
    assert list(redis.scan_iter("certmill:http01:*")) != []

    mill.run("validate")

    assert "ClusterIssuer/prod is not there" in mill.record().reason
    assert list(redis.scan_iter("certmill:http01:*")) == []
