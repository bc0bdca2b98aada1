"""When a Certificate without a run is checked again."""

from __future__ import annotations

import pytest

from certmill.crypto import chain
from certmill.errors import FailureClass
from certmill.model.reason import Reason
from certmill.renewal import next_check
from certmill.renewal.decision import BackingOff, Keep
from certmill.renewal.observation import Violation
from certmill.renewal.plan import RenewalPlan, RenewalRule
from certmill.runs.facts import Failure, Stored
from tests.support.builders import DAY, NOW, a_certificate, a_pair

LEAF = chain.leaf(a_pair(a_certificate()).data["tls.crt"])
RENEWING = Violation(reason=Reason.RENEWING, message="it is time")


def after_run(stored=None, failure=None, in_status=None):
    return next_check.after_run(stored, failure, next_attempt_in_status=in_status, now=NOW)


def stored(not_before=NOW):
    return Stored(serial="1", not_before=not_before, not_after=NOW + 90 * DAY, renew_at=NOW + 60 * DAY)


def failed(at):
    return Failure(failure_class=FailureClass.TRANSIENT, message="no", next_attempt=at)


def test_a_pair_that_is_kept_is_checked_at_its_renewal():
    renewal = RenewalPlan(instant=None, check_at=NOW + 60 * DAY, reason=RenewalRule.TWO_THIRDS)

    assert next_check.after_keep(Keep(renewal=renewal)) == NOW + 60 * DAY


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

    assert next_check.after_back_off(decision, LEAF, now) == pytest.approx(at)
    assert next_check.after_back_off(decision, None, now) == until


def test_after_a_run_the_renewal_of_the_stored_pair_is_next():
    assert after_run(stored()) == NOW + 60 * DAY


def test_a_pair_that_is_not_valid_yet_is_checked_when_it_becomes_valid():
    assert after_run(stored(not_before=NOW + 301)) == NOW + 301
    assert after_run(stored(not_before=NOW + 299)) == NOW + 60 * DAY


@pytest.mark.parametrize(("in_status", "at"), [(None, 60), (30, 30), (90, 60)])
def test_after_a_failure_the_earlier_of_both_next_attempts_counts(in_status, at):
    known = NOW + in_status if in_status is not None else None

    assert after_run(None, failed(NOW + 60), known) == NOW + at


def test_a_run_without_a_pair_or_a_failure_is_followed_by_a_check_at_once():
    assert after_run() == NOW
