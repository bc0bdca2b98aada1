"""How a step ends: each outcome, committed to the record in one call and then told.

What was decided is in the record before anybody hears of it. If the process dies in between, nobody is told,
and the tick rings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from certmill.certificates import conditions
from certmill.certificates.reconcile import Reconciler
from certmill.errors import (
    CAUnavailable,
    CertificateWrong,
    CertmillError,
    FailureClass,
    Forbidden,
    InvalidManifest,
    NotFound,
    Permanent,
    StepKeepsDying,
    Temporary,
)
from certmill.issuers import failures as issuer_failures
from certmill.model.reason import Reason
from certmill.model.status import CertificateStatus, failed_message
from certmill.observe import certificates
from certmill.observe.log import get_logger
from certmill.runs import backoff, commits
from certmill.runs.chain import CLEAN_UP, next_step
from certmill.runs.context import Ports
from certmill.runs.facts import Facts, Failure
from certmill.runs.outcomes import (
    Advanced,
    Drop,
    Fail,
    Failed,
    Finished,
    LeftToNewer,
    Outcome,
    Proceed,
    Restart,
    StepResult,
    Wait,
    Waiting,
)
from certmill.runs.step_context import StepContext
from certmill.state.record import RunResult
from certmill.state.records import Due

MAX_RESTARTS = 3
LONG_WAIT_SECONDS = 60.0
SHORT_WAIT_SECONDS = 5.0
"""Capping a shorter wait would save no certificate, so its remaining life is not read."""
_MOST_REASONS = 8
"""A run tells of no more: should a reason ever change from poll to poll, the API is not to be written to at
each."""
_OF_A_WAIT = ("reason", "due", "wait_class", "unread_since")
"""The fields of a record that describe what a step waits for."""
_WAS_READ = ("unread_since",)
"""Goes with each commit of a worker that could read the facts: who cannot comes later, and waits for its own
hour."""
_CSR_REFUSED = ("badCSR", "badPublicKey")
_HOME_REFUSES = (Forbidden, NotFound, InvalidManifest)
"""A missing role or namespace is not a fault of the certificate. The next attempt stores the certificate that
was issued and does not order a new one."""
_REUSE_AFTER = (
    FailureClass.TRANSIENT,
    FailureClass.RATE_LIMITED,
    FailureClass.CONFIGURATION,
    FailureClass.CA_REFUSES_US,
)

log = get_logger(__name__)


class Transitions:
    """Ends steps. One per process."""

    def __init__(self, ports: Ports, reconciler: Reconciler) -> None:
        self._ports = ports
        self._reconciler = reconciler

    def end(self, context: StepContext, outcome: Outcome, next_task: Callable[[], str] = str) -> StepResult:
        """Commit, then write status, events and logs. Returns what the task is to show. Raises LeaseLost,
        StateUnavailable."""
        match outcome:
            case Advanced():
                return self._advance(context, outcome, next_task)
            case Waiting():
                return self._wait(context, outcome)
            case LeftToNewer():
                return self._leave(context, outcome)
            case Restart():
                return self._go_back(context, outcome)
            case Failed():
                return self._fail(context, outcome)
            case Finished():
                return self._finish(context, outcome)

    def _advance(self, context: StepContext, outcome: Advanced, next_task: Callable[[], str]) -> StepResult:
        step, fields, claimed = next_step(context.step), {"facts": outcome.facts.to_json()}, None
        if task_id := next_task():
            claimed = commits.advance(context, step=step, task_id=task_id, fields=fields, drop=_OF_A_WAIT)
        else:
            at = self._ports.clock.now() + self._ports.limits.grace
            commits.commit(context, step=step, due=Due.IN_FLIGHT, at=at, fields=fields, drop=_OF_A_WAIT)
        if (stored := outcome.facts.stored) is not None:
            certificates.issued(
                context.certificate_id,
                run=context.record.run,
                renews=outcome.renews,
                serial=stored.serial,
                not_after=stored.not_after,
                renew_at=stored.renew_at,
                issuer=str(outcome.facts.issuer),
                seconds=context.run_seconds,
            )
        return Proceed(claimed=claimed)

    def _wait(self, context: StepContext, outcome: Waiting) -> StepResult:
        """Record each wait reason once as an event, and also in the status if the wait is long."""
        now, record, reason = self._ports.clock.now(), context.record, outcome.reason
        is_poll = outcome.counted and not outcome.failed and outcome.seconds <= LONG_WAIT_SECONDS
        seconds = outcome.seconds if is_poll else self._capped(context, outcome.seconds)
        at = now + seconds
        facts = outcome.facts if outcome.facts is not None else context.facts
        is_long = max(seconds, now - record.since) >= LONG_WAIT_SECONDS
        told, noted = (
            _with_reason(facts.told, reason),
            _with_reason(facts.noted, reason) if is_long else facts.noted,
        )
        fields = {"reason": reason, "due": f"{at:.3f}", "wait_class": outcome.failure_class or ""}
        if context.facts_are_readable:
            fields["facts"] = replace(facts, told=told, noted=noted).to_json()
        if outcome.counted:
            fields |= {
                "tries": str(record.tries + 1),
                "failures": str(record.failures + 1 if outcome.failed else 0),
            }
        commits.commit(
            context,
            step=context.step,
            due=Due.WAITING,
            at=at,
            fields=fields,
            drop=_WAS_READ if context.facts_are_readable else (),
        )
        if told != facts.told:
            _record_event(context, "Waiting", reason)
        if noted != facts.noted:
            certificates.waiting(
                context.certificate_id, run=record.run, step=context.step, reason=reason, until=at
            )
            _note_wait(context, reason)
        return Wait(reason=reason, seconds=seconds)

    def _capped(self, context: StepContext, seconds: float) -> float:
        """Cap the wait (seconds), so that the stored certificate does not expire while the run waits for a
        server or for an issuer that is not ready."""
        if seconds <= SHORT_WAIT_SECONDS:
            return seconds
        validity = None
        with suppress(CertmillError):
            validity = _validity(self._ports.home.certificate_status(context.certificate_id))
        now = self._ports.clock.now()
        return backoff.next_attempt(seconds, failed_at=now, validity=validity).at - now

    def _leave(self, context: StepContext, outcome: LeftToNewer) -> StepResult:
        """The facts are not touched. What tells since when, and that it was told, is beside them."""
        now, record = self._ports.clock.now(), context.record
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

    def _go_back(self, context: StepContext, outcome: Restart) -> StepResult:
        """Go back to an earlier step or to the clean-up, a limited number of times: a CA that loses each
        order must not get a new order each second."""
        if outcome.after is not None:
            return self._go_back_later(context, outcome, outcome.after)
        facts = replace(outcome.facts, restarts=outcome.facts.restarts + 1)
        if facts.restarts > MAX_RESTARTS and outcome.step != CLEAN_UP:
            error = CAUnavailable(f"begun again {MAX_RESTARTS} times: {outcome.reason}")
            return self._fail(
                context, Failed(error=error, facts=replace(facts, order="", csr=""), costly=True)
            )
        soon = outcome.step == CLEAN_UP or facts.restarts == 1
        seconds = 0.0 if soon else backoff.STEP.delay(facts.restarts, self._ports.jitter())
        now = self._ports.clock.now()
        fields = {
            "facts": facts.to_json(),
            "reason": outcome.reason,
            "due": f"{now + seconds:.3f}",
            "wait_class": "",
        }
        if soon:
            commits.commit(
                context,
                step=outcome.step,
                due=Due.IN_FLIGHT,
                at=now + self._ports.limits.grace,
                fields=fields,
                drop=_WAS_READ,
            )
        else:
            commits.commit(
                context, step=outcome.step, due=Due.WAITING, at=now + seconds, fields=fields, drop=_WAS_READ
            )
        return Drop(publish_run=soon)

    def _go_back_later(self, context: StepContext, outcome: Restart, after: Temporary) -> StepResult:
        """Go back to an earlier step at the time that the CA gives. A rate limit does not fail the run."""
        seconds = self._capped(context, backoff.step_delay(after, 1, self._ports.jitter()))
        at, reason = self._ports.clock.now() + seconds, outcome.reason
        fields = {
            "facts": outcome.facts.to_json(),
            "reason": reason,
            "due": f"{at:.3f}",
            "wait_class": after.failure_class,
        }
        commits.commit(context, step=outcome.step, due=Due.WAITING, at=at, fields=fields, drop=_WAS_READ)
        _record_event(context, "Waiting", reason)
        if seconds >= LONG_WAIT_SECONDS:
            certificates.waiting(
                context.certificate_id, run=context.record.run, step=outcome.step, reason=reason, until=at
            )
            _note_wait(context, reason)
        return Drop()

    def _fail(self, context: StepContext, outcome: Failed) -> StepResult:
        """End the run without a certificate. The status shows the reason and the time of the next run. The
        wake-up for the clean-up is published at once."""
        ports, now, error = self._ports, self._ports.clock.now(), outcome.error
        # Renew first: a worker that lost the lease must not report that another worker's run failed.
        context.confirm_lease()
        try:
            failure = self._written(context, outcome, now)
        except Temporary as away:
            seconds = backoff.step_delay(away, context.record.failures + 1, ports.jitter())
            return self._wait(context, Waiting(reason=str(away), seconds=seconds, failed=True))
        facts = replace(outcome.facts, failure=failure)
        not_stored = context.step == "store_secret" and not isinstance(error, _HOME_REFUSES)
        if (
            isinstance(error, CertificateWrong | StepKeepsDying)
            or not_stored
            or error.acme_type in _CSR_REFUSED
        ):
            facts = replace(facts, order="", csr="")
        fields = {
            "facts": facts.to_json(),
            "reason": str(error),
            "due": f"{failure.next_attempt:.3f}",
            "wait_class": "",
        }
        commits.commit(context, step=CLEAN_UP, due=Due.IN_FLIGHT, at=now + ports.limits.grace, fields=fields)
        certificates.failed(
            context.certificate_id,
            run=context.record.run,
            step=context.step,
            failure_class=failure.failure_class,
            reason=str(error),
            next_attempt=failure.next_attempt,
            seconds=context.run_seconds,
        )
        _record_event(context, Reason.FAILED, failed_message(failure.message), warning=True)
        return Fail(message=str(error))

    def _written(self, context: StepContext, outcome: Failed, now: float) -> Failure:
        """The failure, also written to the status. If the role or the namespace is gone, the run ends without
        the status."""
        home, error, costly = (
            self._ports.home,
            outcome.error,
            outcome.costly or context.step == "store_secret",
        )

        def failure(attempts: int, validity: backoff.Validity | None) -> Failure:
            delay = backoff.run_delay(error, attempts, self._ports.jitter(), costly=costly)
            at = backoff.next_attempt(delay, failed_at=now, validity=validity).at
            by_issuer = issuer_failures.is_by_issuer(error)
            return Failure(
                failure_class=error.failure_class, message=str(error), next_attempt=at, by_issuer=by_issuer
            )

        try:
            status = home.certificate_status(context.certificate_id)
            failed = failure(conditions.failures_with(status, context.run_id), _validity(status))
            status = conditions.failed(status, failed, spec=context.record.spec, run=context.run_id, now=now)
            home.write_certificate_status(context.certificate_id, status)
        except Permanent as refused:
            log.warning("status.refused", certificate=context.certificate_id, reason=str(refused))
            return failure(1, None)
        return failed

    def _finish(self, context: StepContext, outcome: Finished) -> StepResult:
        """End the run. Idle records stay small: facts are stored only if the next run can continue their
        order."""
        ports, facts, record = self._ports, context.facts, context.record
        failure = facts.failure
        fields = {
            "done": str(record.run),
            "result": _result(facts),
        }
        drop = [
            "task",
            "root",
            "since",
            "tries",
            "failures",
            "begun",
            "due",
            "reason",
            "lock",
            "unread_since",
            "wait_class",
        ]
        if failure is not None and failure.failure_class in _REUSE_AFTER and facts.order and facts.csr:
            fields["facts"] = facts.reusable().to_json()
        else:
            drop += ["facts", "key"]
        if failure is not None and facts.stored is None:
            fields |= {"due": f"{failure.next_attempt:.3f}", "reason": failure.message}
            drop = [name for name in drop if name not in fields]
            issuer_failures.note(ports, context.certificate_id, failure)
        commits.commit(
            context, step="", due=Due.RENEWALS, at=outcome.next_check, fields=fields, drop=tuple(drop)
        )
        if facts.stored is None and failure is None:
            certificates.run_dropped(
                context.certificate_id, run=record.run, reason=record.reason, seconds=context.run_seconds
            )
        if ports.records.again(context.certificate_id) or (facts.stored is None and failure is None):
            return self._go_on(context)
        if facts.stored is not None and facts.stored.recovered:
            ports.issuer_records.forget_failing(facts.issuer, [context.certificate_id])
        return Proceed()

    def _go_on(self, context: StepContext) -> StepResult:
        """Begin the next run, which was requested. If this fails, the tick begins it, because it is due."""
        try:
            return Drop(publish_run=self._reconciler.reconcile(context.certificate_id).publish_run)
        except CertmillError:
            return Drop()


def _record_event(context: StepContext, reason: str, message: str, *, warning: bool = False) -> None:
    """Record an event for the Certificate. Call it after the commit."""
    if context.found_certificate is not None:
        context.ports.events.record_event(context.found_certificate, reason, message, warning=warning)


def _note_wait(context: StepContext, reason: str) -> None:
    """Show in the Certificate's status what the run waits for. Best effort: errors are ignored, as for
    events."""
    if context.found_certificate is None:
        return
    home = context.ports.home
    with suppress(CertmillError):
        status = home.certificate_status(context.certificate_id)
        home.write_certificate_status(context.certificate_id, conditions.waiting(status, reason))


def _result(facts: Facts) -> str:
    if facts.stored is not None:
        return RunResult.ISSUED.value
    return facts.failure.message if facts.failure is not None else RunResult.ENDED.value


def _validity(status: CertificateStatus) -> backoff.Validity | None:
    """The validity of the stored certificate, from its status. None if unknown."""
    return (
        backoff.Validity(not_before=status.not_before, not_after=status.not_after)
        if status.not_after is not None
        else None
    )


def _with_reason(known: tuple[str, ...], reason: str) -> tuple[str, ...]:
    """Add the digest of a new reason, up to the limit."""
    one = hashlib.sha256(reason.encode()).hexdigest()[:8]
    return known if one in known or len(known) >= _MOST_REASONS else (*known, one)
