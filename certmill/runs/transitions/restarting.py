"""Ends a step after which an earlier step, or the clean-up, must run."""

from __future__ import annotations

from dataclasses import replace

from certmill.errors import CAUnavailable, Temporary
from certmill.runs import backoff
from certmill.runs.chain import CLEAN_UP
from certmill.runs.facts import Facts
from certmill.runs.outcomes import Drop, Failed, Restart, StepResult
from certmill.runs.step_context import StepContext
from certmill.runs.transitions import commits, reports
from certmill.runs.transitions.waiting import capped
from certmill.state.records import Due

MAX_RESTARTS = 3


def restart(context: StepContext, outcome: Restart) -> StepResult:
    """Go back to the outcome's step. Raises LeaseLost, StateUnavailable."""
    if outcome.after is not None:
        return _restart_later(context, outcome, outcome.after)
    facts = replace(outcome.facts, restarts=outcome.facts.restarts + 1)
    now = context.ports.clock.now()
    if outcome.step == CLEAN_UP or facts.restarts == 1:
        _commit(context, outcome, facts, Due.IN_FLIGHT, at=now + context.ports.limits.grace, shown=now)
        return Drop(publish_run=True)
    at = now + backoff.STEP.delay(facts.restarts, context.ports.jitter())
    _commit(context, outcome, facts, Due.WAITING, at=at, shown=at)
    return Drop()


def limited(outcome: Restart) -> Restart | Failed:
    """The run fails after a number of restarts: a CA that loses each order must not get a new order each
    second."""
    if outcome.after is not None or outcome.step == CLEAN_UP or outcome.facts.restarts < MAX_RESTARTS:
        return outcome
    error = CAUnavailable(f"begun again {MAX_RESTARTS} times: {outcome.reason}")
    return Failed(error=error, facts=replace(outcome.facts, order="", csr=""), costly=True)


def _restart_later(context: StepContext, outcome: Restart, after: Temporary) -> StepResult:
    """Go back at the time that the CA gives. A rate limit does not fail the run."""
    seconds = capped(context, backoff.step_delay(after, 1, context.ports.jitter()))
    at, reason = context.ports.clock.now() + seconds, outcome.reason
    _commit(context, outcome, outcome.facts, Due.WAITING, at=at, shown=at, failure_class=after.failure_class)
    reports.record_event(context, "Waiting", reason)
    if seconds >= reports.LONG_WAIT_SECONDS:
        reports.show_wait(context, step=outcome.step, reason=reason, until=at)
    return Drop()


def _commit(
    context: StepContext,
    outcome: Restart,
    facts: Facts,
    due: Due,
    *,
    at: float,
    shown: float,
    failure_class: str = "",
) -> None:
    """`at`: when the tick publishes the step; `shown`: when the step is to run, for people. Both in seconds
    since the epoch."""
    fields = {
        "facts": facts.to_json(),
        "reason": outcome.reason,
        "due": f"{shown:.3f}",
        "wait_class": failure_class,
    }
    commits.commit(context, step=outcome.step, due=due, at=at, fields=fields, drop=commits.UNREAD_FIELDS)
