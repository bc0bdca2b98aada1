"""Computes when a Certificate without a run is checked again. All other code that schedules a check calls
this module. Pure.

after                                   the next check is
a reconciliation: the pair is right     at the renewal of the pair, or at its expiry if it is never renewed
a reconciliation: a back-off lasts      when it ends, or when the pair expires if that comes first
a run that stored a pair                at the renewal of the pair, or when the pair becomes valid
a run that failed                       when the next attempt may begin
a run that ended without either         now

It is earlier if the level of risk (`risk`) of the pair changes before: the status and the events then show
the new level at that instant.

All instants are in seconds since the epoch."""

from __future__ import annotations

from certmill.crypto import chain
from certmill.model.status import CertificateStatus
from certmill.renewal.decision import BackingOff
from certmill.renewal.plan import RenewalPlan
from certmill.renewal.policy import becomes_valid_at
from certmill.renewal.risk import Risk, risk_of
from certmill.runs.facts import Failure, Stored


def of_pair(renewal: RenewalPlan, risk: Risk) -> float:
    """The stored pair is the desired one, and this is the plan of its renewal."""
    return _earlier(renewal.check_at, risk.changes_at)


def after_back_off(decision: BackingOff, leaf: chain.Leaf | None, risk: Risk, now: float) -> float:
    """No run begins before the decision's `until`. At its expiry a pair becomes not Ready."""
    expires = leaf.not_after if leaf is not None else now
    until = expires if now < expires < decision.until else decision.until
    return _earlier(until, risk.changes_at)


def _earlier(at: float, other: float | None) -> float:
    return at if other is None else min(at, other)


def after_run(
    stored: Stored | None, failure: Failure | None, *, status: CertificateStatus | None, now: float
) -> float:
    """A run has ended. `status`: it may have changed since the run failed, and the earlier attempt counts;
    None if it is not known."""
    if failure is not None:
        if status is None:
            return failure.next_attempt
        known = status.next_attempt if status.next_attempt is not None else now
        return _earlier(min(failure.next_attempt, known), risk_of(status, now).changes_at)
    if stored is None:
        return now
    return becomes_valid_at(stored.not_before, now) or stored.renew_at
