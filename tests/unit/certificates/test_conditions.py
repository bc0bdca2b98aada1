"""The conditions that certmill writes: their reasons are plain text."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import yaml

from certmill.certificates import conditions
from certmill.errors import FailureClass
from certmill.model.reason import NO_PAIR, UNSERVABLE, Reason
from certmill.model.revocation import Revocation, RevocationReason
from certmill.model.status import CertificateStatus, Condition, as_of
from certmill.renewal.observation import Violation, observe
from certmill.runs.facts import Failure
from tests.support.builders import DAY, NOW, a_certificate, a_pair

WEB = a_certificate()
SEEN = observe(WEB, a_pair(WEB), CertificateStatus(), ("spec",))
assert SEEN.leaf is not None
LEAF = SEEN.leaf
RENEWING = Violation(reason=Reason.RENEWING, message="m")
ABSENT = Violation(reason=Reason.DOES_NOT_EXIST, message="m")
FAILURE = Failure(failure_class=FailureClass.TRANSIENT, message="m", next_attempt=NOW)


def adopted():
    return conditions.adopted(SEEN.status, LEAF, renew_at=NOW, now=NOW)


WRITTEN = {
    "issuing": lambda: conditions.issuing(SEEN.status, ABSENT, ready=False, now=NOW),
    "renewing": lambda: conditions.issuing(SEEN.status, RENEWING, ready=True, now=NOW),
    "held": lambda: conditions.backing_off(SEEN.status, ABSENT, servable=False, now=NOW),
    "issued": lambda: conditions.issued(SEEN.status, LEAF, renew_at=NOW, now=NOW),
    "adopted": adopted,
    "not the owner": lambda: conditions.not_owner(SEEN.status, "api", issued=True, now=NOW),
    "refused": lambda: conditions.refused(SEEN.status, ABSENT, "why", now=NOW),
    "failed": lambda: conditions.failed(SEEN.status, FAILURE, spec="spec", run="1@0", now=NOW),
    "expired": lambda: as_of(adopted(), NOW + 400 * DAY),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_each_reason_in_a_status_is_plain_text_that_any_encoder_can_write(name):
    written = WRITTEN[name]().conditions

    reasons = [condition.reason for condition in written]
    assert reasons
    assert {type(reason) for reason in reasons} == {str}
    assert yaml.safe_load(yaml.safe_dump(reasons)) == json.loads(json.dumps(reasons)) == reasons


def test_a_reason_of_another_program_is_read_and_shown_as_it_is():
    issuing = Condition(type="Issuing", status=True, reason="Someday", message="m", last_transition=NOW)
    status = CertificateStatus(conditions=(issuing,))

    assert not conditions.is_triggered(status)
    assert conditions.waiting(status, "DNS").condition("Issuing").reason == "Someday"


def test_the_reason_of_cmctl_renew_triggers_a_run():
    issuing = Condition(
        type="Issuing", status=True, reason="ManuallyTriggered", message="m", last_transition=NOW
    )

    assert conditions.is_triggered(CertificateStatus(conditions=(issuing,)))


def test_a_pair_without_times_is_also_one_that_no_server_can_use():
    assert set(NO_PAIR) < set(UNSERVABLE)


def issued_over(revoked):
    """The revocation in the status after LEAF was stored."""
    status = replace(SEEN.status, revoked=revoked)
    return conditions.issued(status, LEAF, renew_at=NOW, now=NOW).revoked


def test_a_new_certificate_ends_the_revocation_of_the_former_one():
    assert issued_over(Revocation(serial="1", public_key="other")) is None
    assert issued_over(Revocation(serial="1", public_key=LEAF.public_key)) is None


def test_a_compromised_key_stays_known_if_a_run_stores_it_again():
    compromised = Revocation(
        serial="1", public_key=LEAF.public_key, reason=RevocationReason.KEY_COMPROMISE, at=NOW
    )

    assert issued_over(compromised) == compromised
    assert issued_over(replace(compromised, public_key="other")) is None
