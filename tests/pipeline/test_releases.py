"""Values that another release wrote: the previous one (previous_release.json, which it recorded), and
later ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from certmill.contract import STEP_NAMES
from certmill.dns01.providers.cloudflare import Cloudflare
from certmill.errors import HomeUnavailable, NewerRelease
from certmill.home.directory.home import DirectoryHome
from certmill.home.kubernetes.status import ATTEMPT_ANNOTATION, attempt_of, certificate_status_of
from certmill.model.issuer import Dns01Solver, SecretKeyRef, Solver
from certmill.model.manifests.parse import certificate_document, dump_yaml
from certmill.model.names import CertificateId
from certmill.model.object_ref import ObjectRef
from certmill.model.status import CertificateStatus
from certmill.runs.engine import UNREAD_POLL_SECONDS, UNREAD_SECONDS
from certmill.runs.outcomes import Fail, Wait
from certmill.state import keys
from certmill.state.issuer_records import Postponement
from certmill.state.journal import Presented
from certmill.state.requests import Acceptance, Rejection
from certmill.upkeep.sweep import SWEEP_AFTER_SECONDS
from tests.support.builders import NOW, a_certificate, an_issuer
from tests.support.mill import Mill

RECORDED = json.loads((Path(__file__).parent / "previous_release.json").read_text())
WEB = CertificateId("default/web")
PROD = ObjectRef(kind="ClusterIssuer", namespace="", name="prod")
DNS01 = an_issuer(
    solvers=(Solver(dns01=Dns01Solver(provider=Cloudflare(api_token=SecretKeyRef(name="cf", key="token")))),)
)
UNFINISHED = [step for step in STEP_NAMES if RECORDED["records"][step].get("facts")]


def a_mill(redis, **options):
    return Mill(redis, issuer=DNS01, certificate=replace(a_certificate(), labels={"team": "a"}), **options)


def played_to(redis, step):
    """A run at this step."""
    mill = a_mill(redis)
    mill.reconciler.reconcile(mill.certificate.id)
    for name in STEP_NAMES[: STEP_NAMES.index(step)]:
        mill.step(name)
    return mill


def newest(mill):
    return json.loads(redis_fields(mill)["facts"])


def redis_fields(mill):
    return mill.ports.records._redis.hgetall(keys.record(mill.certificate.id))


def away(*_args, **_kwargs):
    raise HomeUnavailable("the API server does not answer")


def put_facts(redis, mill, facts):
    redis.hset(keys.record(mill.certificate.id), "facts", json.dumps(facts))


def as_recorded(ours, recorded):
    """The recorded facts, of this CA's order and account."""
    facts = {
        **recorded,
        **{
            name: ours[name]
            for name in ("order", "finalize", "authorizations", "certificate", "stored")
            if name in ours
        },
    }
    if "challenges" in ours:
        of_ours = ("authorization", "url", "token", "value")
        facts["challenges"] = [
            {**before, **{name: now[name] for name in of_ours}}
            for before, now in zip(recorded["challenges"], ours["challenges"], strict=True)
        ]
    return facts


@pytest.mark.parametrize("step", UNFINISHED)
def test_a_run_of_the_previous_release_is_finished_with_its_order(redis, step):
    mill = played_to(redis, step)
    recorded, key, ours = RECORDED["records"][step], keys.record(mill.certificate.id), newest(mill)
    facts = as_recorded(ours, recorded["facts"])
    if STEP_NAMES.index(step) > STEP_NAMES.index("finalize"):  # the CA has issued for this run's key
        facts["csr"], recorded = ours["csr"], {**recorded, "key": redis_fields(mill)["key"]}
    redis.delete(key)
    redis.hset(key, mapping={**recorded, "facts": json.dumps(facts)})

    mill.run(step)

    assert mill.record().result == "issued"
    assert len(mill.world.ca.orders) == 1
    assert mill.world.provider.values.get("_acme-challenge.web.example.test", set()) == set()


def test_a_run_that_failed_under_the_previous_release_keeps_its_back_off(redis):
    mill = played_to(redis, "create_order")
    redis.hset(
        keys.record(WEB),
        mapping={
            **RECORDED["records"]["failed"],
            "facts": json.dumps(RECORDED["records"]["failed"]["facts"]),
        },
    )

    failed = CertificateStatus(next_attempt=NOW + 720, last_failure_time=NOW, failed_issuance_attempts=1)
    mill.ports.home.write_certificate_status(WEB, failed)

    mill.step("clean_up")

    assert redis.zscore(keys.RENEWALS, WEB) == NOW + 720


def test_what_the_previous_release_keeps_in_redis_is_read(redis):
    mill = a_mill(redis)
    for field, body in RECORDED["journal"].items():
        redis.hset(keys.JOURNAL, field, json.dumps(body))
        redis.zadd(keys.JOURNAL_TIMES, {field: NOW})
    redis.set(keys.registration(PROD), json.dumps(RECORDED["postponement"]))
    redis.set(keys.request("one"), json.dumps(RECORDED["acceptance"]))
    redis.set(keys.request("two"), json.dumps(RECORDED["rejection"]))
    redis.lpush(keys.REJECTED, json.dumps(RECORDED["rejection"]))
    refused = Rejection(at=NOW, request_id="two", certificate="default/x", reason="spec.dnsNames: is empty")

    (entry,) = mill.ports.journal.older_than(NOW, 10).entries
    assert (entry.certificate, entry.issuer_name, entry.zone, entry.labels) == (
        WEB,
        "prod",
        "example.test",
        {"team": "a"},
    )
    assert entry.field in RECORDED["journal"]
    assert mill.ports.issuer_records.postponed(PROD) == Postponement(
        until=NOW + 60, tries=2, reason="the CA does not answer", cause="abc", final=True
    )
    assert mill.ports.requests.find("one") == Acceptance(certificate=WEB, run=3)
    assert mill.ports.requests.find("two") == refused
    assert mill.ports.requests.rejections() == [refused]


def test_what_the_previous_release_keeps_in_the_home_is_read(tmp_path):
    home = DirectoryHome(tmp_path, cluster_resource_namespace="cert-manager")
    home.apply(a_certificate(), dump_yaml(certificate_document(a_certificate())))
    home.apply(DNS01, CLUSTER_ISSUER)
    (tmp_path / "status").mkdir()
    (tmp_path / "status" / "certificate.default.web.json").write_text(json.dumps(RECORDED["status_file"]))
    (tmp_path / "status" / "clusterissuer.prod.json").write_text(json.dumps(RECORDED["issuer_status_file"]))

    status = home.certificate_status(WEB)
    issuer = home.issuer_status(home.issuer(PROD))

    assert (status.next_attempt, status.failed_issuance_attempts, status.condition("Issuing").reason) == (
        NOW + 720,
        1,
        "Failed",
    )
    assert (issuer.uri, issuer.server) == ("https://ca.example/acct/1", "https://ca.example/directory")
    annotations = {ATTEMPT_ANNOTATION: json.dumps(RECORDED["next_attempt_annotation"])}
    body = {
        "metadata": {"annotations": annotations},
        "status": {"lastFailureTime": "2027-01-15T08:00:00Z", "failedIssuanceAttempts": 1},
    }
    assert certificate_status_of(body).next_attempt == NOW + 720


CLUSTER_ISSUER = """
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: prod}
spec:
  acme:
    server: https://ca.example/directory
    privateKeySecretRef: {name: prod-account}
    solvers: [{dns01: {cloudflare: {apiTokenSecretRef: {name: cf, key: token}}}}]
"""


# -- values from the future
# ------------------------------------------------------------


@pytest.mark.parametrize("step", UNFINISHED)
def test_a_field_that_a_newer_release_added_costs_no_order_and_is_kept(redis, step):
    mill = played_to(redis, step)
    facts = newest(mill) | {"budget": {"spent": 3}}
    for challenge in facts.get("challenges", ()):
        challenge["server"] = "ns1"
    put_facts(redis, mill, facts)

    while step != STEP_NAMES[-1]:
        mill.step(step)
        step = STEP_NAMES[STEP_NAMES.index(step) + 1]
        assert newest(mill)["budget"] == {"spent": 3}
    mill.step(step)

    assert mill.record().result == "issued"
    assert len(mill.world.ca.orders) == 1
    assert mill.world.provider.values.get("_acme-challenge.web.example.test", set()) == set()


def test_a_challenge_keeps_what_a_newer_release_added(redis):
    mill = played_to(redis, "wait_for_propagation")
    facts = newest(mill)
    facts["challenges"][0]["server"] = "ns1"
    put_facts(redis, mill, facts)

    mill.step("wait_for_propagation")

    assert newest(mill)["challenges"][0]["server"] == "ns1"


@pytest.mark.parametrize("step", UNFINISHED)
def test_facts_of_a_newer_version_wait_untouched_for_a_newer_worker(redis, step):
    mill = played_to(redis, step)
    orders, text = len(mill.world.ca.orders), json.dumps(newest(mill) | {"v": 2, "order": ["another form"]})
    redis.hset(keys.record(WEB), "facts", text)

    for _ in range(5):
        result = mill.step(step)
        mill.world.clock.advance(UNREAD_POLL_SECONDS)
        mill.ticks.wake()

        assert isinstance(result, Wait)
        assert "a newer release of certmill wrote this" in result.reason
    assert redis_fields(mill)["facts"] == text
    assert (mill.record().step, mill.record().result) == (step, "")
    assert len(mill.world.ca.orders) == orders


def test_newer_facts_fail_the_run_after_an_hour_without_a_newer_worker(redis):
    mill = played_to(redis, "validate")
    redis.hset(keys.record(WEB), "facts", json.dumps(newest(mill) | {"v": 2}))
    mill.step("validate")
    mill.world.clock.advance(UNREAD_SECONDS)
    mill.ticks.wake()

    result = mill.run("validate")

    assert isinstance(result, Fail) or mill.failed
    assert mill.record().step == ""
    assert "a newer release of certmill wrote this" in mill.record().result
    assert len(mill.world.ca.orders) == 1
    assert mill.status().next_attempt > mill.world.clock.now()
    mill.world.clock.advance(SWEEP_AFTER_SECONDS + 1)
    assert mill.ticks.sweep("sweep") == 1
    assert mill.world.provider.values.get("_acme-challenge.web.example.test", set()) == set()


def test_the_hour_begins_anew_when_a_worker_could_read_the_facts(redis):
    mill = played_to(redis, "wait_for_propagation")
    mill.world.provider.values.clear()
    redis.hset(keys.record(WEB), "unread_since", mill.world.clock.now() - UNREAD_SECONDS + 1)

    assert isinstance(mill.step("wait_for_propagation"), Wait)

    assert mill.record().unread_since == 0


def test_damaged_facts_end_the_run_once_and_the_next_attempt_waits(redis):
    mill = played_to(redis, "validate")
    redis.hset(keys.record(WEB), "facts", '{"order": 7}')

    mill.run("validate")

    assert mill.record().step == ""
    assert mill.status().failed_issuance_attempts == 1
    assert mill.status().next_attempt >= mill.world.clock.now() + 60
    assert len(mill.world.ca.orders) == 1


@pytest.mark.parametrize("facts", ['{"order": 7}', '{"v": 2}'])
def test_facts_that_cannot_be_read_stay_until_the_run_is_given_up(redis, facts):
    """While the home does not accept a status: a worker that can read the facts may come before it does."""
    mill = played_to(redis, "validate")
    since = mill.world.clock.now() - UNREAD_SECONDS
    redis.hset(keys.record(WEB), mapping={"facts": facts, "unread_since": since})
    write, mill.ports.home.write_certificate_status = mill.ports.home.write_certificate_status, away

    for _ in range(2):
        assert isinstance(mill.step("validate"), Wait)
        assert (redis_fields(mill)["facts"], mill.record().unread_since) == (facts, since)
        mill.world.clock.advance(600)
        mill.ticks.wake()
    mill.ports.home.write_certificate_status = write
    mill.run("validate")

    assert (mill.record().step, mill.status().failed_issuance_attempts) == ("", 1)


def test_a_journal_entry_that_cannot_be_read_stops_no_sweep(redis):
    mill = a_mill(redis)
    entries = [
        Presented(
            certificate=CertificateId(f"default/{name}"),
            issuer_kind="ClusterIssuer",
            issuer_namespace="",
            issuer_name="prod",
            identifier=f"{name}.example.test",
            record_name=f"_acme-challenge.{name}.example.test",
            zone="example.test",
            value="v",
        )
        for name in ("added", "later", "damaged", "lost", "ours")
    ]
    mill.ports.journal.add(entries, now=NOW)
    added, later, damaged, lost, _ = (entry.field for entry in entries)
    redis.hset(
        keys.JOURNAL, added, json.dumps(json.loads(redis.hget(keys.JOURNAL, added)) | {"server": "ns1"})
    )
    redis.hset(keys.JOURNAL, later, '{"v": 2}')
    redis.hset(keys.JOURNAL, damaged, "{")
    redis.hdel(keys.JOURNAL, lost)
    mill.world.clock.advance(SWEEP_AFTER_SECONDS + 1)

    assert mill.ticks.sweep("sweep") == 2
    assert redis.hkeys(keys.JOURNAL) == [later]
    assert redis.zrange(keys.JOURNAL_TIMES, 0, -1) == [later]
    assert mill.ticks.sweep("sweep") == 0


def test_a_request_that_a_newer_release_has_taken_is_not_taken_again(redis):
    mill = a_mill(redis)
    redis.set(keys.request("one"), '{"v": 2, "certificates": ["default/web"]}')

    with pytest.raises(NewerRelease):
        mill.handler.renew({"name": "web"}, request_id="one")
    assert not mill.has_record()


def test_a_status_preserves_the_fields_of_a_newer_release(tmp_path):
    home = DirectoryHome(tmp_path, cluster_resource_namespace="cert-manager")
    home.apply(a_certificate(), dump_yaml(certificate_document(a_certificate())))
    file = tmp_path / "status" / "certificate.default.web.json"
    file.parent.mkdir()
    file.write_text('{"revision": 1, "forecast": [1, 2]}')

    home.write_certificate_status(WEB, replace(home.certificate_status(WEB), revision=2))

    assert json.loads(file.read_text()) == {"forecast": [1, 2], "revision": 2}


def test_a_status_of_a_newer_version_is_neither_ignored_nor_overwritten(tmp_path):
    home = DirectoryHome(tmp_path, cluster_resource_namespace="cert-manager")
    home.apply(a_certificate(), dump_yaml(certificate_document(a_certificate())))
    file = tmp_path / "status" / "certificate.default.web.json"
    file.parent.mkdir()
    file.write_text('{"v": 2}')

    with pytest.raises(NewerRelease):
        home.certificate_status(WEB)
    with pytest.raises(NewerRelease):
        home.write_certificate_status(WEB, CertificateStatus(revision=2))
    assert file.read_text() == '{"v": 2}'


def test_the_annotation_in_a_cluster_keeps_what_a_newer_release_wrote_there():
    body = {"metadata": {"annotations": {ATTEMPT_ANNOTATION: '{"window": "x"}'}}}
    status = CertificateStatus(next_attempt=NOW + 60, last_failure_time=NOW, failed_issuance_attempts=1)

    assert json.loads(attempt_of(status, body))["window"] == "x"


def test_a_step_that_only_a_newer_release_has_is_left_to_it(redis):
    from tasks.publishing import publish

    mill = played_to(redis, "validate")
    redis.hset(keys.record(WEB), "step", "check_budget")
    (wake_up,) = mill.ports.records.wake_ups([WEB])

    publish(None, wake_up)

    assert redis_fields(mill)["step"] == "check_budget"


def test_what_this_release_writes_is_read_by_the_previous_one(redis):
    """That release refuses an unknown field, so no field may be added until all releases in use ignore
    unknown fields."""
    mill = a_mill(redis)
    previous = RECORDED["records"]["clean_up"]["facts"]
    mill.reconciler.reconcile(mill.certificate.id)
    for step in STEP_NAMES[:-1]:
        mill.step(step)

    assert set(newest(mill)) <= set(previous)
    assert set(newest(mill)["challenges"][0]) <= set(previous["challenges"][0])
    assert set(newest(mill)["stored"]) <= set(previous["stored"])
    (entry,) = redis.hvals(keys.JOURNAL)
    (before,) = RECORDED["journal"].values()
    assert set(json.loads(entry)) <= set(before)
