"""Computes when a Certificate without a run is checked again. All other code that schedules a check calls
this module. Pure.

after                                   the next check is
a reconciliation: the pair is right     at the renewal of the pair, or at its expiry if it is never renewed
a reconciliation: a back-off lasts      when it ends, or when the pair expires if that comes first
a run that stored a pair                at the renewal of the pair, or when the pair becomes valid
a run that failed                       when the next attempt may begin
a run that ended without either         now

All instants are in seconds since the epoch."""

from __future__ import annotations

from certmill.crypto import chain
from certmill.renewal.decision import BackingOff, Keep
from certmill.renewal.policy import becomes_valid_at
from certmill.runs.facts import Failure, Stored


def after_keep(decision: Keep) -> float:
    """The stored pair is the desired one."""
    return decision.renewal.check_at


def after_back_off(decision: BackingOff, leaf: chain.Leaf | None, now: float) -> float:
    """No run begins before the decision's `until`. At its expiry a pair becomes not Ready."""
    expires = leaf.not_after if leaf is not None else now
    return expires if now < expires < decision.until else decision.until


def after_run(
    stored: Stored | None, failure: Failure | None, *, next_attempt_in_status: float | None, now: float
) -> float:
    """A run has ended. `next_attempt_in_status`: the status may have changed since the run failed, and the
    earlier attempt counts; None if the status is not known."""
    if failure is not None:
        known = next_attempt_in_status
        return min(failure.next_attempt, known if known is not None else failure.next_attempt)
    if stored is None:
        return now
    return becomes_valid_at(stored.not_before, now) or stored.renew_at
