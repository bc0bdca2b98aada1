"""How a step ends: each outcome, committed to the record in one call and then told.

What was decided is in the record before anybody hears of it. If the process dies in between, nobody is told,
and the tick rings."""

from __future__ import annotations

import hashlib
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
from certmill.model.status import CertificateStatus, failed_message
from certmill.observe import certificates
from certmill.observe.log import get_logger
from certmill.runs import backoff
from certmill.runs.attempt import Attempt
from certmill.runs.chain import CLEAN_UP, next_step
from certmill.runs.context import Ports
from certmill.runs.facts import Failure
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

    def end(self, attempt: Attempt, outcome: Outcome) -> StepResult:
        """Commit, and say what the task is to show. Raises LeaseLost, StateUnavailable."""
        match outcome:
            case Advanced():
                return self._advance(attempt, outcome)
            case Waiting():
                return self._wait(attempt, outcome)
            case LeftToNewer():
                return self._leave(attempt, outcome)
            case Restart():
                return self._go_back(attempt, outcome)
            case Failed():
                return self._fail(attempt, outcome)
            case Finished():
                return self._finish(attempt, outcome)

    def _advance(self, attempt: Attempt, outcome: Advanced) -> StepResult:
        step, fields, claimed = next_step(attempt.step), {"facts": outcome.facts.to_json()}, None
        if task_id := attempt.next_task():
            claimed = attempt.advance(step=step, task_id=task_id, fields=fields, drop=_OF_A_WAIT)
        else:
            at = self._ports.clock.now() + self._ports.limits.grace
            attempt.commit(step=step, due=Due.IN_FLIGHT, at=at, fields=fields, drop=_OF_A_WAIT)
        if (stored := outcome.facts.stored) is not None:
            certificates.issued(
                attempt.certificate_id,
                run=attempt.record.run,
                renews=outcome.renews,
                serial=stored.serial,
                not_after=stored.not_after,
                renew_at=stored.renew_at,
                issuer=str(outcome.facts.issuer),
                seconds=attempt.run_seconds,
            )
        return Proceed(claimed=claimed)

    def _wait(self, attempt: Attempt, outcome: Waiting) -> StepResult:
        """Record each wait reason once as an event, and also in the status if the wait is long."""
        now, record, reason = self._ports.clock.now(), attempt.record, outcome.reason
        is_poll = outcome.counted and not outcome.failed and outcome.seconds <= LONG_WAIT_SECONDS
        seconds = outcome.seconds if is_poll else self._capped(attempt, outcome.seconds)
        at = now + seconds
        facts = outcome.facts if outcome.facts is not None else attempt.facts
        is_long = max(seconds, now - record.since) >= LONG_WAIT_SECONDS
        told, noted = (
            _with_reason(facts.told, reason),
            _with_reason(facts.noted, reason) if is_long else facts.noted,
        )
        fields = {"reason": reason, "due": f"{at:.3f}", "wait_class": outcome.failure_class or ""}
        if not attempt.unread:
            fields["facts"] = replace(facts, told=told, noted=noted).to_json()
        if outcome.counted:
            fields |= {
                "tries": str(record.tries + 1),
                "failures": str(record.failures + 1 if outcome.failed else 0),
            }
        attempt.commit(
            step=attempt.step, due=Due.WAITING, at=at, fields=fields, drop=() if attempt.unread else _WAS_READ
        )
        if told != facts.told:
            attempt.record_event("Waiting", reason)
        if noted != facts.noted:
            certificates.waiting(
                attempt.certificate_id, run=record.run, step=attempt.step, reason=reason, until=at
            )
            attempt.note_wait(reason)
        return Wait(reason=reason, seconds=seconds)

    def _capped(self, attempt: Attempt, seconds: float) -> float:
        """Cap the wait (seconds), so that the stored certificate does not expire while the run waits for a
        server or for an issuer that is not ready."""
        if seconds <= SHORT_WAIT_SECONDS:
            return seconds
        validity = None
        with suppress(CertmillError):
            validity = _validity(self._ports.home.certificate_status(attempt.certificate_id))
        now = self._ports.clock.now()
        return backoff.next_attempt(seconds, failed_at=now, validity=validity).at - now

    def _leave(self, attempt: Attempt, outcome: LeftToNewer) -> StepResult:
        """The facts are not touched. What tells since when, and that it was told, is beside them."""
        now, record = self._ports.clock.now(), attempt.record
        at, since = now + outcome.seconds, record.unread_since or now
        fields = {
            "reason": outcome.reason,
            "due": f"{at:.3f}",
            "unread_since": f"{since:.3f}",
            "tries": str(record.tries + 1),
        }
        attempt.commit(step=attempt.step, due=Due.WAITING, at=at, fields=fields)
        if not record.unread_since:
            log.warning(
                "run.left_to_newer",
                certificate=attempt.certificate_id,
                step=attempt.step,
                reason=outcome.reason,
            )
        return Wait(reason=outcome.reason, seconds=outcome.seconds)

    def _go_back(self, attempt: Attempt, outcome: Restart) -> StepResult:
        """Go back to an earlier step or to the clean-up, a limited number of times: a CA that loses each
        order must not get a new order each second."""
        if outcome.after is not None:
            return self._go_back_later(attempt, outcome, outcome.after)
        facts = replace(outcome.facts, restarts=outcome.facts.restarts + 1)
        if facts.restarts > MAX_RESTARTS and outcome.step != CLEAN_UP:
            error = CAUnavailable(f"begun again {MAX_RESTARTS} times: {outcome.reason}")
            return self._fail(
                attempt, Failed(error=error, facts=replace(facts, order="", csr=""), costly=True)
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
            attempt.commit(
                step=outcome.step,
                due=Due.IN_FLIGHT,
                at=now + self._ports.limits.grace,
                fields=fields,
                drop=_WAS_READ,
            )
        else:
            attempt.commit(
                step=outcome.step, due=Due.WAITING, at=now + seconds, fields=fields, drop=_WAS_READ
            )
        return Drop(publish_run=soon)

    def _go_back_later(self, attempt: Attempt, outcome: Restart, after: Temporary) -> StepResult:
        """Go back to an earlier step at the time that the CA gives. A rate limit does not fail the run."""
        seconds = self._capped(attempt, backoff.step_delay(after, 1, self._ports.jitter()))
        at, reason = self._ports.clock.now() + seconds, outcome.reason
        fields = {
            "facts": outcome.facts.to_json(),
            "reason": reason,
            "due": f"{at:.3f}",
            "wait_class": after.failure_class,
        }
        attempt.commit(step=outcome.step, due=Due.WAITING, at=at, fields=fields, drop=_WAS_READ)
        attempt.record_event("Waiting", reason)
        if seconds >= LONG_WAIT_SECONDS:
            certificates.waiting(
                attempt.certificate_id, run=attempt.record.run, step=outcome.step, reason=reason, until=at
            )
            attempt.note_wait(reason)
        return Drop()

    def _fail(self, attempt: Attempt, outcome: Failed) -> StepResult:
        """End the run without a certificate. The status shows the reason and the time of the next run. The
        wake-up for the clean-up is published at once."""
        ports, now, error = self._ports, self._ports.clock.now(), outcome.error
        # Renew first: a worker that lost the lease must not report that another worker's run failed.
        attempt.renew()
        try:
            failure = self._written(attempt, outcome, now)
        except Temporary as away:
            seconds = backoff.step_delay(away, attempt.record.failures + 1, ports.jitter())
            return self._wait(attempt, Waiting(reason=str(away), seconds=seconds, failed=True))
        facts = replace(outcome.facts, failure=failure)
        not_stored = attempt.step == "store_secret" and not isinstance(error, _HOME_REFUSES)
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
        attempt.commit(step=CLEAN_UP, due=Due.IN_FLIGHT, at=now + ports.limits.grace, fields=fields)
        certificates.failed(
            attempt.certificate_id,
            run=attempt.record.run,
            step=attempt.step,
            failure_class=failure.failure_class,
            reason=str(error),
            next_attempt=failure.next_attempt,
            seconds=attempt.run_seconds,
        )
        attempt.record_event(conditions.FAILED, failed_message(failure.message), warning=True)
        return Fail(message=str(error))

    def _written(self, attempt: Attempt, outcome: Failed, now: float) -> Failure:
        """The failure, also written to the status. If the role or the namespace is gone, the run ends without
        the status."""
        home, error, costly = (
            self._ports.home,
            outcome.error,
            outcome.costly or attempt.step == "store_secret",
        )

        def failure(attempts: int, validity: backoff.Validity | None) -> Failure:
            delay = backoff.run_delay(error, attempts, self._ports.jitter(), costly=costly)
            at = backoff.next_attempt(delay, failed_at=now, validity=validity).at
            by_issuer = issuer_failures.is_by_issuer(error)
            return Failure(
                failure_class=error.failure_class, message=str(error), next_attempt=at, by_issuer=by_issuer
            )

        try:
            status = home.certificate_status(attempt.certificate_id)
            failed = failure(conditions.failures_with(status, attempt.run_id), _validity(status))
            status = conditions.failed(status, failed, spec=attempt.record.spec, run=attempt.run_id, now=now)
            home.write_certificate_status(attempt.certificate_id, status)
        except Permanent as refused:
            log.warning("status.refused", certificate=attempt.certificate_id, reason=str(refused))
            return failure(1, None)
        return failed

    def _finish(self, attempt: Attempt, outcome: Finished) -> StepResult:
        """End the run. Idle records stay small: facts are stored only if the next run can continue their
        order."""
        ports, facts, record = self._ports, attempt.facts, attempt.record
        failure = facts.failure
        fields = {
            "done": str(record.run),
            "result": "issued" if facts.stored else (failure.message if failure else "ended"),
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
            issuer_failures.note(ports, attempt.certificate_id, failure)
        attempt.commit(step="", due=Due.RENEWALS, at=outcome.next_check, fields=fields, drop=tuple(drop))
        if facts.stored is None and failure is None:
            certificates.run_dropped(
                attempt.certificate_id, run=record.run, reason=record.reason, seconds=attempt.run_seconds
            )
        if ports.records.again(attempt.certificate_id) or (facts.stored is None and failure is None):
            return self._go_on(attempt)
        if facts.stored is not None and facts.stored.recovered:
            ports.issuer_records.forget_failing(facts.issuer, [attempt.certificate_id])
        return Proceed()

    def _go_on(self, attempt: Attempt) -> StepResult:
        """Begin the next run, which was requested. If this fails, the tick begins it, because it is due."""
        try:
            return Drop(publish_run=self._reconciler.reconcile(attempt.certificate_id).publish_run)
        except CertmillError:
            return Drop()


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
