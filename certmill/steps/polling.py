"""Polls a server inside a step, and says how the step ends when the CA has not decided yet or has refused.

A step polls for less than a second, because most answers come at once. Then it ends as waiting, and the
thread is free."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from certmill.errors import CAUnavailable, CertmillError, RateLimited
from certmill.runs.backoff import poll_delay
from certmill.runs.facts import Facts
from certmill.runs.outcomes import Failed, Outcome, Restart, Waiting
from certmill.runs.step_context import StepContext

PAUSES: Final = (0.03, 0.06, 0.12, 0.24, 0.35)
"""Seconds between the polls, if the caller gives no others."""

LONGEST_RETRY_AFTER_SECONDS: Final = 60.0
"""The longest time between two polls that the CA may ask for (RFC 8555 §7.4, §7.5.1: Retry-After)."""

Answer = TypeVar("Answer")


def poll(
    context: StepContext,
    answer: Answer,
    *,
    ask_again: Callable[[Answer], Answer],
    is_open: Callable[[Answer], bool],
    pauses: Sequence[float] = PAUSES,
) -> Answer:
    """Ask again, with a pause before each request, until `is_open(answer)` is False or the pauses are used
    up. Returns the last answer. Raises LeaseLost and the errors of `ask_again`."""
    for pause in pauses:
        if not is_open(answer):
            break
        context.ports.clock.pause(pause)
        context.renew_lease()
        answer = ask_again(answer)
    return answer


def timed_out(context: StepContext, facts: Facts, *, since: float | None, what: str) -> Failed | None:
    """Ends the run if the CA has not decided within the validation timeout. `since`: when the CA was asked to
    (seconds since the epoch); `what`: "validated NAME".

    A slow CA does not mean that the name is wrong. The next run continues with this order, because a second
    certificate would count against the rate limits."""
    elapsed = context.since(since)
    if elapsed < context.ports.limits.validation_timeout:
        return None
    error = CAUnavailable(f"the CA has not {what} within {elapsed / 60:.0f} min")
    return Failed(error=error, facts=facts)


def wait(
    context: StepContext, facts: Facts, *, since: float | None, reason: str, retry_after: float | None
) -> Waiting:
    """Poll again in the next try of the step: when the CA says (`retry_after`, seconds), or later and later
    after `since`."""
    seconds = (
        min(retry_after, LONGEST_RETRY_AFTER_SECONDS)
        if retry_after is not None
        else poll_delay(context.since(since))
    )
    return Waiting(reason=reason, seconds=seconds, facts=facts)


def refused(error: CertmillError, facts: Facts) -> Outcome:
    """The outcome when the CA has made the order or an authorization invalid. A rate limit does not mean that
    the name is wrong: a new order is created when the limit has passed."""
    if isinstance(error, RateLimited):
        return Restart(step="create_order", reason=str(error), facts=facts.without_order(), after=error)
    return Failed(error=error, facts=facts)
