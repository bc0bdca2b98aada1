"""When a Certificate without a run is checked again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from certmill.crypto import chain
from certmill.errors import FailureClass
from certmill.model.reason import Reason
from certmill.model.status import CertificateStatus
from certmill.renewal import next_check
from certmill.renewal.decision import BackingOff
from certmill.renewal.observation import Violation
from certmill.renewal.plan import RenewalPlan, RenewalRule
from certmill.renewal.risk import Risk, RiskLevel, levels_from
from certmill.runs.facts import Failure, Stored
from tests.support.builders import DAY, NOW, a_certificate, a_pair

LEAF = chain.leaf(a_pair(a_certificate()).data["tls.crt"])
RENEWING = Violation(reason=Reason.RENEWING, message="it is time")


NO_RISK = Risk(level=RiskLevel.NONE)


def risk_at(changes_at):
    return replace(NO_RISK, changes_at=changes_at)


def after_run(stored=None, failure=None, status=None):
    return next_check.after_run(stored, failure, status=status, now=NOW)


def stored(not_before=NOW):
    return Stored(serial="1", not_before=not_before, not_after=NOW + 90 * DAY, renew_at=NOW + 60 * DAY)


def failed(at):
    return Failure(failure_class=FailureClass.TRANSIENT, message="no", next_attempt=at)


def test_a_pair_that_is_kept_is_checked_at_its_renewal():
    renewal = RenewalPlan(instant=None, check_at=NOW + 60 * DAY, reason=RenewalRule.TWO_THIRDS)

    assert next_check.of_pair(renewal, NO_RISK) == NOW + 60 * DAY


def test_a_pair_that_is_not_renewed_is_checked_when_its_level_of_risk_changes():
    renewal = RenewalPlan(instant=None, check_at=NOW + 90 * DAY, reason=RenewalRule.DISABLED)

    assert next_check.of_pair(renewal, risk_at(NOW + 60 * DAY)) == NOW + 60 * DAY


@pytest.mark.parametrize(
    ("until", "now", "at"),
    [
        (NOW + 80 * DAY, NOW, NOW + 80 * DAY),
        (NOW + 91 * DAY, NOW, NOW + 90 * DAY),
        (NOW + 92 * DAY, NOW + 91 * DAY, NOW + 92 * DAY),
    ],
)
def test_a_back_off_ends_the_wait_and_so_does_the_expiry_of_the_pair(until, now, at):
    decision = BackingOff(violation=RENEWING, until=until)

    assert next_check.after_back_off(decision, LEAF, NO_RISK, now) == pytest.approx(at)
    assert next_check.after_back_off(decision, None, NO_RISK, now) == until


def test_a_back_off_is_interrupted_when_the_level_of_risk_changes():
    decision = BackingOff(violation=RENEWING, until=NOW + 70 * DAY)

    assert next_check.after_back_off(decision, LEAF, risk_at(NOW + 61 * DAY), NOW) == NOW + 61 * DAY
    assert next_check.after_back_off(decision, LEAF, risk_at(NOW + 81 * DAY), NOW) == NOW + 70 * DAY


def test_after_a_run_the_renewal_of_the_stored_pair_is_next():
    assert after_run(stored()) == NOW + 60 * DAY


def test_a_pair_that_is_not_valid_yet_is_checked_when_it_becomes_valid():
    assert after_run(stored(not_before=NOW + 301)) == NOW + 301
    assert after_run(stored(not_before=NOW + 299)) == NOW + 60 * DAY


@pytest.mark.parametrize(("in_status", "at"), [(None, 60), (30, 30), (90, 60)])
def test_after_a_failure_the_earlier_of_both_next_attempts_counts(in_status, at):
    known = CertificateStatus(next_attempt=NOW + in_status) if in_status is not None else None

    assert after_run(None, failed(NOW + 60), known) == NOW + at


def test_after_a_failure_a_change_of_the_level_of_risk_may_come_first():
    status = CertificateStatus(
        not_before=NOW - 61 * DAY, not_after=NOW + 29 * DAY, renewal_time=NOW - DAY, next_attempt=NOW + DAY
    )
    at_risk = min(at for at in levels_from(NOW - 61 * DAY, NOW + 29 * DAY, NOW - DAY))

    assert at_risk == pytest.approx(NOW - 0.1 * DAY)
    assert after_run(None, failed(NOW + DAY), status) == NOW + DAY
    status = replace(status, renewal_time=NOW - DAY / 2)
    assert after_run(None, failed(NOW + DAY), status) == pytest.approx(NOW + 0.4 * DAY)


def test_a_run_without_a_pair_or_a_failure_is_followed_by_a_check_at_once():
    assert after_run() == NOW
