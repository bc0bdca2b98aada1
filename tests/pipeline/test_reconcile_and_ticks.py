"""Deciding, admitting, renewing, re-reading and sweeping, on a real Redis with everything else in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from certmill.contract import STEP_NAMES, STEPS_QUEUE
from certmill.crypto import chain
from certmill.crypto import keys as keys_of
from certmill.dns01.providers.rfc2136 import Rfc2136
from certmill.errors import (
    AccountRefused,
    CAUnavailable,
    Forbidden,
    HomeUnavailable,
    OrderGone,
    OrderRefused,
    RateLimited,
)
from certmill.http01.selfcheck import Probe
from certmill.model.certificate import KeyAlgorithm, PrivateKeySpec
from certmill.model.issuer import Dns01Solver, Http01Solver, Selector, Solver
from certmill.model.manifests.parse import certificate_document, dump_yaml
from certmill.model.names import CertificateId
from certmill.model.secret import Secret
from certmill.model.status import CertificateStatus, Condition
from certmill.model.trigger import Origin, ReconcileOptions
from certmill.runs.outcomes import Drop, Wait
from certmill.runs.ports import Limits
from certmill.state import keys
from certmill.state.journal import Presented
from certmill.state.metrics.gauges import Gauges
from certmill.state.records import Due
from certmill.upkeep.sweep import SWEEP_AFTER_SECONDS
from certmill.upkeep.ticks import LOST_SECONDS
from tests.pipeline.faulty_client import with_faults
from tests.support.builders import DAY, NOW, a_certificate, a_pair, an_issuer
from tests.support.mill import Mill

WEB = a_certificate()
ENDS = (STEP_NAMES[0], STEP_NAMES[-1])


def test_a_valid_pair_is_adopted_without_an_order_or_a_write(redis):
    mill = Mill(redis)
    pair = a_pair(WEB)
    mill.ports.home.write_secret(pair)

    mill.reconciler.reconcile(WEB.id)

    assert mill.record().step == ""
    assert redis.zscore(keys.RENEWALS, WEB.id) == pytest.approx(NOW + 60 * DAY, abs=3601)
    assert mill.world.ca.orders == {}
    assert mill.ports.home.secret("default", "web-tls") == pair


@pytest.mark.parametrize(
    "certificate",
    [
        a_certificate(private_key=PrivateKeySpec(algorithm=KeyAlgorithm.ED25519, size=0)),
        a_certificate(is_ca=True),
    ],
    ids=["ed25519", "isCA"],
)
def test_what_cert_manager_issues_by_acme_is_adopted_issued_and_then_left_alone(redis, certificate):
    """isCA: an ACME CA ignores the flag, so the leaf is not a CA certificate. This is no reason to issue
    again."""
    mill = Mill(redis, certificate=certificate)
    mill.ports.home.write_secret(a_pair(certificate))
    adopted = mill.reconciler.reconcile(certificate.id)
    mill.ports.home.delete_secret("default", "web-tls")

    mill.issue()
    after = mill.reconciler.reconcile(certificate.id)

    pair = mill.world.secret("default", "web-tls").data
    assert (adopted.right, after.right, after.publish_run, len(mill.world.ca.orders)) == (
        True,
        True,
        False,
        1,
    )
    assert keys_of.matches_spec(pair["tls.key"], certificate.private_key) is None
    assert chain.key_of(pair["tls.key"]) == mill.world.leaf(certificate).public_key


def test_nothing_is_ordered_for_a_secret_that_cannot_be_written_until_it_can(redis):
    mill = Mill(redis)
    mill.ports.home.bar_secret(
        "default", "web-tls", "secrets/default/web-tls is a symbolic link: put a directory in its place"
    )

    done = mill.reconciler.reconcile(WEB.id)

    assert (done.run, mill.world.ca.orders) == (0, {})
    assert (
        "spec.secretName: secrets/default/web-tls is a symbolic link"
        in mill.status().condition("Ready").message
    )
    mill.ports.home.bar_secret("default", "web-tls", "")
    mill.issue()


def test_after_a_flush_everything_good_is_adopted_and_nothing_is_issued_again(redis):
    mill = Mill(redis)
    before = mill.issue()
    redis.flushdb()

    mill.ticks.reread("tick")

    assert mill.record().step == ""
    assert len(mill.world.ca.orders) == 1
    assert mill.world.leaf(WEB).serial == before.serial


def test_a_problem_in_the_home_is_reported_once_and_again_when_it_comes_back(redis):
    mill = Mill(redis)
    home = mill.ports.home

    def reported():
        return [problem.message for problem in mill.ticks.reread("tick").problems]

    home.break_manifest("Certificate", "default", "mail", "spec: is required")
    home.break_manifest("Certificate", "default", "news", "spec: is required")
    assert (reported(), reported()) == (["spec: is required"] * 2, [])
    home.break_manifest("Certificate", "default", "mail", "spec: must be a mapping")
    assert (reported(), reported()) == (["spec: must be a mapping"], [])
    home.delete("Certificate", "default", "mail")
    assert reported() == []
    home.break_manifest("Certificate", "default", "mail", "spec: must be a mapping")
    assert (reported(), reported()) == (["spec: must be a mapping"], [])


def test_a_reread_leaves_the_snapshots_of_kinds_that_only_a_newer_release_knows(redis):
    mill = Mill(redis)
    mill.ports.snapshots.note(
        {"Certificate/default/gone": "1", "Issuer/a/gone": "2", "Target/default/x": "3"}
    )
    redis.hset(keys.ISSUER_GAUGES, mapping={"Issuer/a/gone": "True", "Target/default/x": "True"})

    mill.ticks.reread("tick")

    known = mill.ports.snapshots.all()
    assert known["Target/default/x"] == "3"
    assert {"Certificate/default/web", "ClusterIssuer//prod"} <= known.keys()
    assert not {"Certificate/default/gone", "Issuer/a/gone"} & known.keys()
    assert redis.hgetall(keys.ISSUER_GAUGES) == {"Target/default/x": "True", "ClusterIssuer/prod": "True"}


def test_a_renewal_is_begun_when_it_is_due_and_not_before(redis):
    mill = Mill(redis)
    first = mill.issue()
    mill.world.clock.advance(59 * DAY)

    assert mill.ticks.renew() == 0
    mill.world.clock.advance(1.1 * DAY)
    assert mill.ticks.renew() == 1
    mill.run()

    assert mill.world.leaf(WEB).serial != first.serial
    assert mill.status().revision == 2
    assert mill.ticks.renew() == 0


@pytest.mark.parametrize(
    ("spec", "days"),
    [
        ({"renew_before": timedelta(days=10)}, 80),
        ({"renew_before_percentage": 10}, 81),
        ({"renew_before": timedelta(days=100)}, 60),
    ],
)
def test_the_renewal_time_of_the_manifest_begins_the_next_run(redis, spec, days):
    mill = Mill(redis, certificate=a_certificate(**spec), limits=Limits(renewal_jitter=0.0))
    first = mill.issue()
    at = first.not_before + days * DAY
    assert mill.status().renewal_time == redis.zscore(keys.RENEWALS, WEB.id) == at
    mill.world.clock.advance(at - mill.world.clock.now() - 1)
    assert mill.ticks.renew() == 0

    mill.world.clock.advance(1)
    assert mill.ticks.renew() == 1
    mill.run()

    assert mill.world.leaf(WEB).serial != first.serial


def test_a_pair_stays_ready_while_it_is_renewed(redis):
    mill = Mill(redis)
    mill.issue()
    mill.world.clock.advance(61 * DAY)
    mill.ticks.renew()

    assert mill.status().condition("Ready").status
    assert mill.status().condition("Issuing").reason == "Renewing"


def test_a_manifest_changed_during_a_run_is_issued_as_it_is_now(redis):
    mill = Mill(redis)
    mill.reconciler.reconcile(WEB.id)
    mill.engine.run("register_account", WEB.id, task_id="t", root_id="r")
    mill.engine.run("create_order", WEB.id, task_id="t", root_id="r")
    mill.apply(replace(WEB, dns_names=("new.example.test",)))

    mill.run("set_up_challenge")

    assert mill.world.leaf(WEB).dns_names == ("new.example.test",)
    assert mill.record().result == "issued"


def test_a_certificate_deleted_in_mid_run_leaves_nothing(redis):
    mill = Mill(redis)
    mill.reconciler.reconcile(WEB.id)
    for step in STEP_NAMES[:4]:
        mill.engine.run(step, WEB.id, task_id="t", root_id="r")
    mill.ports.home.delete("Certificate", "default", "web")

    mill.run("validate")

    assert not mill.has_record()
    assert list(redis.scan_iter("certmill:http01:*")) == []
    assert list(redis.scan_iter("certmill:lock:*")) == []
    assert mill.ports.home.secret("default", "web-tls") is None


def test_a_secret_deleted_by_hand_is_issued_again(redis):
    mill = Mill(redis)
    mill.issue()
    mill.ticks.reread("one")
    mill.ports.home.delete_secret("default", "web-tls")

    mill.ticks.reread("two")

    assert mill.record().step == "register_account"


def test_a_changed_template_rewrites_the_secret_without_an_order(redis):
    mill = Mill(redis)
    mill.issue()
    labelled = replace(WEB, secret_template=replace(WEB.secret_template, labels={"team": "web"}))
    mill.apply(labelled)

    mill.ticks.reread("tick")

    assert mill.world.secret("default", "web-tls").labels["team"] == "web"
    assert len(mill.world.ca.orders) == 1


def test_two_certificates_with_one_secret_do_not_overwrite_each_other(redis):
    mill = Mill(redis)
    mill.issue()
    rival = a_certificate(name="rival", dns_names=("rival.example.test",))
    mill.ports.home.apply(rival, dump_yaml(certificate_document(rival)))

    found = mill.reconciler.reconcile(rival.id)

    assert "belongs to Certificate web" in found.reason
    assert len(mill.world.ca.orders) == 1


def test_above_high_water_a_run_begins_and_is_published_later(redis):
    mill = Mill(redis, limits=Limits(high_water=10, short_queue=5))
    redis.lpush(STEPS_QUEUE, *["x"] * 10)

    assert not mill.reconciler.reconcile(WEB.id).publish_run
    assert mill.ticks.wake().wake_ups == []
    redis.delete(STEPS_QUEUE)

    (wake_up,) = mill.ticks.wake().wake_ups
    assert (wake_up.certificate, wake_up.step) == (WEB.id, "register_account")


def test_a_wake_tick_with_nothing_due_makes_few_round_trips(redis):
    mill = Mill(redis)
    mill.ticks.wake()  # loads the scripts
    before = redis.info("stats")["total_reads_processed"]

    assert mill.ticks.wake().wake_ups == []

    assert redis.info("stats")["total_reads_processed"] - before - 1 <= 4  # one is the INFO command itself


def test_in_a_backlog_a_wake_up_is_published_and_a_suspect_is_not(redis):
    mill = Mill(redis, limits=Limits(short_queue=5))
    redis.zadd(keys.IN_FLIGHT, {WEB.id: NOW - 1})
    redis.hset(keys.record(WEB.id), mapping={"step": "validate"})
    redis.lpush(STEPS_QUEUE, *["x"] * 6)

    assert mill.ticks.wake().wake_ups == []
    redis.zadd(keys.WAITING, {WEB.id: NOW - 1})
    assert [wake_up.step for wake_up in mill.ticks.wake().wake_ups] == ["validate"]


def test_in_a_backlog_a_step_not_heard_of_for_very_long_is_published_all_the_same(redis):
    mill = Mill(redis, limits=Limits(short_queue=5))
    redis.zadd(keys.IN_FLIGHT, {WEB.id: NOW})
    redis.hset(keys.record(WEB.id), mapping={"step": "validate"})
    redis.lpush(STEPS_QUEUE, *["x"] * 6)

    mill.world.clock.advance(LOST_SECONDS - 1)
    assert mill.ticks.wake().wake_ups == []
    mill.world.clock.advance(2)
    assert [wake_up.step for wake_up in mill.ticks.wake().wake_ups] == ["validate"]


@pytest.mark.parametrize("index", [keys.IN_FLIGHT, keys.ARRIVALS], ids=["in flight", "arrivals"])
def test_runs_continue_after_the_clock_was_set_back_for_hours(redis, index):
    mill = Mill(redis)
    redis.zadd(index, {WEB.id: NOW + 3 * 3600})
    redis.hset(keys.record(WEB.id), mapping={"step": "register_account"})

    assert [wake_up.certificate for wake_up in mill.ticks.wake().wake_ups] == [WEB.id]


def test_a_failure_is_tried_again_at_its_time_with_the_count_going_up(redis):
    mill = Mill(redis)
    mill.world.validates = lambda *_: False
    mill.reconciler.reconcile(WEB.id)
    mill.run()
    first = mill.status()

    assert (first.failed_issuance_attempts, first.condition("Issuing").status) == (1, False)
    assert first.next_attempt >= NOW + 12 * 60
    assert mill.ticks.renew() == 0
    mill.world.clock.advance(first.next_attempt - NOW + 1)
    assert mill.ticks.renew() == 1
    mill.run()
    assert mill.status().failed_issuance_attempts == 2
    assert list(redis.scan_iter("certmill:http01:*")) == []


def test_success_forgets_the_failures(redis):
    mill = Mill(redis)
    mill.world.validates, validates = lambda *_: False, mill.world.validates
    mill.reconciler.reconcile(WEB.id)
    mill.run()
    mill.world.validates = validates

    mill.reconciler.reconcile(WEB.id, ReconcileOptions(ignore_back_off=True))
    mill.run()

    assert (mill.status().failed_issuance_attempts, mill.status().next_attempt) == (0, None)


def test_what_failed_is_tried_again_when_its_issuers_solvers_change(redis):
    mill = Mill(redis)
    mill.world.validates, validates = lambda *_: False, mill.world.validates
    mill.ticks.reread("zero")
    mill.run()
    assert mill.status().failed_issuance_attempts == 1
    mill.world.validates = validates
    mill.ports.home.apply(an_issuer(solvers=an_issuer().solvers * 2), "changed: true\n")

    mill.ticks.reread("one")

    assert mill.record().step == "register_account"


def test_a_missing_issuer_is_named_and_the_run_begins_when_it_is_there(redis):
    mill = Mill(redis)
    mill.ports.home.delete("ClusterIssuer", "", "prod")
    mill.reconciler.reconcile(WEB.id)

    mill.run()

    assert "ClusterIssuer/prod is not there; apply it" in mill.record().reason
    mill.ports.home.apply(an_issuer(), "back: true\n")
    mill.ticks.reread("tick")
    mill.wake(0)
    assert mill.record().result == "issued"


def test_a_rate_limit_waits_for_retry_after_and_does_not_fail_the_run(redis):
    mill = with_faults(Mill(redis), new_order=[RateLimited("too many orders", retry_after=3600)])
    mill.reconciler.reconcile(WEB.id)

    result = mill.run()

    assert isinstance(result, Wait)
    assert "too many orders" in result.reason
    assert redis.zscore(keys.WAITING, WEB.id) == pytest.approx(NOW + 3600, rel=0.1)
    assert mill.status().failed_issuance_attempts == 0


def test_a_ca_that_is_away_is_tried_again_at_the_same_step(redis):
    mill = with_faults(Mill(redis), finalize=[CAUnavailable("503"), CAUnavailable("503")])
    mill.reconciler.reconcile(WEB.id)

    assert isinstance(mill.run(), Wait)
    assert mill.record().step == "finalize"
    assert isinstance(mill.wake(), Wait)
    mill.wake()

    assert mill.record().result == "issued"
    assert len(mill.world.ca.orders) == 1


def test_an_account_that_the_ca_has_lost_is_registered_again_with_the_same_key(redis):
    lost = AccountRefused("the CA does not know the account")
    lost.acme_type = "accountDoesNotExist"
    mill = with_faults(Mill(redis), new_order=[lost])
    mill.reconciler.reconcile(WEB.id)
    mill.run()

    assert mill.record().result == "issued"
    assert len(mill.world.ca.accounts) == 1


def test_an_account_that_is_refused_makes_the_issuer_not_ready(redis):
    mill = with_faults(Mill(redis), new_account=[AccountRefused("external account required")])
    mill.reconciler.reconcile(WEB.id)
    mill.run()

    ready = mill.ports.home.issuer_status(an_issuer()).condition("Ready")
    assert (ready.status, ready.reason, ready.message) == (
        False,
        "ErrRegisterACMEAccount",
        "external account required",
    )
    assert mill.record().reason == "ClusterIssuer/prod is not ready: external account required"


def test_with_a_full_disk_the_run_waits_and_stores_the_same_certificate_later(redis):
    mill = Mill(redis)
    mill.reconciler.reconcile(WEB.id)
    write, full = mill.ports.home.write_secret, [HomeUnavailable("the disk is full: free space")]

    def failing(secret: Secret) -> None:
        if full and secret.name == WEB.secret_name:
            raise full.pop()
        write(secret)

    mill.ports.home.write_secret = failing
    result = mill.run()

    assert isinstance(result, Wait)
    assert "disk is full" in result.reason
    mill.wake()
    assert mill.record().result == "issued"
    assert len(mill.world.ca.orders) == 1


def test_the_sweep_removes_challenges_without_a_run_and_no_others(redis):
    mill = Mill(redis, issuer=an_issuer())
    orphan = Presented(
        certificate=CertificateId("default/gone"), issuer_kind="ClusterIssuer",
        issuer_namespace="", issuer_name="prod",
        identifier="gone.example.test", record_name="", zone="", value="token-of-a-dead-worker",
    )  # fmt: skip
    mill.ports.key_authorizations.put(orphan.value, "x.y", host="web.example.test")
    mill.ports.journal.add([orphan], now=NOW)
    mill.reconciler.reconcile(WEB.id)
    for step in STEP_NAMES[:4]:
        mill.engine.run(step, WEB.id, task_id="t", root_id="r")

    assert mill.ticks.sweep("sweep") == 0
    mill.world.clock.advance(SWEEP_AFTER_SECONDS + 1)
    assert mill.ticks.sweep("sweep") == 1

    assert mill.ports.key_authorizations.get(orphan.value) is None
    assert len(list(redis.scan_iter("certmill:http01:*"))) == 1


def test_a_request_becomes_a_certificate_in_the_home_and_a_run(redis):
    mill = Mill(redis)
    body = {"name": "asked", "spec": {"dnsNames": ["asked.example.test"], "issuerRef": {"name": "prod"}}}

    certificate, done = mill.handler.request(body, request_id="id")

    assert (certificate, done.run, done.publish_run) == ("default/asked", 1, True)
    assert mill.ports.home.certificate(certificate).issuer_ref.kind == "ClusterIssuer"
    assert mill.ports.requests.find("id").run == 1


@pytest.mark.parametrize(
    "body",
    [
        None,
        42,
        {},
        {"name": "../x", "spec": {}},
        {"name": "x", "spec": {"dnsNames": ["a b"], "issuerRef": {"name": "prod"}}},
    ],
)
def test_a_bad_request_is_kept_with_its_reason(redis, body):
    mill = Mill(redis)

    assert mill.handler.request(body, request_id="bad") is None

    (kept,) = mill.ports.requests.rejections()
    assert kept.reason
    assert "/" in kept.certificate or kept.certificate == "?"
    assert ".." not in kept.certificate.replace("..x", "")


def test_a_renewal_of_a_valid_pair_issues_it_again(redis):
    mill = Mill(redis)
    first = mill.issue()

    _, done = mill.handler.renew({"name": "web"}, request_id="again")
    mill.run()

    assert done.run == 2
    assert mill.world.leaf(WEB).serial != first.serial


def test_a_renewal_before_the_csr_is_sent_is_answered_by_the_run_under_way(redis):
    mill = Mill(redis)
    mill.reconciler.reconcile(WEB.id)
    mill.engine.run("register_account", WEB.id, task_id="t", root_id="r")

    _, done = mill.handler.renew({"name": "web"}, request_id="again")
    mill.run("create_order")

    assert (done.run, mill.record().done) == (1, 1)
    assert len(mill.world.ca.orders) == 1


@pytest.mark.parametrize("step", ["finalize", "store_secret", "clean_up"])
def test_a_renewal_after_the_csr_was_sent_is_followed_by_another_run(redis, step):
    mill = Mill(redis)
    mill.reconciler.reconcile(WEB.id)
    for before in STEP_NAMES[: STEP_NAMES.index(step)]:
        mill.engine.run(before, WEB.id, task_id="t", root_id="r")

    _, done = mill.handler.renew({"name": "web"}, request_id="again")
    mill.run(step)

    assert (done.run, mill.record().done) == (2, 2)
    assert len(mill.world.ca.orders) == 2


def test_a_renewal_wakes_a_run_that_waits_and_one_certificate_is_issued(redis):
    mill = Mill(redis)
    mill.world.seen = lambda: Probe(ok=False, reason="web.example.test has no address in DNS")
    mill.reconciler.reconcile(WEB.id)
    assert isinstance(mill.run(), Wait)
    mill.world.clock.advance(0.5)
    assert mill.ticks.wake().wake_ups == []
    mill.world.seen = None

    _, done = mill.handler.renew({"name": "web"}, request_id="again")
    (wake_up,) = mill.ticks.wake().wake_ups
    mill.run(wake_up.step)

    assert (done.run, mill.record().done, mill.record().result) == (1, 1, "issued")
    assert len(mill.world.ca.orders) == 1
    assert mill.ticks.wake().wake_ups == []


def test_a_request_that_cannot_be_issued_is_refused(redis):
    mill = Mill(redis)
    mill.issue()
    rival = {
        "name": "rival",
        "spec": {"secretName": "web-tls", "dnsNames": ["rival.example.test"], "issuerRef": {"name": "prod"}},
    }

    assert mill.handler.request(rival, request_id="rival") is None

    assert "belongs to Certificate web" in mill.ports.requests.find("rival").reason


def body_of(name="web", dns_name="other.example.test", **spec):
    return {"name": name, "spec": {"dnsNames": [dns_name], "issuerRef": {"name": "prod"}, **spec}}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (body_of(), "name: Certificate default/web was made by a manifest, and a request does not change it"),
        (body_of(secretName="web-tls"), "name: Certificate default/web was made by a manifest"),
        (
            body_of(name="thief", secretName="web-tls"),
            "spec.secretName: Secret default/web-tls belongs to Certificate web",
        ),
        (
            body_of(name="thief", secretName="by-hand"),
            "spec.secretName: Secret default/by-hand was not created by a request",
        ),
        (
            body_of(name="thief", secretName="damaged"),
            "spec.secretName: Secret default/damaged exists and cannot be read",
        ),
        (
            body_of(name="thief", secretName="planned-tls"),
            "spec.secretName: Secret default/planned-tls belongs to Certificate planned",
        ),
    ],
)
def test_a_request_takes_neither_the_certificate_of_a_manifest_nor_its_secret(redis, body, reason):
    mill, planned = Mill(redis), a_certificate(name="planned", secret_name="planned-tls")
    mill.issue()
    home = mill.ports.home
    home.write_secret(Secret(namespace="default", name="by-hand", data={"password": b"x"}))
    home.spoil_secret("default", "damaged", "is damaged")
    home.apply(planned, dump_yaml(certificate_document(planned)))
    mill.reconciler.reconcile(planned.id)
    before = [*home.certificates()], mill.world.secret("default", "web-tls")

    assert mill.handler.request(body, request_id="thief") is None

    assert reason in mill.ports.requests.find("thief").reason
    assert reason in mill.ports.requests.rejections()[0].reason
    assert ([*home.certificates()], mill.world.secret("default", "web-tls")) == before


def test_a_request_may_change_what_it_made_and_its_secret_goes_with_it(redis):
    mill = Mill(redis)
    mill.certificate = a_certificate(name="asked", secret_name="asked")
    for number, name in enumerate(("one.example.test", "two.example.test", "two.example.test")):
        _, done = mill.handler.request(body_of("asked", name), request_id=f"r{number}")
        if done.publish_run:
            mill.run()
            mill.world.clock.advance(DAY)

    assert done.right
    assert mill.ports.requests.rejections() == []
    assert mill.world.leaf(mill.certificate).dns_names == ("two.example.test",)


def test_a_certificate_of_a_manifest_comes_before_one_of_a_request_for_its_secret(redis):
    """Also if the request was first and the pair in the Secret is its own."""
    mill, squatter = Mill(redis), a_certificate(name="squatter", dns_names=("other.example.test",))
    mill.ports.home.delete("Certificate", "default", "web")
    assert mill.handler.request(body_of("squatter", secretName="web-tls"), request_id="first")[1].publish_run
    mill.certificate = squatter
    mill.run()

    mill.apply(WEB)
    mill.reconciler.reconcile(WEB.id)
    assert mill.world.leaf(squatter).dns_names == squatter.dns_names
    looks = [mill.reconciler.reconcile(squatter.id)]  # while the pair is still that of the other Certificate
    mill.run()
    looks.append(mill.reconciler.reconcile(squatter.id))

    assert [(reconcile_path.reason, reconcile_path.run) for reconcile_path in looks] == [
        ("Secret web-tls belongs to Certificate web", 0)
    ] * 2
    assert mill.world.leaf(WEB).dns_names == WEB.dns_names
    assert mill.reconciler.reconcile(WEB.id).right


def test_the_same_request_again_and_again_does_not_break_the_back_off(redis):
    mill = Mill(redis)
    mill.world.validates = lambda *_: False
    body = {"name": "dead", "spec": {"dnsNames": ["dead.example.test"], "issuerRef": {"name": "prod"}}}
    for number in range(10):
        mill.certificate = a_certificate(name="dead")
        if mill.handler.request(body, request_id=f"r{number}")[1].publish_run:
            mill.run()
        mill.world.clock.advance(10)

    assert len(mill.world.ca.orders) == 1
    record = mill.record()
    assert mill.ports.requests.find("r9").run == record.done == 1
    assert record.result != "issued"


def test_a_manifest_that_changes_during_a_long_wait_ends_the_wait(redis):
    mill = with_faults(Mill(redis), new_order=[RateLimited("slow down", retry_after=36_000)])
    mill.reconciler.reconcile(WEB.id)
    mill.run()
    mill.apply(replace(WEB, dns_names=("new.example.test",)))

    mill.ticks.reread("tick")
    (wake_up,) = mill.ticks.wake().wake_ups
    mill.run(wake_up.step)

    assert mill.world.leaf(WEB).dns_names == ("new.example.test",)


def test_a_certificate_deleted_during_a_long_wait_is_cleaned_up_at_once(redis):
    mill = with_faults(Mill(redis), new_order=[RateLimited("slow down", retry_after=36_000)])
    mill.ticks.reread("one")
    mill.ticks.wake()
    mill.run()
    mill.ports.home.delete("Certificate", "default", "web")

    mill.ticks.reread("two")
    (wake_up,) = mill.ticks.wake().wake_ups
    mill.run(wake_up.step)

    assert not mill.has_record()
    assert list(redis.scan_iter("certmill:lock:*")) == []


def test_a_late_message_does_not_end_a_wait_early(redis):
    mill = with_faults(Mill(redis), new_order=[RateLimited("slow down", retry_after=3600)])
    mill.reconciler.reconcile(WEB.id)
    mill.run()

    assert mill.run("create_order") == Drop()
    assert mill.world.ca.orders == {}


def test_a_change_during_the_clean_up_is_not_lost_if_the_worker_dies(redis):
    mill = Mill(redis)
    mill.reconciler.reconcile(WEB.id)
    for step in STEP_NAMES[:-1]:
        mill.engine.run(step, WEB.id, task_id="t", root_id="r")
    claimed = mill.ports.records.claim(
        WEB.id, STEP_NAMES[-1], now=NOW, lease_seconds=60, task_id="t", root_id="r"
    )
    mill.reconciler.reconcile(WEB.id, ReconcileOptions(force=True))

    mill.ports.records.commit(
        WEB.id, fence=claimed.fence, step="", due=Due.RENEWALS, at=NOW + 60 * DAY, fields={"done": "1"}
    )

    assert mill.ticks.renew() == 1
    assert mill.record().step == "register_account"


def test_nothing_is_renewed_in_the_first_tenth_of_its_life(redis):
    eager = a_certificate(renew_before=timedelta(days=89.99))
    mill = Mill(redis, certificate=eager)
    mill.issue()

    for _ in range(20):
        mill.world.clock.advance(600)
        mill.ticks.renew()

    assert len(mill.world.ca.orders) == 1


def test_a_clock_that_is_wrong_costs_one_order_an_hour_at_most(redis):
    mill = Mill(redis)
    mill.world.ca_clock.skew = -61 * DAY
    mill.issue()
    for _ in range(6):
        mill.world.clock.advance(60)
        if mill.ticks.renew():
            mill.run()

    assert len(mill.world.ca.orders) == 1


def test_an_account_that_is_refused_later_makes_the_issuer_not_ready_too(redis):
    mill = with_faults(Mill(redis), new_order=[AccountRefused("agree to the new terms")])
    mill.reconciler.reconcile(WEB.id)
    mill.run()

    assert not mill.ports.home.issuer_status(an_issuer()).condition("Ready").status


def test_a_values_solver_is_found_again_by_the_labels_it_was_chosen_with(redis):
    labelled = Solver(
        dns01=Dns01Solver(provider=Rfc2136(nameserver="192.0.2.1")),
        selector=Selector(match_labels={"team": "web"}),
    )
    certificate = a_certificate(labels={"team": "web"})
    mill = Mill(
        redis, certificate=certificate, issuer=an_issuer(solvers=(Solver(http01=Http01Solver()), labelled))
    )
    mill.reconciler.reconcile(WEB.id)
    for step in STEP_NAMES[:4]:
        mill.engine.run(step, WEB.id, task_id="t", root_id="r")
    assert mill.world.provider.values != {}
    mill.ports.home.delete("Certificate", "default", "web")

    mill.run("validate")

    assert mill.world.provider.values == {}


def test_a_csr_that_the_ca_refuses_is_not_sent_again(redis):
    bad = OrderRefused("bad CSR")
    bad.acme_type = "badCSR"
    mill = with_faults(Mill(redis), finalize=[bad])
    mill.reconciler.reconcile(WEB.id)
    mill.run()

    assert mill.record().facts == ""


def test_a_ca_that_forgets_every_order_does_not_get_an_order_each_minute(redis):
    gone = [OrderGone("unknown order") for _ in range(50)]
    mill = with_faults(Mill(redis), authorization=gone)
    mill.use(jitter=lambda: 0.5)
    mill.reconciler.reconcile(WEB.id)
    for _ in range(60):
        mill.world.clock.advance(60)
        for wake_up in mill.ticks.wake().wake_ups:
            mill.run(wake_up.step)
        mill.ticks.renew()

    assert len(mill.world.ca.orders) <= 8


def test_an_e_mail_that_changes_in_mid_run_registers_again_and_does_not_fail_the_run(redis):
    mill = Mill(redis)
    mill.reconciler.reconcile(WEB.id)
    mill.engine.run("register_account", WEB.id, task_id="t", root_id="r")
    mill.ports.home.apply(an_issuer(email="new@example.test"), "changed: true\n")

    mill.run("create_order")

    assert mill.record().result == "issued"
    assert mill.status().failed_issuance_attempts == 0
    assert mill.ports.home.issuer_status(an_issuer()).last_registered_email == "new@example.test"


def trigger(mill, reason="ManuallyTriggered"):
    """As `cmctl renew` does: Issuing=True in the status, written by any user with the right, for any
    reason."""
    status = mill.status()
    asked = Condition(
        type="Issuing",
        status=True,
        reason=reason,
        message="Certificate re-issuance manually triggered",
        last_transition=NOW,
    )
    others = tuple(each for each in status.conditions if each.type != "Issuing")
    by_hand = replace(status, conditions=(*others, asked), asked=reason != "ManuallyTriggered")
    mill.ports.home.write_certificate_status(mill.certificate.id, by_hand)


@pytest.mark.parametrize("reason", ["ManuallyTriggered", "Rotation", "Renewing"])
def test_a_run_requested_by_the_status_begins_once_and_removes_the_request(redis, reason):
    mill = Mill(redis)
    first = mill.issue()
    trigger(mill, reason)

    begun = [mill.reconciler.reconcile(WEB.id).publish_run for _ in range(3)]
    mill.run()

    assert begun == [True, False, False]
    assert mill.world.leaf(WEB).serial != first.serial
    assert mill.status().condition("Issuing") is None
    assert mill.status().condition("Ready").status
    assert mill.reconciler.reconcile(WEB.id).right
    assert len(mill.world.ca.orders) == 2


def test_a_pair_stays_ready_while_it_is_issued_again_by_hand(redis):
    mill = Mill(redis)
    mill.issue()
    trigger(mill)

    mill.reconciler.reconcile(WEB.id)

    assert mill.status().condition("Ready").status
    assert mill.status().condition("Issuing").reason == "ManuallyTriggered"


def test_asked_for_while_a_run_is_under_way_it_changes_nothing(redis):
    mill = Mill(redis)
    mill.reconciler.reconcile(WEB.id)
    mill.engine.run("register_account", WEB.id, task_id="t", root_id="r")
    trigger(mill)

    assert mill.reconciler.reconcile(WEB.id).publish_run is False
    mill.run("create_order")

    assert mill.record().run == mill.record().done == 1
    assert mill.status().condition("Issuing") is None
    assert mill.reconciler.reconcile(WEB.id).right
    assert len(mill.world.ca.orders) == 1


def test_asked_for_it_does_not_wait_for_a_back_off_to_end(redis):
    mill = Mill(redis)
    mill.world.validates = lambda *_: False
    mill.reconciler.reconcile(WEB.id)
    mill.run()
    assert mill.reconciler.reconcile(WEB.id).publish_run is False
    mill.world.validates = lambda *_: True
    trigger(mill)

    assert mill.reconciler.reconcile(WEB.id).publish_run is True
    mill.run()

    assert mill.record().result == "issued"


def test_a_requested_run_that_fails_is_not_begun_again_at_once(redis):
    mill = Mill(redis)
    mill.issue()
    mill.world.validates = lambda *_: False
    trigger(mill)
    mill.reconciler.reconcile(WEB.id)
    mill.run()

    assert (mill.status().condition("Issuing").status, mill.status().condition("Issuing").reason) == (
        False,
        "Failed",
    )
    assert mill.status().condition("Ready").status
    assert mill.reconciler.reconcile(WEB.id).right


def test_a_permanent_refusal_of_the_home_backs_off_for_that_certificate(redis):
    """The namespace is being deleted, or a role is missing."""
    mill = Mill(redis)
    mill.use(jitter=lambda: 0.9)
    write, refuses = mill.ports.home.write_secret, [True] * 5

    def refusing(secret: Secret) -> None:
        if secret.name == WEB.secret_name and refuses:
            refuses.pop()
            raise Forbidden(
                "cannot apply Secret default/web-tls: its namespace is being deleted; nothing new can be "
                "made there"
            )
        write(secret)

    mill.ports.home.write_secret = refusing
    delays = []
    while refuses:
        assert mill.reconciler.reconcile(WEB.id).publish_run
        mill.run()
        assert "its namespace is being deleted" in mill.failed
        delays.append(mill.status().next_attempt - mill.world.clock.now())
        mill.world.clock.advance(delays[-1])
    assert mill.reconciler.reconcile(WEB.id).publish_run
    mill.run()

    assert delays == sorted(set(delays))
    assert delays[-1] > 900
    assert mill.record().result == "issued"
    assert len(mill.world.ca.orders) == 1


class TestATemporaryPair:
    """Without a pair, edit in place cannot work with an Ingress that has TLS."""

    ASKING = a_certificate(annotations={"cert-manager.io/issue-temporary-certificate": "true"})

    def test_a_temporary_pair_is_stored_though_the_worker_died_that_began_the_run(self, redis):
        mill = Mill(redis, certificate=self.ASKING)
        mill.ports.records.begin(
            WEB.id,
            now=NOW,
            steps=ENDS,
            spec=mill.world.spec,
            origin=Origin(root_id="r"),
            in_flight_until=NOW + 10,
        )

        mill.reconciler.reconcile(WEB.id)

        assert mill.ports.home.secret("default", "web-tls").annotations.keys() >= {
            "cert-manager.io/certificate-name"
        }
        assert mill.world.leaf(WEB).issuer_common_name != ""

    @pytest.mark.parametrize(
        "quicker", [True, False], ids=["the look at the new Secret", "the look that made it"]
    )
    def test_the_certificate_is_ready_with_it_whichever_reconciliation_writes_first(self, redis, quicker):
        mill = Mill(redis, certificate=self.ASKING)
        mill.ports.home.watched = True
        if quicker:
            mill.ports.home.before_next_status_of(WEB.id, lambda: mill.reconciler.reconcile(WEB.id))

        mill.reconciler.reconcile(WEB.id)
        mill.reconciler.reconcile(WEB.id)

        issuing, ready = mill.status().condition("Issuing"), mill.status().condition("Ready")
        assert (issuing.status, issuing.reason, ready.status) == (True, "DoesNotExist", True)

    def test_it_does_not_overwrite_the_pair_of_a_run_that_ended_meanwhile(self, redis):
        mill = Mill(redis, certificate=self.ASKING)
        issued = a_pair(WEB)
        mill.ports.home.after_next_read_of("default", "web-tls", lambda: mill.ports.home.write_secret(issued))

        mill.reconciler.reconcile(WEB.id)

        assert mill.ports.home.secret("default", "web-tls").data == issued.data


def test_a_run_whose_begin_was_not_reported_is_reported_by_the_next_reconciliation(redis):
    mill = Mill(redis)
    mill.ports.home.watched = True
    mill.ports.records.begin(
        WEB.id,
        now=NOW,
        steps=ENDS,
        spec=mill.world.spec,
        origin=Origin(root_id="r"),
        in_flight_until=NOW + 10,
    )

    mill.reconciler.reconcile(WEB.id)

    assert mill.status().condition("Issuing").status is True


def test_a_run_whose_begin_was_not_reported_is_published_by_the_next_reconciliation(redis):
    """The worker that began the run could not write its status, and published no wake-up."""
    mill = Mill(redis)
    mill.ports.home.watched = True
    mill.ports.records.begin(
        WEB.id,
        now=NOW,
        steps=ENDS,
        spec=mill.world.spec,
        origin=Origin(root_id="r"),
        in_flight_until=NOW + 10,
    )

    assert mill.reconciler.reconcile(WEB.id).publish_run
    assert not mill.reconciler.reconcile(WEB.id).publish_run


@pytest.mark.parametrize("quicker", [True, False], ids=["another look", "somebody else"])
def test_a_status_that_changes_while_a_run_begins_does_not_prevent_its_wake_up(redis, quicker):
    mill = Mill(redis)
    mill.ports.home.watched = True
    other = CertificateStatus(
        conditions=(Condition(type="Ready", status=False, reason="theirs", message="", last_transition=NOW),)
    )
    mill.ports.home.before_next_status_of(
        WEB.id,
        (lambda: mill.reconciler.reconcile(WEB.id))
        if quicker
        else (lambda: mill.ports.home.write_certificate_status(WEB.id, other)),
    )

    assert mill.reconciler.reconcile(WEB.id).publish_run
    assert mill.status().condition("Issuing").status is True


@pytest.mark.parametrize("flushed", [False, True])
def test_a_reconciliation_that_takes_longer_than_a_run_does_not_begin_another(redis, flushed):
    mill = Mill(redis)
    mill.reconciler.reconcile(WEB.id)

    def meanwhile():
        """After it was seen that there is no Secret."""
        mill.run()
        if flushed:
            redis.flushdb()

    mill.ports.home.after_next_read_of("default", "web-tls", meanwhile)
    found = mill.reconciler.reconcile(WEB.id)

    assert found.right
    assert (mill.record().step, len(mill.world.ca.orders)) == ("", 1)


def test_a_reconciliation_without_back_off_ignores_that_of_a_run_that_just_failed(redis):
    mill = Mill(redis)
    mill.world.validates = lambda *_: False
    mill.reconciler.reconcile(WEB.id)
    mill.ports.home.after_next_read_of("default", "web-tls", mill.run)

    assert mill.reconciler.reconcile(WEB.id, ReconcileOptions(ignore_back_off=True)).publish_run

    assert mill.status().failed_issuance_attempts == 1
    assert mill.record().step == "register_account"


class TestACertificateThatIsDeletedWhileAnotherWorkerReconcilesIt:
    """Two reconciliations at once: the older one has read the Certificate, the newer one finds it deleted."""

    @staticmethod
    def deleted_meanwhile(mill):
        def another_worker_reconciles_the_deletion():
            mill.ports.home.delete("Certificate", "default", "web")
            mill.reconciler.reconcile(WEB.id)

        mill.ports.home.after_next_read_of("default", "web-tls", another_worker_reconciles_the_deletion)

    @staticmethod
    def traces(mill, redis):
        due = [name for name in keys.DUE_SETS if redis.zscore(name, WEB.id) is not None]
        return mill.ports.records.read(WEB.id), due, Gauges(redis).read()[0]

    def test_an_older_reconciliation_leaves_no_record_and_no_gauge(self, redis):
        mill = Mill(redis)
        mill.issue()
        self.deleted_meanwhile(mill)

        assert not mill.reconciler.reconcile(WEB.id).right

        assert self.traces(mill, redis) == (None, [], {})

    def test_an_older_reconciliation_of_a_new_certificate_leaves_no_record(self, redis):
        mill = Mill(redis)
        mill.issue()
        redis.flushdb()
        self.deleted_meanwhile(mill)

        assert not mill.reconciler.reconcile(WEB.id).right

        assert self.traces(mill, redis) == (None, [], {})

    def test_an_older_reconciliation_begins_no_run(self, redis):
        mill = Mill(redis)
        self.deleted_meanwhile(mill)

        assert not mill.reconciler.reconcile(WEB.id).run

        assert self.traces(mill, redis) == (None, [], {})

    def test_an_older_reconciliation_with_an_invalid_issuer_leaves_no_record(self, redis):
        mill = Mill(redis)
        mill.ports.home.break_manifest("ClusterIssuer", "", "prod", "spec.acme: is required")
        self.deleted_meanwhile(mill)

        mill.reconciler.reconcile(WEB.id)

        assert self.traces(mill, redis) == (None, [], {})

    def test_a_certificate_created_again_meanwhile_is_issued(self, redis):
        mill = Mill(redis)
        mill.issue()

        def deleted_and_created_again():
            mill.ports.home.delete("Certificate", "default", "web")
            mill.reconciler.reconcile(WEB.id)
            mill.apply(mill.certificate)

        mill.ports.home.after_next_read_of("default", "web-tls", deleted_and_created_again)

        assert mill.reconciler.reconcile(WEB.id).right
        assert redis.zscore(keys.RENEWALS, WEB.id) == pytest.approx(mill.status().renewal_time, abs=1)
