"""The status of a Certificate after each thing that happens to it: cert-manager's conditions and reasons
(§1.3). Pure."""

from __future__ import annotations

from dataclasses import replace

from certmill.certificates.secret_contract import is_temporary
from certmill.clock import instant
from certmill.crypto.chain import Leaf
from certmill.model.history import PastRun, with_run
from certmill.model.status import (
    INCORRECT_CERTIFICATE,
    MANUALLY_TRIGGERED,
    CertificateStatus,
    Condition,
    as_of,
    failed_message,
    owner_message,
    waiting_message,
)
from certmill.renewal.policy import READY_MESSAGE, Seen, Violation, not_yet_valid
from certmill.runs.facts import Failure

READY = "Ready"
ISSUING = "Issuing"
FAILED = "Failed"
_NO_CERTIFICATE = ("DoesNotExist", "MissingData", "InvalidCertificate")


def is_triggered(status: CertificateStatus) -> bool:
    """Whether somebody asked for a run through the status: `cmctl renew`, or whoever else set Issuing=True,
    for any reason, as at cert-manager. While a run is under way, it is our own mark of such a run."""
    found = status.condition(ISSUING)
    return found is not None and found.status and (status.asked or found.reason == MANUALLY_TRIGGERED)


def is_issuing(status: CertificateStatus) -> bool:
    """Whether it says that a run is under way."""
    found = status.condition(ISSUING)
    return found is not None and found.status


def of_pair(seen: Seen) -> CertificateStatus:
    """The status with the times of the stored pair, whoever put it there: it expires, whether or not it is
    issued again in time."""
    leaf, secret = seen.leaf, seen.secret
    if leaf is None or secret is None or is_temporary(secret):
        return seen.status
    return replace(
        seen.status, not_before=leaf.not_before, not_after=leaf.not_after, renewal_time=seen.renewal.instant
    )


def issuing(status: CertificateStatus, violation: Violation, *, ready: bool, now: float) -> CertificateStatus:
    """A run has begun. A pair that is only to be renewed stays ready meanwhile; one that is not there has no
    times."""
    status = _with(status, _condition(status, ISSUING, True, violation.reason, violation.message, now))
    if ready:
        return _with(_timed(status, violation), _condition(status, READY, True, "Ready", READY_MESSAGE, now))
    return _not_ready(status, violation, now)


def held(status: CertificateStatus, violation: Violation, *, servable: bool, now: float) -> CertificateStatus:
    """A run may not begin yet. What is only to be renewed, and a temporary pair (`servable`), is as ready as
    it was."""
    return status if servable or violation.reason == "Renewing" else _not_ready(status, violation, now)


def while_issuing(seen: Seen, *, now: float) -> CertificateStatus:
    """A run goes on, perhaps for hours: once the pair that it is to renew has expired, that is not ready any
    more. A status that another program wrote may not say when that is."""
    return as_of(seen.status if seen.status.not_after is not None else of_pair(seen), now)


def _not_ready(status: CertificateStatus, violation: Violation, now: float) -> CertificateStatus:
    return _with(
        _timed(status, violation), _condition(status, READY, False, violation.reason, violation.message, now)
    )


def _timed(status: CertificateStatus, violation: Violation) -> CertificateStatus:
    """Without the times of a pair that is not there."""
    absent = violation.reason in _NO_CERTIFICATE
    return replace(status, not_before=None, not_after=None, renewal_time=None) if absent else status


def waiting(status: CertificateStatus, reason: str) -> CertificateStatus:
    """The run has been waiting for long: what for is added to why it was begun. Nothing, if no run is being
    shown any more."""
    found = status.condition(ISSUING)
    if found is None or not found.status:
        return status
    return _with(status, replace(found, message=waiting_message(found.message, reason)))


def issued(status: CertificateStatus, leaf: Leaf, *, renew_at: float, now: float) -> CertificateStatus:
    """A pair was stored: ready once it is valid, and no failure counts any more. Said again of the same pair,
    nothing changes."""
    again = (
        status.not_after == leaf.not_after
        and status.not_before == leaf.not_before
        and status.condition(ISSUING) is None
    )
    young = not_yet_valid(leaf, now)
    reason, message = (young.reason, young.message) if young is not None else ("Ready", READY_MESSAGE)
    run = PastRun(
        at=now,
        issued=True,
        message=f"serial {leaf.serial}, valid until {instant(leaf.not_after):%Y-%m-%d %H:%M:%S} UTC",
    )
    return CertificateStatus(
        conditions=(_condition(status, READY, young is None, reason, message, now),),
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        renewal_time=renew_at,
        revision=status.revision if again else status.revision + 1,
        last_issuance_time=status.last_issuance_time if again else now,
        order=status.order,
        order_spec=status.order_spec,
        history=status.history if again else with_run(status.history, run),
    )


def adopted(status: CertificateStatus, leaf: Leaf, *, renew_at: float, now: float) -> CertificateStatus:
    """The stored pair was found right."""
    ready = _condition(status, READY, True, "Ready", READY_MESSAGE, now)
    others = tuple(c for c in status.conditions if c.type not in (READY, ISSUING))
    return replace(
        status,
        conditions=(ready, *others),
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        renewal_time=renew_at,
        revision=max(1, status.revision),
        last_failure_time=None,
        failed_issuance_attempts=0,
        next_attempt=None,
        failed_spec="",
        failed_run="",
    )


def not_owner(status: CertificateStatus, owner: str, *, issued: bool, now: float) -> CertificateStatus:
    """Its Secret is another Certificate's: it waits. `issued`: the Secret says so; else the other is to be
    issued first."""
    status = replace(status, conditions=tuple(c for c in status.conditions if c.type != ISSUING))
    return _with(
        status,
        _condition(status, READY, False, INCORRECT_CERTIFICATE, owner_message(owner, issued=issued), now),
    )


def refused(status: CertificateStatus, violation: Violation, why: str, *, now: float) -> CertificateStatus:
    """No run can be begun until a person changes something. It is no failure that counts: nothing was
    tried."""
    status = _with(status, _condition(status, READY, False, violation.reason, violation.message, now))
    return _with(status, _condition(status, ISSUING, False, FAILED, failed_message(why), now))


def failures_with(status: CertificateStatus, run: str) -> int:
    """How many runs in a row have failed, with this one. A worker that dies after it wrote the status leaves
    the run to another, which fails it again: it is counted once."""
    return status.failed_issuance_attempts + (0 if status.failed_run == run else 1)


def failed(
    status: CertificateStatus, failure: Failure, *, spec: str, run: str, now: float
) -> CertificateStatus:
    """A run failed: Issuing=False with the message; the count and the time decide the back-off."""
    status = _with(status, _condition(status, ISSUING, False, FAILED, failed_message(failure.message), now))
    known = status.failed_run == run
    return replace(
        status,
        history=status.history
        if known
        else with_run(status.history, PastRun(at=now, message=failure.message)),
        last_failure_time=now,
        failed_issuance_attempts=failures_with(status, run),
        failed_run=run,
        next_attempt=failure.next_attempt,
        failed_spec=spec,
    )


def _condition(
    status: CertificateStatus, type_: str, value: bool, reason: str, message: str, now: float
) -> Condition:
    old = status.condition(type_)
    since = old.last_transition if old is not None and old.status == value else now
    return Condition(type=type_, status=value, reason=reason, message=message, last_transition=since)


def _with(status: CertificateStatus, condition: Condition) -> CertificateStatus:
    others = tuple(c for c in status.conditions if c.type != condition.type)
    status = replace(status, asked=status.asked and condition.type != ISSUING)
    return replace(status, conditions=tuple(sorted((*others, condition), key=lambda c: c.type, reverse=True)))
