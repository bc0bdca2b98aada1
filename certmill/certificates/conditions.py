"""Computes the new status of a Certificate after each change: conditions and reasons as in cert-manager
(reference §1.3). Pure."""

from __future__ import annotations

from dataclasses import replace

from certmill.certificates.secret_contract import is_temporary
from certmill.clock import instant
from certmill.crypto.chain import Leaf
from certmill.model.history import PastRun, with_run
from certmill.model.reason import NO_PAIR, Reason
from certmill.model.revocation import Revocation
from certmill.model.status import (
    CertificateStatus,
    Condition,
    as_of,
    failed_message,
    owner_message,
    waiting_message,
)
from certmill.renewal.observation import Observation, Violation
from certmill.renewal.policy import READY_MESSAGE, not_yet_valid
from certmill.runs.facts import Failure, Stored

READY = "Ready"
ISSUING = "Issuing"


def is_triggered(status: CertificateStatus) -> bool:
    """Whether a person or a program requested a run through the status.

    `cmctl renew` sets Issuing=True; as in cert-manager, another program may set it for any reason. While a
    run is under way, certmill itself sets Issuing=True."""
    found = status.condition(ISSUING)
    return found is not None and found.status and (status.asked or found.reason == Reason.MANUALLY_TRIGGERED)


def is_issuing(status: CertificateStatus) -> bool:
    """Whether the status says that a run is under way."""
    found = status.condition(ISSUING)
    return found is not None and found.status


def of_pair(observation: Observation) -> CertificateStatus:
    """The status with the validity and renewal times of the stored pair. The origin of the pair does not
    matter: it expires even if no new one is issued in time."""
    leaf, secret = observation.leaf, observation.secret
    if leaf is None or secret is None or is_temporary(secret):
        return observation.status
    return replace(
        observation.status,
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        renewal_time=observation.renewal.instant,
    )


def issuing(status: CertificateStatus, violation: Violation, *, ready: bool, now: float) -> CertificateStatus:
    """The status after a run has begun. A pair that only has to be renewed stays Ready during the run. If
    there is no pair, the times are removed."""
    status = _with(status, _condition(status, ISSUING, True, violation.reason, violation.message, now))
    if ready:
        return _with(
            _timed(status, violation), _condition(status, READY, True, Reason.READY, READY_MESSAGE, now)
        )
    return _not_ready(status, violation, now)


def backing_off(
    status: CertificateStatus, violation: Violation, *, servable: bool, now: float
) -> CertificateStatus:
    """The status while a run must wait for its back-off. Ready does not change for a pair that only has to be
    renewed, or for a temporary pair (`servable`)."""
    return status if servable or violation.reason is Reason.RENEWING else _not_ready(status, violation, now)


def while_issuing(observation: Observation, *, now: float) -> CertificateStatus:
    """The status while a run is under way, which can take hours. When the pair that it replaces has expired,
    Ready becomes False. If another program wrote the status without the expiry time, the time is read from
    the pair."""
    return as_of(
        observation.status if observation.status.not_after is not None else of_pair(observation), now
    )


def _not_ready(status: CertificateStatus, violation: Violation, now: float) -> CertificateStatus:
    return _with(
        _timed(status, violation), _condition(status, READY, False, violation.reason, violation.message, now)
    )


def _timed(status: CertificateStatus, violation: Violation) -> CertificateStatus:
    """The status without the validity and renewal times if there is no pair."""
    absent = violation.reason in NO_PAIR
    return replace(status, not_before=None, not_after=None, renewal_time=None) if absent else status


def waiting(status: CertificateStatus, reason: str) -> CertificateStatus:
    """The status of a run that has waited for a long time: the Issuing message gets the reason for the wait.
    The status does not change if it shows no run."""
    found = status.condition(ISSUING)
    if found is None or not found.status:
        return status
    return _with(status, replace(found, message=waiting_message(found.message, reason)))


def issued(status: CertificateStatus, leaf: Leaf, *, renew_at: float | None, now: float) -> CertificateStatus:
    """The status after a pair was stored: Ready once the pair is valid; the failure count is reset. A second
    call for the same pair changes nothing. While the status has the note of an order, the history is not
    changed: it is written when the note is removed (`ended`), which saves a request to the API server."""
    again = (
        status.not_after == leaf.not_after
        and status.not_before == leaf.not_before
        and status.condition(ISSUING) is None
    )
    young = not_yet_valid(leaf, now)
    reason, message = (young.reason, young.message) if young is not None else (Reason.READY, READY_MESSAGE)
    return CertificateStatus(
        conditions=(_condition(status, READY, young is None, reason, message, now),),
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        renewal_time=renew_at,
        revision=status.revision if again else status.revision + 1,
        last_issuance_time=status.last_issuance_time if again else now,
        order=status.order,
        order_spec=status.order_spec,
        history=status.history
        if again or status.order
        else _with_pair(status.history, leaf.serial, leaf.not_after, now),
        revoked=_of_same_key(status.revoked, leaf),
        version=status.version,
    )


def _of_same_key(revoked: Revocation | None, leaf: Leaf) -> Revocation | None:
    """The revocation, if it is of this certificate or of its compromised key: a run that was under way at the
    revocation may have stored another certificate of that key."""
    if revoked is None or revoked.serial == leaf.serial:
        return revoked
    return revoked if revoked.is_key_compromised and revoked.public_key == leaf.public_key else None


def ended(
    status: CertificateStatus, *, stored: Stored | None, values_removed: bool, now: float
) -> CertificateStatus:
    """The status after the clean-up of a run: the pair that it `stored` is in the history, and the note of
    its order is removed if its values were removed from DNS. A second call changes nothing."""
    history = status.history
    if stored is not None:
        history = _with_pair(history, stored.serial, stored.not_after, now)
    if values_removed:
        return replace(status, history=history, order="", order_spec="")
    return replace(status, history=history)


def _with_pair(
    history: tuple[PastRun, ...], serial: str, not_after: float, now: float
) -> tuple[PastRun, ...]:
    """The history with the run that stored this pair; the same if the run is in it."""
    until = f"{instant(not_after):%Y-%m-%d %H:%M:%S} UTC"
    run = PastRun(at=now, issued=True, message=f"serial {serial}, valid until {until}")
    known = bool(history) and (history[-1].issued, history[-1].message) == (True, run.message)
    return history if known else with_run(history, run)


def adopted(
    status: CertificateStatus, leaf: Leaf, *, renew_at: float | None, now: float
) -> CertificateStatus:
    """The status after the stored pair was found to be the desired one. The failure count is reset."""
    ready = _condition(status, READY, True, Reason.READY, READY_MESSAGE, now)
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
    """The status of a Certificate that waits because another Certificate owns its Secret. `issued`: the
    Secret names the owner; otherwise the owner's pair is not issued yet."""
    status = replace(status, conditions=tuple(c for c in status.conditions if c.type != ISSUING))
    return _with(
        status,
        _condition(
            status, READY, False, Reason.INCORRECT_CERTIFICATE, owner_message(owner, issued=issued), now
        ),
    )


def refused(status: CertificateStatus, violation: Violation, why: str, *, now: float) -> CertificateStatus:
    """The status when no run can begin until a person changes something. This does not count as a failure:
    nothing was tried."""
    status = _with(status, _condition(status, READY, False, violation.reason, violation.message, now))
    return _with(status, _condition(status, ISSUING, False, Reason.FAILED, failed_message(why), now))


def failures_with(status: CertificateStatus, run: str) -> int:
    """The number of runs in a row that failed, including this one. If a worker dies after it wrote the
    status, another worker fails the same run again; that run is counted once."""
    return status.failed_issuance_attempts + (0 if status.failed_run == run else 1)


def failed(
    status: CertificateStatus, failure: Failure, *, spec: str, run: str, now: float
) -> CertificateStatus:
    """The status after a run failed: Issuing=False with the message. The number of failures and the time
    decide the back-off."""
    status = _with(
        status, _condition(status, ISSUING, False, Reason.FAILED, failed_message(failure.message), now)
    )
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
    status: CertificateStatus, type_: str, value: bool, reason: Reason, message: str, now: float
) -> Condition:
    old = status.condition(type_)
    since = old.last_transition if old is not None and old.status == value else now
    return Condition(type=type_, status=value, reason=str(reason), message=message, last_transition=since)


def _with(status: CertificateStatus, condition: Condition) -> CertificateStatus:
    others = tuple(c for c in status.conditions if c.type != condition.type)
    status = replace(status, asked=status.asked and condition.type != ISSUING)
    return replace(status, conditions=tuple(sorted((*others, condition), key=lambda c: c.type, reverse=True)))
