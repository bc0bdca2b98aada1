"""Ends a step that has to wait: it stays at the same step, with the time of its next try."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import replace

from certmill.errors import CertmillError
from certmill.model.status import CertificateStatus
from certmill.observe.log import get_logger
from certmill.renewal.risk import risk_of
from certmill.runs import backoff
from certmill.runs.facts import Facts
from certmill.runs.outcomes import LeftToNewer, StepResult, Wait, Waiting
from certmill.runs.step_context import StepContext
from certmill.runs.transitions import commits, reports
from certmill.state.records import Due

SHORT_WAIT_SECONDS = 5.0
"""A wait that is not longer is not capped, so the remaining life of the certificate is not read."""
_MOST_REASONS = 8
"""A run records at most this number of wait reasons. Otherwise a reason that changes at each poll would write
to the Kubernetes API at each poll."""

log = get_logger(__name__)


def wait(context: StepContext, outcome: Waiting) -> StepResult:
    """Record each wait reason once as an event, and also in the status if the wait is long. Raises
    LeaseLost, StateUnavailable."""
    now, reason = context.ports.clock.now(), outcome.reason
    seconds = outcome.seconds if _is_poll(outcome) else capped(context, outcome.seconds)
    until = now + seconds
    before = outcome.facts if outcome.facts is not None else context.facts
    is_long = max(seconds, now - context.record.since) >= reports.LONG_WAIT_SECONDS
    facts = _with_reason(before, reason, is_long=is_long)
    commits.commit(
        context,
        step=context.step,
        due=Due.WAITING,
        at=until,
        fields=_fields(context, outcome, facts, until),
        drop=commits.UNREAD_FIELDS if context.facts_are_readable else (),
    )
    if facts.event_reasons != before.event_reasons:
        reports.record_event(context, "Waiting", reason)
    if facts.status_reasons != before.status_reasons:
        reports.show_wait(context, step=context.step, reason=reason, until=until)
    if is_long:
        reports.show_risk(context)
    return Wait(reason=reason, seconds=seconds)


def _is_poll(outcome: Waiting) -> bool:
    return outcome.counted and not outcome.failed and outcome.seconds <= reports.LONG_WAIT_SECONDS


def _fields(context: StepContext, outcome: Waiting, facts: Facts, until: float) -> dict[str, str]:
    record = context.record
    fields = {
        "reason": outcome.reason,
        "due": f"{until:.3f}",
        "wait_class": outcome.failure_class or "",
    }
    if context.facts_are_readable:
        fields["facts"] = facts.to_json()
    if outcome.counted:
        fields["tries"] = str(record.tries + 1)
        fields["failures"] = str(record.failures + 1 if outcome.failed else 0)
    return fields


def _with_reason(facts: Facts, reason: str, *, is_long: bool) -> Facts:
    """The facts with the digest of a reason that the run has not waited for yet, up to the limit."""
    digest = hashlib.sha256(reason.encode()).hexdigest()[:8]

    def added(known: tuple[str, ...]) -> tuple[str, ...]:
        return known if digest in known or len(known) >= _MOST_REASONS else (*known, digest)

    return replace(
        facts,
        event_reasons=added(facts.event_reasons),
        status_reasons=added(facts.status_reasons) if is_long else facts.status_reasons,
    )


def capped(context: StepContext, seconds: float) -> float:
    """Cap the wait (seconds), so that the stored certificate does not expire while the run waits for a server
    or for an issuer that is not ready. The wait also ends when the certificate's level of risk changes, so
    that its status shows the new level."""
    if seconds <= SHORT_WAIT_SECONDS:
        return seconds
    status, now = CertificateStatus(), context.ports.clock.now()
    with suppress(CertmillError):
        status = context.ports.home.certificate_status(context.certificate_id)
    at = backoff.next_attempt(seconds, failed_at=now, validity=validity_of(status)).at
    changes_at = risk_of(status, now).changes_at
    return min(at, at if changes_at is None else changes_at) - now


def validity_of(status: CertificateStatus) -> backoff.Validity | None:
    """The validity of the stored certificate, from its status. None if unknown."""
    return (
        backoff.Validity(not_before=status.not_before, not_after=status.not_after)
        if status.not_after is not None
        else None
    )


def leave_to_newer(context: StepContext, outcome: LeftToNewer) -> StepResult:
    """Wait for a worker of a newer release. The facts stay unchanged; `unread_since` in the record says since
    when no worker could read them. Raises LeaseLost, StateUnavailable."""
    now, record = context.ports.clock.now(), context.record
    at, since = now + outcome.seconds, record.unread_since or now
    fields = {
        "reason": outcome.reason,
        "due": f"{at:.3f}",
        "unread_since": f"{since:.3f}",
        "tries": str(record.tries + 1),
    }
    commits.commit(context, step=context.step, due=Due.WAITING, at=at, fields=fields)
    if not record.unread_since:
        log.warning(
            "run.left_to_newer",
            certificate=context.certificate_id,
            step=context.step,
            reason=outcome.reason,
        )
    return Wait(reason=outcome.reason, seconds=outcome.seconds)
