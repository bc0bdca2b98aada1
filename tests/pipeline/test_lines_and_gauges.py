"""The log lines of requests and runs, and the metrics afterwards."""

from __future__ import annotations

import pytest
import structlog
from structlog.testing import capture_logs

from certmill.errors import CAUnavailable, NameRefused, StateUnavailable
from certmill.observe import certificates as lines_of
from certmill.observe.certificate_gauges import certificates_text
from tests.pipeline.faulty_client import with_faults
from tests.support.builders import DAY, NOW, a_certificate
from tests.support.mill import Mill

WEB = a_certificate()


@pytest.fixture
def lines(monkeypatch):
    """The lines about requests, certificates and ticks."""
    monkeypatch.setattr(lines_of, "_log", structlog.get_logger())
    with capture_logs() as captured:
        yield captured


def events(lines):
    return [
        line["event"]
        for line in lines
        if line["event"].partition(".")[0] in ("request", "certificate", "tick")
    ]


def line(lines, event):
    (found,) = [one for one in lines if one["event"] == event]
    return found


def known(mill):
    """The gauges' entries by id."""
    return mill.ports.gauges.read()[0]


def test_a_first_issuance_is_distinguished_from_its_request_to_its_delivery(redis, lines):
    mill = Mill(redis)
    # a request does not change a Certificate of a manifest
    mill.ports.home.delete("Certificate", WEB.namespace, WEB.name)
    body = {
        "name": "web",
        "spec": {
            "dnsNames": ["www.example.com"],
            "secretName": "web-tls",
            "issuerRef": {"name": "prod", "kind": "ClusterIssuer"},
        },
    }
    mill.handler.request(body, request_id="r-1")
    mill.run()

    assert events(lines) == [
        "certificate.run_begun",
        "request.accepted",
        "certificate.delivered",
        "certificate.issued",
    ]
    accepted, begun, issued = (
        line(lines, one) for one in ("request.accepted", "certificate.run_begun", "certificate.issued")
    )
    assert (accepted["request_id"], accepted["certificate"], accepted["run"]) == ("r-1", "default/web", 1)
    assert (begun["trigger"], begun["reason"], begun["run"]) == ("request", "DoesNotExist", 1)
    leaf = mill.world.leaf(mill.certificate)
    assert (issued["serial"], issued["run"], issued["log_level"]) == (leaf.serial, 1, "info")
    assert issued["not_after"].endswith("+00:00")
    assert issued["seconds"] >= 0


def test_a_renewal_has_the_trigger_renewal(redis, lines):
    mill = Mill(redis)
    mill.issue()
    mill.world.clock.advance(60 * DAY)
    del lines[:]
    mill.ticks.renew()
    mill.run()

    assert events(lines) == ["certificate.run_begun", "certificate.delivered", "certificate.renewed"]
    assert line(lines, "certificate.run_begun")["trigger"] == "renewal"


def test_a_request_that_is_refused_is_reported_with_the_reason(redis, lines):
    Mill(redis).handler.request({"name": "web", "spec": {"dnsNames": []}}, request_id="r-2")

    assert events(lines) == ["request.refused"]
    assert line(lines, "request.refused")["request_id"] == "r-2"
    assert line(lines, "request.refused")["reason"]


def test_a_failure_is_a_warning_with_its_class_and_the_next_attempt(redis, lines):
    mill = Mill(redis)
    with_faults(mill, new_order=[NameRefused("the CA refuses www.example.com")])
    mill.reconciler.reconcile(WEB.id)
    mill.run()

    failed = line(lines, "certificate.failed")
    assert (failed["failure_class"], failed["step"], failed["log_level"]) == (
        "name-is-wrong",
        "create_order",
        "warning",
    )
    assert failed["next_attempt"] > "2027"
    assert "certificate.issued" not in events(lines)


def test_a_wait_of_more_than_a_minute_is_reported_once_for_each_reason(redis, lines):
    mill = Mill(redis)
    with_faults(mill, new_order=[CAUnavailable("the CA asks for time", retry_after=300.0)] * 3)
    mill.reconciler.reconcile(WEB.id)
    mill.run()
    mill.wake()
    mill.wake()

    waiting = line(lines, "certificate.waiting")
    assert waiting["step"] == "create_order"
    assert "the CA asks for time" in waiting["reason"]
    assert waiting["until"]


def test_a_pair_that_redis_does_not_know_is_adopted_once(redis, lines):
    mill = Mill(redis)
    mill.issue()
    redis.flushall()
    del lines[:]

    for _ in range(3):
        assert mill.reconciler.reconcile(WEB.id).right

    assert events(lines) == ["certificate.adopted"]
    assert set(known(mill)) == {"default/web"}


def test_a_manifest_that_is_deleted_in_mid_run_drops_the_run_and_the_gauges(redis, lines):
    mill = Mill(redis)
    mill.reconciler.reconcile(WEB.id)
    mill.step("register_account")
    assert set(known(mill)) == {"default/web"}
    mill.ports.home.delete("Certificate", "default", "web")
    mill.reconciler.reconcile(WEB.id)
    mill.wake()

    assert "certificate.run_dropped" in events(lines)
    assert known(mill) == {}


def test_the_gauges_follow_the_status(redis):
    mill = Mill(redis)
    mill.reconciler.reconcile(WEB.id)
    text = "".join(certificates_text(known(mill), now=NOW, risk_of=lambda gauge: "none"))
    assert 'condition="False"} 1\n' in text
    mill.run()

    leaf, status = mill.world.leaf(WEB), mill.status()
    text = "".join(certificates_text(known(mill), now=mill.ports.clock.now(), risk_of=lambda gauge: "none"))
    assert 'condition="True"} 1\n' in text
    for name, value in (
        ("expiration", leaf.not_after),
        ("not_before", leaf.not_before),
        ("renewal", status.renewal_time),
    ):
        (found,) = [
            one
            for one in text.splitlines()
            if one.startswith(f"certmanager_certificate_{name}_timestamp_seconds{{")
        ]
        assert float(found.rpartition(" ")[2]) == value
    assert 'issuer_kind="ClusterIssuer"' in text


def test_an_issuer_is_ready_in_the_gauges_once_it_is_registered(redis):
    mill = Mill(redis)
    mill.issue()

    assert set(mill.ports.gauges.read()[1].values()) == {"True"}


def test_a_tick_that_fails_is_a_warning_and_is_not_noted_as_done(redis, lines):
    mill = Mill(redis)
    with pytest.raises(StateUnavailable), mill.ticks.running("wake"):
        raise StateUnavailable("Redis does not answer")

    assert line(lines, "tick.failed") == {
        "event": "tick.failed",
        "tick": "wake",
        "reason": "Redis does not answer",
        "log_level": "warning",
    }
    assert mill.ports.fleet.sample(now=NOW).ticks == {}

    with mill.ticks.running("wake"):
        pass
    assert set(mill.ports.fleet.sample(now=NOW).ticks) == {"wake"}
