"""cert-manager's gauges of each certificate and issuer, with cert-manager's names and labels."""

from __future__ import annotations

import json
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from certmill.observe import certificate_gauges
from certmill.observe.certificate_gauges import CertificateGauge, issuers_text

WEB = CertificateGauge(
    issuer_name="prod",
    issuer_kind="ClusterIssuer",
    not_before=100.0,
    not_after=900.0,
    renewal_time=600.0,
    ready=True,
)
LABELS = {
    "name": "web",
    "namespace": "shop",
    "issuer_name": "prod",
    "issuer_kind": "ClusterIssuer",
    "issuer_group": "cert-manager.io",
}


def certificates_text(entries, *, now, risk_of=lambda gauge: "none"):
    return certificate_gauges.certificates_text(entries, now=now, risk_of=risk_of)


def samples(text):
    return [sample for family in text_string_to_metric_families("".join(text)) for sample in family.samples]


def ready(gauge, *, now):
    """{condition: value}"""
    found = samples(certificates_text({"shop/web": gauge.to_json()}, now=now))
    return {
        one.labels["condition"]: one.value
        for one in found
        if one.name == "certmanager_certificate_ready_status"
    }


def test_a_certificate_has_the_five_gauges_of_cert_manager():
    found = samples(certificates_text({"shop/web": WEB.to_json()}, now=500.0))

    found = [one for one in found if one.name.startswith("certmanager_")]
    assert {one.name: one.value for one in found if "condition" not in one.labels} == {
        "certmanager_certificate_expiration_timestamp_seconds": 900,
        "certmanager_certificate_not_after_timestamp_seconds": 900,
        "certmanager_certificate_not_before_timestamp_seconds": 100,
        "certmanager_certificate_renewal_timestamp_seconds": 600,
    }
    assert all(
        {name: value for name, value in one.labels.items() if name != "condition"} == LABELS for one in found
    )


@pytest.mark.parametrize(
    ("gauge", "now", "condition"),
    [
        (WEB, 500.0, "True"),
        (WEB, 900.0, "False"),
        (CertificateGauge(ready=False, not_after=900.0), 500.0, "False"),
        (CertificateGauge(), 500.0, "Unknown"),
    ],
    ids=["valid", "expired since it was noted", "not ready", "no condition"],
)
def test_ready_is_1_for_one_of_three_statuses_and_follows_the_clock(gauge, now, condition):
    assert ready(gauge, now=now) == {one: float(one == condition) for one in ("True", "False", "Unknown")}


def test_certificates_at_risk_are_counted_and_each_of_them_has_a_series():
    levels = {100.0: "at-risk", 200.0: "critical", 300.0: "none"}
    entries = {
        f"shop/{name}": CertificateGauge(not_before=at).to_json()
        for name, at in (("a", 100.0), ("b", 100.0), ("c", 200.0), ("d", 300.0))
    }

    found = samples(certificates_text(entries, now=500.0, risk_of=lambda gauge: levels[gauge.not_before]))

    counts = [one for one in found if one.name == "certmill_certificates_at_risk"]
    single = [one for one in found if one.name == "certmill_certificate_risk"]
    assert {one.labels["level"]: one.value for one in counts} == {"at-risk": 2, "critical": 1}
    assert {(one.labels["name"], one.labels["level"], one.value) for one in single} == {
        ("a", "at-risk", 1),
        ("b", "at-risk", 1),
        ("c", "critical", 1),
    }


def test_without_certificates_none_is_counted_at_risk():
    found = samples(certificates_text({}, now=1.0))

    assert {(one.labels["level"], one.value) for one in found} == {("at-risk", 0), ("critical", 0)}


def test_what_another_release_wrote_is_read_and_what_nobody_can_read_is_left_out():
    entries = {
        "a/newer": json.dumps({"to": 5.0, "invented": [1]}),
        "a/older": "{}",
        "a/broken": "{",
        "a/list": "[]",
        "a/text": '{"to":"x"}',
    }

    found = samples(certificates_text(entries, now=1.0))

    assert {one.labels["name"] for one in found if "name" in one.labels} == {"newer", "older"}


def test_a_name_with_quotes_is_escaped():
    found = samples(
        certificates_text({'shop/a"b\\c\nd': CertificateGauge(issuer_name='x"} 1').to_json()}, now=1.0)
    )

    found = [one for one in found if "name" in one.labels]
    assert {(one.labels["name"], one.labels["issuer_name"]) for one in found} == {('a"b\\c\nd', 'x"} 1')}


def test_issuers_and_clusterissuers_have_a_gauge_each():
    found = samples(issuers_text({"Issuer/shop/le": "True", "ClusterIssuer/prod": "False"}))

    assert [one.labels for one in found if one.value == 1] == [
        {"name": "le", "namespace": "shop", "condition": "True"},
        {"name": "prod", "condition": "False"},
    ]
    assert {one.name for one in found} == {
        "certmanager_issuer_ready_status",
        "certmanager_clusterissuer_ready_status",
    }


def test_twenty_thousand_certificates_cost_a_second_or_so():
    entries = {f"team-{number % 100}/web-{number}": WEB.to_json() for number in range(20_000)}

    began = time.process_time()
    lines = sum(part.count("\n") for part in certificates_text(entries, now=500.0))

    assert lines == 7 * 20_000 + 14
    assert time.process_time() - began < 10
