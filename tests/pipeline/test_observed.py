"""A run on real servers, observed from outside: the workers' log, and what Prometheus would scrape from
each process."""

from __future__ import annotations

import json
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from certmill.client import IssuanceFailed, RequestRejected
from certmill.contract import STEP_NAMES


@pytest.fixture(scope="module")
def seen(lab):
    """The lab after an issuance, a renewal, a failure and a refused request: its log lines, and its log as a
    text."""
    lab.issue("web", "web.other.test")
    lab.certmill.client().renew("web").wait(120)
    with pytest.raises(IssuanceFailed):
        lab.request("wrong", "www.blocked.test").wait(120)
    with pytest.raises(RequestRejected):
        lab.request("nowhere", "a.other.test", issuer="no-such-issuer").wait(120)
    time.sleep(2)
    text = lab.certmill.log_of("worker1")
    return lab, [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def scraped(lab, process):
    """{(sample, labels): value} of one process, after Redis has answered it within its second; on a loaded
    machine this may need a repetition."""
    text = lab.until(
        lambda: "certmill_redis_up 1.0" in (found := lab.certmill.admin(process)) and found,
        what=f"Redis answers {process} in time",
    )
    return {
        (sample.name.replace("_count_total", "_count"), *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(lines, certificate):
    return [line["event"] for line in lines if line.get("certificate") == certificate]


def test_an_issuance_and_a_renewal_are_one_line_for_each_thing(seen):
    _, lines = seen

    once = ["certificate.run_begun", "request.accepted", "certificate.delivered"]
    assert sorted(of(lines, "default/web")) == sorted(
        [*once, "certificate.issued", *once, "certificate.renewed"]
    )


def test_a_failure_and_a_refusal_are_reported(seen):
    _, lines = seen

    assert of(lines, "default/wrong") == [
        "certificate.run_begun",
        "request.accepted",
        "certificate.failed",
    ] or of(lines, "default/wrong") == [
        "request.accepted",
        "certificate.run_begun",
        "certificate.failed",
    ]
    assert of(lines, "default/nowhere") == ["request.refused"]


def test_every_line_has_its_fields_and_nothing_secret(seen):
    lab, lines = seen
    (issued,) = [line for line in lines if line["event"] == "certificate.issued"]

    assert {
        "certificate",
        "run",
        "serial",
        "not_after",
        "renew_at",
        "issuer",
        "seconds",
        "timestamp",
        "level",
        "process",
    } <= issued.keys()
    text = json.dumps(lines)
    assert "PRIVATE KEY" not in text
    assert lab.secret("web").data["tls.key"].decode().splitlines()[1] not in text


def test_a_worker_reports_its_steps_runs_and_requests_to_the_ca(seen):
    lab, _ = seen
    found = scraped(lab, "worker1")

    for step in STEP_NAMES:
        assert found["certmill_step_duration_seconds_count", step] >= 2
        assert found["certmill_step_duration_seconds_sum", step] > 0
    assert found["certmill_runs_total", "", "issued"] == 2
    assert found["certmill_runs_total", "failed", "name-is-wrong"] == 1
    assert found["certmill_run_duration_seconds_count", "issued"] == 2
    requests = {name[1:] for name in found if name[0] == "certmanager_http_acme_client_request_count"}
    actions = {value for labels in requests for value in labels}
    assert {
        "discover",
        "new_nonce",
        "register_account",
        "authorize_order",
        "accept_challenge",
        "create_order_cert",
        "fetch_cert",
    } <= actions
    assert found["certmanager_controller_sync_call_count", "certificates-trigger"] >= 3


@pytest.mark.parametrize("process", ["worker1", "beat1", "responder"])
def test_each_process_exposes_the_metrics_of_the_fleet(seen, process):
    lab, _ = seen
    found = scraped(lab, process)

    assert found["certmill_redis_up",] == 1
    assert found["certmill_certificates_due", "renewals"] == 2
    assert found["certmill_certificates_overdue", "renewals"] == 0
    assert found["certmill_queue_length", "certmill.requests"] == 0
    assert found["certmill_oldest_request_age_seconds",] == 0
    assert found["certmill_seconds_since_last_tick", "wake"] < 30
    assert lab.certmill.admin(process, "/livez") == "ok\n"
    lab.until(lambda: lab.certmill.admin(process, "/readyz") == "ok\n", what=f"{process} is ready")


def test_beat_reports_when_each_certificate_expires_and_the_worker_leaves_it_to_beat(seen):
    lab, _ = seen
    found = scraped(lab, "beat1")

    labels = sorted(("web", "default", "prod", "ClusterIssuer", "cert-manager.io"))
    leaf = lab.leaf("web")
    assert found["certmanager_certificate_expiration_timestamp_seconds", *labels] == leaf.not_after
    assert found["certmanager_certificate_not_before_timestamp_seconds", *labels] == leaf.not_before
    assert (
        leaf.not_before < found["certmanager_certificate_renewal_timestamp_seconds", *labels] < leaf.not_after
    )
    assert found["certmanager_certificate_ready_status", *sorted((*labels, "True"))] == 1
    assert found["certmanager_clusterissuer_ready_status", "True", "prod"] == 1
    assert "certmanager_certificate_" not in lab.certmill.admin("worker1")


def test_the_gauges_come_back_after_redis_has_lost_its_memory(seen):
    lab, _ = seen
    lab.runtime.redis.flushall()
    lab.runtime.ports.snapshots.request_reread()

    gauge = "certmanager_certificate_expiration_timestamp_seconds"
    lab.until(lambda: gauge in lab.certmill.admin("beat1"), seconds=90, what="the gauges come back")
    lab.until(lambda: '"event": "certificate.adopted"' in lab.certmill.log_of("worker1"), what="it is told")
