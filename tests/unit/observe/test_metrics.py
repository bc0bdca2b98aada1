"""What a process and the fleet tell in Prometheus' text format, as Prometheus' own parser reads it."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from certmill.errors import NotFound
from certmill.observe import recording
from certmill.observe.fleet_metrics import FleetSample, OldestRequest, fleet_text, no_fleet_text
from certmill.observe.metrics import MOST_CA_HOSTS, MOST_SERIES_OF_A_HOST, ProcessMetrics

TICKS = ("wake", "sweep")
SAMPLE = FleetSample(
    due={"waiting": 3, "renewals": 100},
    overdue={"waiting": 1, "renewals": 0},
    queues={"certmill.steps": 7},
    oldest_run_begun=900.0,
    ticks={"wake": 999.0},
)


def read(text):
    """{(sample, labels): value}. The parser gives every counter the ending _total, which cert-manager's have
    not."""
    return {
        (sample.name.replace("_count_total", "_count"), *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families("".join(text))
        for sample in family.samples
    }


@pytest.fixture
def metrics():
    made = ProcessMetrics()
    recording.send_to(made)
    yield made
    recording.send_to(None)


def test_steps_runs_and_errors_are_counted_and_timed(metrics):
    metrics.step("validate", "advanced", 0.2)
    metrics.step("validate", "failed", 0.2)
    metrics.step("validate", "duplicate", 0.2)
    metrics.run("failed", "name", 30.0)
    metrics.redis_error()
    metrics.rate_limit_wait("new-orders-per-account")
    metrics.fallback("ClusterIssuer/prod", "Issuer/default/backup")

    found = read(metrics.text())

    assert found["certmill_step_outcomes_total", "advanced", "validate"] == 1
    assert found["certmill_step_outcomes_total", "duplicate", "validate"] == 1
    assert found["certmill_step_duration_seconds_count", "validate"] == 2, "a duplicate is no step"
    assert found["certmill_runs_total", "failed", "name"] == 1
    assert found["certmill_run_duration_seconds_sum", "failed"] == 30.0
    assert found["certmill_redis_errors_total",] == 1
    assert found["certmill_rate_limit_waits_total", "new-orders-per-account"] == 1
    assert found["certmill_fallbacks_total", "ClusterIssuer/prod", "Issuer/default/backup"] == 1
    assert found["certmanager_controller_sync_call_count", "challenges"] == 2
    assert found["certmanager_controller_sync_error_count", "challenges"] == 1


def test_requests_to_a_ca_have_the_names_and_labels_of_cert_manager(metrics):
    metrics.acme_request(
        "https://user@CA.test:14000/new-order?x=1",
        action="authorize_order",
        method="POST",
        status=201,
        seconds=0.5,
    )

    text = "".join(metrics.text())

    of = 'scheme="https",host="ca.test:14000",action="authorize_order",method="POST",status="201"'
    assert f"certmanager_http_acme_client_request_count{{{of}}} 1.0\n" in text
    assert "# TYPE certmanager_http_acme_client_request_count counter\n" in text
    values = sorted(("https", "ca.test:14000", "authorize_order", "POST", "201"))
    assert read(text)["certmanager_http_acme_client_request_duration_seconds_sum", *values] == 0.5


def test_issuers_that_name_ever_new_servers_make_a_bounded_number_of_series(metrics):
    for number in range(10 * MOST_CA_HOSTS):
        metrics.acme_request(
            f"https://ca{number}.test/", action="discover", method="GET", status=999, seconds=0.1
        )

    lines = [
        line
        for line in "".join(metrics.text()).splitlines()
        if line.startswith("certmanager_http_acme_client_request_count{")
    ]
    assert len(lines) == MOST_CA_HOSTS + 1
    assert 'host="other"' in lines[-1]


def test_a_server_that_answers_ever_new_statuses_makes_a_bounded_number_of_series(metrics):
    for status in range(100, 1000):
        metrics.acme_request("https://ca.test/", action="discover", method="GET", status=status, seconds=0.1)

    found = {
        key: value
        for key, value in read(metrics.text()).items()
        if key[0] == "certmanager_http_acme_client_request_count"
    }
    assert len(found) == MOST_SERIES_OF_A_HOST + 1
    assert sum(found.values()) == 900
    assert [value for key, value in found.items() if "other" in key] == [900 - MOST_SERIES_OF_A_HOST]


def test_what_reconciles_is_counted_and_so_is_its_error(metrics):
    @recording.synced("issuers")
    def reconcile(*, fails):
        if fails:
            raise NotFound("not there")
        return "done"

    assert reconcile(fails=False) == "done"
    with pytest.raises(NotFound):
        reconcile(fails=True)

    found = read(metrics.text())
    assert found["certmanager_controller_sync_call_count", "issuers"] == 2
    assert found["certmanager_controller_sync_error_count", "issuers"] == 1


def test_the_fleet_is_reported_as_redis_has_it():
    found = read(fleet_text(SAMPLE, now=1000.0, started=400.0, oldest_request_age=12.0, ticks=TICKS))

    assert found == {
        ("certmill_redis_up",): 1,
        ("certmill_certificates_due", "waiting"): 3,
        ("certmill_certificates_due", "renewals"): 100,
        ("certmill_certificates_overdue", "waiting"): 1,
        ("certmill_certificates_overdue", "renewals"): 0,
        ("certmill_queue_length", "certmill.steps"): 7,
        ("certmill_oldest_request_age_seconds",): 12,
        ("certmill_oldest_run_age_seconds",): 100,
        ("certmill_seconds_since_last_tick", "wake"): 1,
        ("certmill_seconds_since_last_tick", "sweep"): 600,
    }


def test_of_a_redis_that_is_away_only_that_is_reported():
    assert read(no_fleet_text()) == {("certmill_redis_up",): 0}


def test_a_request_that_stays_the_next_grows_older_and_one_that_goes_back_too():
    oldest = OldestRequest()

    seen = [("a", 0), ("a", 50), ("", 60), ("a", 70), ("b", 80), ("b", 90), ("", 300), ("a", 310)]
    assert [oldest.age(one, now) for one, now in seen] == [0, 50, 0, 70, 0, 10, 0, 0]
