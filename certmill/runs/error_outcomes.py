"""The outcome of a step that raised an error: the only place where errors become outcomes."""

from __future__ import annotations

from certmill.errors import Busy, CertmillError, Conflict, HomeUnavailable, OrderGone, Temporary
from certmill.renewal.fallback import trouble_of
from certmill.runs import backoff
from certmill.runs.outcomes import Failed, Outcome, Restart, Waiting
from certmill.runs.step_context import StepContext


def outcome_of(error: CertmillError, context: StepContext) -> Outcome:
    """What the error means for the run. A temporary error means a wait, an order that is gone means a new
    order, and any other error means that the run failed."""
    if isinstance(error, OrderGone):
        reason = f"{error}; a new order is created"
        return Restart(step="create_order", reason=reason, facts=context.facts.without_order())
    if isinstance(error, Busy):
        seconds = backoff.busy_delay(error, context.elapsed(), context.ports.jitter())
        return Waiting(
            reason=str(error),
            seconds=seconds,
            counted=False,
            trouble=trouble_of(error),
            facts=context.facts,
        )
    if isinstance(error, Temporary):
        return _retry(error, context)
    return Failed(error=error, facts=context.facts)


def _retry(error: Temporary, context: StepContext) -> Waiting:
    # Different errors of the home in a row do not increase the delay: each of them may be over at the next
    # try. Only the same error again does.
    is_new = isinstance(error, HomeUnavailable | Conflict) and str(error) != context.record.reason
    tries = 1 if is_new else context.record.failures + 1
    return Waiting(
        reason=str(error),
        seconds=backoff.step_delay(error, tries, context.ports.jitter()),
        failed=True,
        failure_class=error.failure_class,
        trouble=trouble_of(error),
        facts=context.facts,
    )
