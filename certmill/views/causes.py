"""Finds what blocks a certificate: one cause and one line of text for people. Pure: uses the data of the home
and of Redis, and the current time.

cause           meaning
issuer          the issuer is missing, not valid or not ready
no-worker       no worker has claimed the certificate, or its next step, yet
waiting         the run waits for DNS, HTTP or the CA
rate-limited    the CA, or a DNS provider, has said when the next request is allowed
backing-off     the last run failed; the next run begins at a known time
refused         the manifest cannot be used, or another Certificate owns the Secret: a person must act
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from certmill.contract import STEP_NAMES
from certmill.errors import DamagedValue, FailureClass, NewerRelease
from certmill.model.certificate import Certificate, IssuerRef
from certmill.model.reason import Reason
from certmill.model.status import (
    NO_WORKER,
    CertificateStatus,
    Condition,
    as_of,
    failure_of,
    wait_of,
)
from certmill.runs.facts import Facts
from certmill.state.record import Record
from certmill.views.times import away, duration, moment

_QUIET_SECONDS = 60.0
_CHECK_PROCESSES = "check that workers and beat are running"


class Cause(StrEnum):
    """The kind of problem that blocks a certificate."""

    ISSUER = "issuer"
    NO_WORKER = "no-worker"
    WAITING = "waiting"
    RATE_LIMITED = "rate-limited"
    BACKING_OFF = "backing-off"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """A cause and one line of text about it."""

    cause: Cause
    text: str

    def __str__(self) -> str:
        return f"{self.cause}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What the home and Redis contain about one certificate.

    `issuer_ref`: the issuer that its run uses, or that the next run will use. `issuer_ready`: the Ready
    condition of this issuer, None if it has none. `issuer_problem`: why it cannot be used, else "". `owner`:
    the other Certificate that owns the Secret, else "". `record`: None if Redis has no record of it, or
    cannot be reached.
    """

    certificate: Certificate
    status: CertificateStatus
    issuer_ref: IssuerRef
    issuer_ready: Condition | None = None
    issuer_problem: str = ""
    owner: str = ""
    record: Record | None = None


def blocked_by(seen: Observed, now: float) -> Blocked | None:
    """What blocks the certificate. None if nothing blocks it: it is ready, or a worker runs its step."""
    if refused := _refused(seen):
        return refused
    if seen.record is not None and seen.record.step:
        return _in_flight(seen, seen.record, now)
    return _idle(seen, now)


def _refused(seen: Observed) -> Blocked | None:
    if seen.owner:
        secret = seen.certificate.secret_name
        text = f"Secret {secret} belongs to Certificate {seen.owner}: give one of them another secretName"
        return Blocked(cause=Cause.REFUSED, text=text)
    ready = seen.status.condition("Ready")
    if ready is not None and not ready.status and ready.reason == Reason.INVALID_SPEC:
        return Blocked(cause=Cause.REFUSED, text=ready.message)
    return None


def _in_flight(seen: Observed, record: Record, now: float) -> Blocked | None:
    """What blocks a certificate whose run is under way. There are four cases: the run has failed and cleans
    up, a worker runs the step, the step waits, or the step is in the queue."""
    facts = known_facts(record)
    if facts.failure is not None:
        return _backing_off(facts.failure.message, facts.failure.next_attempt, now)
    if record.lease > now:
        return None
    if record.reason and record.due > now:
        return _waiting(seen, record, now)
    return Blocked(cause=Cause.NO_WORKER, text=no_worker_line(record, now))


def no_worker_line(record: Record, now: float) -> str:
    """The line that no worker has claimed the step that is due. After a minute it also says for how long, and
    what to check."""
    quiet = now - max(record.since, record.lease, record.due)
    return f"{NO_WORKER}, for {duration(quiet)}: {_CHECK_PROCESSES}" if quiet > _QUIET_SECONDS else NO_WORKER


def _waiting(seen: Observed, record: Record, now: float) -> Blocked:
    if record.wait_class == FailureClass.RATE_LIMITED:
        return Blocked(
            cause=Cause.RATE_LIMITED,
            text=f"until {moment(record.due)} ({away(record.due, now)}): {record.reason}",
        )
    if (seen.issuer_problem or record.step == STEP_NAMES[0]) and (issuer := _issuer(seen)):
        return issuer
    return Blocked(cause=Cause.WAITING, text=f"{record.reason} (again {away(record.due, now)})")


def _idle(seen: Observed, now: float) -> Blocked | None:
    """What blocks a certificate without a known run. Either Redis has no run of it, or Redis cannot be
    reached; the status is then the only source."""
    status, ready = seen.status, as_of(seen.status, now).condition("Ready")
    is_ready = ready is not None and ready.status
    if status.next_attempt is not None and status.next_attempt > now and status.failed_issuance_attempts:
        return _backing_off(failure_of(status) or "the last run failed", status.next_attempt, now)
    if is_ready:
        return None
    if reason := wait_of(status):
        return Blocked(cause=Cause.WAITING, text=reason)
    return _issuer(seen) or Blocked(cause=Cause.NO_WORKER, text=f"{NO_WORKER}: {_CHECK_PROCESSES}")


def known_facts(record: Record) -> Facts:
    """The facts that the run has stored; empty facts if this release cannot read them."""
    try:
        return Facts.from_json(record.facts)
    except (NewerRelease, DamagedValue):
        return Facts()


def _backing_off(why: str, until: float, now: float) -> Blocked:
    return Blocked(cause=Cause.BACKING_OFF, text=f"until {moment(until)} ({away(until, now)}): {why}")


def _issuer(seen: Observed) -> Blocked | None:
    """Why the issuer cannot issue; None if no reason is known. An issuer without a Ready condition is new: a
    worker has yet to register it, so the issuer is not the cause."""
    ref = seen.issuer_ref
    name = f"{ref.kind or 'Issuer'} {ref.name}"
    if seen.issuer_problem:
        return Blocked(cause=Cause.ISSUER, text=f"{name} {seen.issuer_problem}")
    if seen.issuer_ready is not None and not seen.issuer_ready.status:
        return Blocked(cause=Cause.ISSUER, text=f"{name} is not ready: {seen.issuer_ready.message}")
    return None
