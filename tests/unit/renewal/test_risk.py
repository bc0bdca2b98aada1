"""When a certificate whose renewal does not succeed is at risk, and when it is critical."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.model.status import CertificateStatus, Condition
from certmill.renewal import risk
from certmill.renewal.risk import RiskLevel, level_at, levels_from, risk_of, with_risk
from tests.support.builders import DAY, NOW

HOUR = 3600.0
ORDER = list(RiskLevel)


def a_status(lifetime=90 * DAY, renewal=2 / 3, conditions=()):
    """The status of a pair that is valid from NOW. `renewal`: the share of its life after which it is
    renewed."""
    return CertificateStatus(
        conditions=conditions,
        not_before=NOW,
        not_after=NOW + lifetime,
        renewal_time=None if renewal is None else NOW + renewal * lifetime,
    )


def level(status, age):
    """The level after this share of the pair's life."""
    assert status.not_after is not None
    return risk_of(status, NOW + age * (status.not_after - NOW)).level.value


@pytest.mark.parametrize("lifetime", [90 * DAY, 45 * DAY, 160 * HOUR, 2 * HOUR])
def test_the_last_third_is_at_risk_and_the_last_tenth_is_critical(lifetime):
    status = a_status(lifetime)

    assert [level(status, age) for age in (0.1, 0.66, 0.8, 0.89, 0.901, 0.999, 1.0, 1.5)] == [
        *["none"] * 2,
        *["at-risk"] * 2,
        *["critical"] * 4,
    ]


@pytest.mark.parametrize("lifetime", [90 * DAY, 160 * HOUR, 2 * HOUR, 600])
def test_an_ordinary_renewal_at_two_thirds_is_not_reported(lifetime):
    renewal = NOW + lifetime * 2 / 3
    time_to_issue = min(12 * 60, lifetime / 13)

    assert risk_of(a_status(lifetime), renewal + time_to_issue).level is RiskLevel.NONE


def test_a_renewal_that_is_planned_for_later_is_not_late():
    last_hour = a_status(renewal=1 - 1 / (90 * 24))

    assert level(last_hour, 0.95) == "none"
    assert risk_of(last_hour, NOW + 90 * DAY - 44 * 60).level is RiskLevel.CRITICAL


def test_without_a_pair_no_level_is_known():
    assert risk_of(CertificateStatus(), NOW) == risk.Risk(level=RiskLevel.NONE)


def test_of_a_pair_whose_beginning_is_not_known_only_the_expiry_counts():
    times = {"not_before": None, "not_after": NOW, "renewal_time": None}

    assert level_at(NOW - 1, **times) is RiskLevel.NONE
    assert level_at(NOW, **times) is RiskLevel.CRITICAL


def test_the_reason_names_the_expiry_and_the_renewal_that_did_not_succeed():
    assert str(risk_of(a_status(), NOW + 80 * DAY)) == (
        "at-risk: Certificate expires on Thu, 15 Apr 2027 08:00:00 UTC; its renewal was due on "
        "Tue, 16 Mar 2027 08:00:00 UTC and has not succeeded"
    )
    assert "Certificate expired on" in risk_of(a_status(), NOW + 91 * DAY).reason
    assert str(risk_of(a_status(), NOW)) == ""


def test_a_certificate_with_the_policy_disabled_is_at_risk_and_says_why():
    found = risk_of(a_status(renewal=None), NOW + 61 * DAY)

    assert found.level is RiskLevel.AT_RISK
    assert found.reason.endswith(
        "spec.renewal.policy is Disabled, so it is issued again only by `certmill renew`"
    )


@given(
    lifetime=st.floats(60, 3650 * DAY),
    renewal=st.one_of(st.none(), st.floats(0.05, 1.2)),
    age=st.floats(-0.2, 1.3),
    later=st.floats(0, 1),
)
def test_a_level_rises_only_and_changes_only_at_the_instant_it_says(lifetime, renewal, age, later):
    status, now = a_status(lifetime, renewal), NOW + age * lifetime
    found = risk_of(status, now)
    after = now + later * lifetime

    then = risk_of(status, after)

    assert ORDER.index(then.level) >= ORDER.index(found.level)
    if found.changes_at is None or after < found.changes_at:
        assert then.level is found.level
    if found.changes_at is not None:
        assert now < found.changes_at <= NOW + lifetime


@given(lifetime=st.floats(60, 3650 * DAY), renewal=st.floats(0.05, 0.999))
def test_each_level_begins_before_the_expiry_and_not_before_the_renewal(lifetime, renewal):
    at_risk, critical = levels_from(NOW, NOW + lifetime, NOW + renewal * lifetime)

    assert NOW + renewal * lifetime <= at_risk <= critical <= NOW + lifetime


class TestCondition:
    READY = Condition(type="Ready", status=True, reason="Ready", message="", last_transition=NOW)

    def test_a_certificate_that_is_not_at_risk_has_none(self):
        status = a_status(conditions=(self.READY,))

        assert with_risk(status, NOW) is status
        assert with_risk(with_risk(status, NOW + 85 * DAY), NOW) == status

    def test_its_reason_is_the_level_and_its_time_is_when_the_risk_began(self):
        status = with_risk(a_status(conditions=(self.READY,)), NOW + 70 * DAY)
        found = status.condition("AtRisk")
        later = with_risk(status, NOW + 82 * DAY).condition("AtRisk")

        assert (found.status, found.reason) == (True, "AtRisk")
        assert (later.status, later.reason) == (True, "Critical")
        assert later.last_transition == found.last_transition == NOW + 70 * DAY

    def test_it_is_written_once_for_each_level(self):
        status = with_risk(a_status(conditions=(self.READY,)), NOW + 70 * DAY)

        assert with_risk(status, NOW + 71 * DAY) == status
        assert risk.level_in(status) is RiskLevel.AT_RISK
