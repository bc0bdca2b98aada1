"""Ends the step of a run that has failed: the reason goes to the status, and the clean-up is next."""

from __future__ import annotations

from dataclasses import replace

from certmill.certificates import conditions, statuses
from certmill.errors import (
    CertificateWrong,
    CertmillError,
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
from certmill.renewal.risk import with_risk
from certmill.runs import backoff
from certmill.runs.chain import CLEAN_UP
from certmill.runs.facts import Facts, Failure
from certmill.runs.outcomes import Fail, Failed, StepResult, Waiting
from certmill.runs.step_context import StepContext
from certmill.runs.transitions import commits, reports
from certmill.runs.transitions.waiting import validity_of, wait
from certmill.state.records import Due

_STORE = "store_secret"
_CSR_REFUSED = ("badCSR", "badPublicKey")
_HOME_REFUSES = (Forbidden, NotFound, InvalidManifest)
"""A missing role or namespace is not a fault of the certificate. The next attempt stores the certificate that
was issued and does not order a new one."""

log = get_logger(__name__)


def fail(context: StepContext, outcome: Failed) -> StepResult:
    """End the run without a certificate. The status shows the reason and the time of the next run. The
    wake-up for the clean-up is published at once. Raises LeaseLost, StateUnavailable."""
    now, error = context.ports.clock.now(), outcome.error
    # A worker that lost the lease must not report that another worker's run failed.
    context.confirm_lease()
    try:
        failure = _write_status(context, outcome, now)
    except Temporary as away:
        seconds = backoff.step_delay(away, context.record.failures + 1, context.ports.jitter())
        return wait(context, Waiting(reason=str(away), seconds=seconds, failed=True))
    fields = {
        "facts": replace(_for_next_run(context, outcome), failure=failure).to_json(),
        "reason": str(error),
        "due": f"{failure.next_attempt:.3f}",
        "wait_class": "",
    }
    at = now + context.ports.limits.grace
    commits.commit(context, step=CLEAN_UP, due=Due.IN_FLIGHT, at=at, fields=fields)
    certificates.failed(
        context.certificate_id,
        run=context.record.run,
        step=context.step,
        failure_class=failure.failure_class,
        reason=str(error),
        next_attempt=failure.next_attempt,
        seconds=context.run_seconds,
    )
    reports.record_event(context, Reason.FAILED.value, failed_message(failure.message), warning=True)
    return Fail(message=str(error))


def _for_next_run(context: StepContext, outcome: Failed) -> Facts:
    """The facts without the order and the CSR, if the next run could not get another result with them."""
    error, facts = outcome.error, outcome.facts
    not_stored = context.step == _STORE and not isinstance(error, _HOME_REFUSES)
    is_unusable = (
        isinstance(error, CertificateWrong | StepKeepsDying) or not_stored or error.acme_type in _CSR_REFUSED
    )
    return replace(facts, order="", csr="") if is_unusable else facts


def _write_status(context: StepContext, outcome: Failed, now: float) -> Failure:
    """The failure, also written to the status. If the home refuses the write, because the role or the
    namespace is gone, the run ends without it. Raises Temporary."""
    error, costly = outcome.error, outcome.costly or context.step == _STORE
    jitter = context.ports.jitter()

    def failure_after(status: CertificateStatus) -> Failure:
        attempts = conditions.failures_with(status, context.run_id)
        delay = backoff.run_delay(error, attempts, jitter, costly=costly)
        at = backoff.next_attempt(delay, failed_at=now, validity=validity_of(status)).at
        return _failure(error, at)

    def with_failure(status: CertificateStatus) -> CertificateStatus:
        failure, run = failure_after(status), context.run_id
        return with_risk(conditions.failed(status, failure, spec=context.record.spec, run=run, now=now), now)

    try:
        before = statuses.update(context.ports.home, context.certificate_id, with_failure)
        reports.report_risk(context, before, with_failure(before))
        return failure_after(before)
    except Permanent as refused:
        log.warning("status.refused", certificate=context.certificate_id, reason=str(refused))
        return _failure(error, now + backoff.run_delay(error, 1, jitter, costly=costly))


def _failure(error: CertmillError, next_attempt: float) -> Failure:
    return Failure(
        failure_class=error.failure_class,
        message=str(error),
        next_attempt=next_attempt,
        by_issuer=issuer_failures.is_by_issuer(error),
    )
