"""The shipped alert rules, as promtool checks and plays them: when each fires, and that the documentation
tells what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from compose.servers.prometheus import promtool

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "compose" / "chart" / "monitoring" / "alerts.yaml"
DAY = 86_400
SOON = '{namespace="default", name="web"}'


def alerts():
    return {
        rule["alert"]: rule
        for group in yaml.safe_load(RULES.read_text())["groups"]
        for rule in group["rules"]
    }


def test_promtool_finds_no_fault_in_rules_and_configuration():
    assert f"SUCCESS: {len(alerts())} rules found" in promtool("check", "rules", RULES)
    assert "SUCCESS" in promtool("check", "config", RULES.parent / "prometheus.yml")


SCENES = {
    "a certificate at risk": (
        {'certmill_certificate_risk{namespace="default", name="web", level="at-risk"}': "1"},
        {"CertmillCertificateAtRisk"},
    ),
    "one that is critical": (
        {'certmill_certificate_risk{namespace="default", name="web", level="critical"}': "1"},
        {"CertmillCertificateCritical"},
    ),
    "one that is renewed in time": (
        {
            f"certmanager_certificate_expiration_timestamp_seconds{SOON}": f"{30 * DAY}",
            f"certmanager_certificate_not_before_timestamp_seconds{SOON}": f"{-60 * DAY}",
            f"certmanager_certificate_renewal_timestamp_seconds{SOON}": "9000",
        },
        set(),
    ),
    "one whose renewal is an hour late": (
        {f"certmanager_certificate_renewal_timestamp_seconds{SOON}": "-10"},
        {"CertmillRenewalOverdue"},
    ),
    "a new one, which has no certificate yet": (
        {
            f"certmanager_certificate_expiration_timestamp_seconds{SOON}": "0",
            f"certmanager_certificate_not_before_timestamp_seconds{SOON}": "0",
            f"certmanager_certificate_renewal_timestamp_seconds{SOON}": "0",
        },
        set(),
    ),
    "one that is not ready": (
        {'certmanager_certificate_ready_status{namespace="default", name="web", condition="False"}': "1"},
        {"CertmillCertificateNotReady"},
    ),
    "a ClusterIssuer that is not ready": (
        {'certmanager_clusterissuer_ready_status{name="prod", condition="False"}': "1"},
        {"CertmillIssuerNotReady"},
    ),
    "beat gone": (
        {
            'certmill_seconds_since_last_tick{tick="wake"}': "200",
            'certmill_queue_length{queue="certmill.ticks"}': "0",
        },
        {"CertmillBeatGone"},
    ),
    "the workers gone": (
        {
            'certmill_seconds_since_last_tick{tick="wake"}': "200",
            'certmill_queue_length{queue="certmill.ticks"}': "3",
        },
        {"CertmillWorkersGone"},
    ),
    "Redis gone for one of two": (
        {'certmill_redis_up{instance="a"}': "1", 'certmill_redis_up{instance="b"}': "0"},
        {"CertmillRedisUnreachable"},
    ),
    "Redis gone for all": (
        {'certmill_redis_up{instance="a"}': "0", 'certmill_redis_up{instance="b"}': "0"},
        {"CertmillRedisGone"},
    ),
    "a run of two hours": ({"certmill_oldest_run_age_seconds": "7200"}, {"CertmillRunStuck"}),
    "a request that waits": ({"certmill_oldest_request_age_seconds": "400"}, {"CertmillRequestsUnanswered"}),
    "most runs fail": (
        {
            'certmill_runs_total{outcome="failed", class="transient"}': "0+1x100",
            'certmill_runs_total{outcome="issued", class=""}': "0",
        },
        {"CertmillRunsFail"},
    ),
    "few of many fail": (
        {
            'certmill_runs_total{outcome="failed", class="transient"}': "0+1x100",
            'certmill_runs_total{outcome="issued", class=""}': "0+9x100",
        },
        set(),
    ),
    "a CA that limits": (
        {'certmanager_http_acme_client_request_count{host="ca.example", status="429"}': "0+1x100"},
        {"CertmillRateLimited"},
    ),
    "a long queue": ({'certmill_queue_length{queue="certmill.steps"}': "2000"}, {"CertmillBacklog"}),
    "what should have gone on": ({'certmill_certificates_overdue{set="waiting"}': "4"}, {"CertmillOverdue"}),
    "renewals that are due are no fault": ({'certmill_certificates_overdue{set="renewals"}': "4"}, set()),
    "a process down": ({'up{job="certmill", instance="a"}': "0"}, {"CertmillProcessDown"}),
}


@pytest.mark.parametrize("scene", SCENES)
def test_an_alert_fires_for_its_fault_and_for_no_other(tmp_path, scene):
    """Runs the rule for an hour and a quarter with constant or growing series, one sample per minute."""
    series, expected = SCENES[scene]
    if not any(name.startswith("certmill_redis_up") for name in series):
        series = {**series, 'certmill_redis_up{instance="a"}': "1"}
    values = {name: value if "x" in value else f"{value}x100" for name, value in series.items()}
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": value} for name, value in values.items()],
        "promql_expr_test": [
            {
                "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": "75m",
                "exp_samples": [
                    {"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(expected)
                ],
            }
        ],
    }
    file = tmp_path / "test.yaml"
    file.write_text(
        yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]})
    )

    assert "SUCCESS" in promtool("test", "rules", file)


def test_an_alert_outlasts_a_change_of_the_process_that_reports_certificates(tmp_path):
    """One process exposes the certificates at a time; the next one begins within three minutes."""
    change = {"one": "1x60 stale", "other": "_x63 1x40"}
    name = "certmanager_certificate_ready_status"
    labels = 'namespace="default", name="web", condition="False"'
    series = [
        {"series": f'{name}{{{labels}, instance="{who}"}}', "values": values}
        for who, values in change.items()
    ]
    series.append({"series": 'certmill_redis_up{instance="a"}', "values": "1x110"})
    expression = 'group by (alertname) (ALERTS{alertstate="firing"})'
    expected = [{"labels": '{alertname="CertmillCertificateNotReady"}', "value": 1}]
    questions = [
        {"expr": expression, "eval_time": f"{minute}m", "exp_samples": expected} for minute in range(58, 75)
    ]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": questions}
    file = tmp_path / "test.yaml"
    file.write_text(
        yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]})
    )

    assert "SUCCESS" in promtool("test", "rules", file)


def test_where_nothing_is_scraped_an_alert_says_so(tmp_path):
    expected = [{"labels": '{alertname="CertmillNotScraped"}', "value": 1}]
    question = {
        "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": "15m",
        "exp_samples": expected,
    }
    test = {
        "interval": "1m",
        "input_series": [{"series": "other", "values": "1x20"}],
        "promql_expr_test": [question],
    }
    file = tmp_path / "test.yaml"
    file.write_text(
        yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]})
    )

    assert "SUCCESS" in promtool("test", "rules", file)


def test_every_alert_is_played_and_documented_and_says_what_to_do():
    played = set().union(*(expected for _, expected in SCENES.values())) | {"CertmillNotScraped"}
    documented = set(
        re.findall(r"^\| `(Certmill\w+)` \|", (ROOT / "docs" / "alerts.md").read_text(), re.MULTILINE)
    )

    assert played == set(alerts()) == documented
    assert all(
        {"summary", "action"} <= set(rule["annotations"]) and rule["labels"]["severity"]
        for rule in alerts().values()
    )


def test_every_metric_of_the_rules_and_the_dashboard_is_documented():
    used = RULES.read_text() + (RULES.parent / "dashboard.json").read_text()
    names = {
        re.sub("_(bucket|sum|count)$", "", name)
        for name in re.findall(r"\b(cert(?:mill|manager)_[a-z0-9_]+)", used)
    }
    documented = (ROOT / "docs" / "metrics.md").read_text()

    assert {name for name in names if name not in documented} == set()
