"""Ends a step with its outcome: an outcome that advances the run here, each other kind in its own module."""

from __future__ import annotations

from collections.abc import Callable

from certmill.certificates.reconcile import Reconciler
from certmill.observe import certificates
from certmill.runs.chain import next_step
from certmill.runs.outcomes import (
    Advanced,
    Failed,
    Finished,
    LeftToNewer,
    Outcome,
    Proceed,
    Restart,
    StepResult,
    Waiting,
)
from certmill.runs.step_context import StepContext
from certmill.runs.transitions import commits
from certmill.runs.transitions.failing import fail
from certmill.runs.transitions.falling_back import UseFallback, reconsidered, use_fallback
from certmill.runs.transitions.finishing import finish
from certmill.runs.transitions.restarting import limited, restart
from certmill.runs.transitions.waiting import leave_to_newer, wait
from certmill.state.records import Due


def end(
    context: StepContext,
    outcome: Outcome,
    *,
    reconciler: Reconciler,
    next_task: Callable[[], str],
) -> StepResult:
    """Commit, then write status, events and logs. Returns what the task is to show.

    `next_task` returns the id of the task with which this worker starts the next step at once. "" means that
    the next step is published instead. Raises LeaseLost, StateUnavailable."""
    considered = reconsidered(context, limited(outcome) if isinstance(outcome, Restart) else outcome)
    if isinstance(considered, UseFallback):
        return use_fallback(context, considered)
    return _end(context, considered, reconciler, next_task)


def _end(
    context: StepContext, outcome: Outcome, reconciler: Reconciler, next_task: Callable[[], str]
) -> StepResult:
    match outcome:
        case Advanced():
            return _advance(context, outcome, next_task)
        case Waiting():
            return wait(context, outcome)
        case LeftToNewer():
            return leave_to_newer(context, outcome)
        case Restart():
            return restart(context, outcome)
        case Failed():
            return fail(context, outcome)
        case Finished():
            return finish(context, outcome, reconciler)


def _advance(context: StepContext, outcome: Advanced, next_task: Callable[[], str]) -> StepResult:
    step, fields, drop = next_step(context.step), {"facts": outcome.facts.to_json()}, commits.WAIT_FIELDS
    claimed = None
    if task_id := next_task():
        claimed = commits.advance(context, step=step, task_id=task_id, fields=fields, drop=drop)
    else:
        at = context.ports.clock.now() + context.ports.limits.grace
        commits.commit(context, step=step, due=Due.IN_FLIGHT, at=at, fields=fields, drop=drop)
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
