"""Which of the six causes holds a certificate up, and what is said of it."""

from __future__ import annotations

import pytest

from certmill.errors import FailureClass
from certmill.model.certificate import Certificate, IssuerRef
from certmill.model.status import CertificateStatus, Condition, failed_message, waiting_message
from certmill.runs.facts import Facts, Failure
from certmill.state.record import Record
from certmill.views.causes import Cause, Observed, blocked_by

NOW = 1_800_000_000.0
CERTIFICATE = Certificate(
    namespace="default",
    name="web",
    secret_name="web-tls",
    issuer_ref=IssuerRef(name="prod"),
    dns_names=("web.example.com",),
)
PROPAGATION = "web.example.com: ns2 does not have it yet"


def condition(type_, status, reason, message="", at=NOW - 100):
    return Condition(type=type_, status=status, reason=reason, message=message, last_transition=at)


NOT_READY = condition("Ready", False, "DoesNotExist", "Issuing certificate as Secret does not exist")
READY = condition("Ready", True, "Ready", "Certificate is up to date and has not expired")
ISSUING = condition("Issuing", True, "DoesNotExist", "Issuing certificate as Secret does not exist")
ISSUER_NOT_READY = condition(
    "Ready", False, "ErrRegisterACMEAccount", "the CA needs an external account binding"
)


def seen(*conditions, **changes):
    status = CertificateStatus(conditions=conditions, **changes.pop("status", {}))
    return Observed(certificate=CERTIFICATE, status=status, issuer_ref=CERTIFICATE.issuer_ref, **changes)


def judged(*conditions, **changes):
    found = blocked_by(seen(*conditions, **changes), NOW)
    return (found.cause, found.text) if found is not None else None


def waits(step, **changes):
    return Record(step=step, since=NOW - 9, due=NOW + 30, tries=1, **({"reason": PROPAGATION} | changes))


@pytest.mark.parametrize(
    ("changes", "cause", "text"),
    [
        ({"issuer_problem": "is not there: apply it"}, Cause.ISSUER, "Issuer prod is not there: apply it"),
        (
            {"issuer_ready": ISSUER_NOT_READY},
            Cause.ISSUER,
            "Issuer prod is not ready: the CA needs an external account binding",
        ),
        (
            {
                "issuer_ready": ISSUER_NOT_READY,
                "record": waits("register_account", reason="is not registered yet"),
            },
            Cause.ISSUER,
            "Issuer prod is not ready: the CA needs an external account binding",
        ),
        ({}, Cause.NO_WORKER, "no worker has taken it up yet: check that workers and beat are running"),
        (
            {"record": Record(step="register_account", since=NOW - 3)},
            Cause.NO_WORKER,
            "no worker has taken it up yet",
        ),
        (
            {"record": Record(step="finalize", since=NOW - 900, lease=NOW - 600)},
            Cause.NO_WORKER,
            "no worker has taken it up yet, for 10m: check that workers and beat are running",
        ),
        ({"record": waits("wait_for_propagation")}, Cause.WAITING, f"{PROPAGATION} (again in 30s)"),
        (
            {"record": waits("wait_for_propagation"), "issuer_ready": ISSUER_NOT_READY},
            Cause.WAITING,
            f"{PROPAGATION} (again in 30s)",
        ),
        (
            {"record": waits("create_order", reason="too many orders", wait_class=FailureClass.RATE_LIMITED)},
            Cause.RATE_LIMITED,
            "until 2027-01-15 08:00:30 UTC (in 30s): too many orders",
        ),
        (
            {"owner": "old"},
            Cause.REFUSED,
            "Secret web-tls belongs to Certificate old: give one of them another secretName",
        ),
    ],
)
def test_each_cause_has_its_line(changes, cause, text):
    assert judged(NOT_READY, **changes) == (cause, text)


def test_a_failed_certificate_backs_off_until_its_next_attempt():
    failed = condition("Issuing", False, "Failed", failed_message("the CA refuses web.example.com"))
    status = {"next_attempt": NOW + 720, "failed_issuance_attempts": 2}
    line = "until 2027-01-15 08:12:00 UTC (in 12m): the CA refuses web.example.com"

    assert judged(NOT_READY, failed, status=status) == (Cause.BACKING_OFF, line)
    assert judged(READY, failed, status=status) == (Cause.BACKING_OFF, line)


def test_a_run_that_has_failed_and_cleans_up_backs_off_already():
    failure = Failure(
        failure_class=FailureClass.NAME_IS_WRONG, message="no such name", next_attempt=NOW + 720
    )
    record = Record(
        step="clean_up",
        reason="no such name",
        due=NOW + 720,
        since=NOW,
        facts=Facts(failure=failure).to_json(),
    )

    assert judged(NOT_READY, record=record) == (
        Cause.BACKING_OFF,
        "until 2027-01-15 08:12:00 UTC (in 12m): no such name",
    )


def test_a_manifest_that_cannot_be_used_is_refused_with_its_reason():
    refused = condition("Ready", False, "InvalidSpec", "spec.secretName: is the account key of Issuer prod")

    assert judged(refused) == (Cause.REFUSED, "spec.secretName: is the account key of Issuer prod")


def test_without_redis_the_status_reports_what_the_run_waits_for():
    issuing = condition(
        "Issuing",
        True,
        "DoesNotExist",
        waiting_message("Issuing certificate as Secret does not exist", PROPAGATION),
    )

    assert judged(NOT_READY, issuing) == (Cause.WAITING, PROPAGATION)


@pytest.mark.parametrize(
    "record",
    [Record(step="finalize", lease=NOW + 50, since=NOW - 1), Record(step="finalize", lease=NOW + 50)],
)
def test_nothing_holds_up_what_a_worker_is_at(record):
    assert judged(NOT_READY, ISSUING, record=record) is None


def test_nothing_holds_up_what_is_ready():
    assert judged(READY, status={"not_after": NOW + 1}) is None
    assert judged(READY, status={"not_after": NOW + 1}, record=Record(run=3, done=3, result="issued")) is None


def test_a_pair_that_expired_while_everything_was_stopped_waits_for_a_worker():
    assert judged(READY, status={"not_after": NOW - 1}) == (
        Cause.NO_WORKER,
        "no worker has taken it up yet: check that workers and beat are running",
    )
