"""Says whether a stored certificate is at risk: the end of its life is near, and its renewal has not
succeeded. Pure.

level      from
at-risk    the beginning of the last third of the lifetime
critical   the beginning of the last tenth of the lifetime

Neither level begins while the renewal can still be in time: a renewal that is planned for later
(renewBefore, renewal.windows) is not late, and one that is due gets PATIENCE_SHARE of the lifetime."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from certmill.clock import instant
from certmill.model.reason import Reason
from certmill.model.status import CertificateStatus, Condition, expiry_message

AT_RISK = "AtRisk"
"""The type of the condition. A Certificate that is not at risk does not have it."""

AT_RISK_SHARE = 1 / 3
CRITICAL_SHARE = 1 / 10

PATIENCE_SHARE = 1 / 100
LEAST_PATIENCE_SECONDS = 900.0
MOST_PATIENCE_SHARE = 1 / 4
"""A renewal that is due has a hundredth of the lifetime to succeed (21 hours of 90 days), but at least 15
minutes, and at most a quarter of the life that was left when it was due. Otherwise every ordinary renewal at
2/3 of the lifetime would be reported."""


class RiskLevel(StrEnum):
    """How near a certificate is to its expiry without a renewal."""

    NONE = "none"
    AT_RISK = "at-risk"
    CRITICAL = "critical"


_REASONS = {RiskLevel.AT_RISK: Reason.AT_RISK, RiskLevel.CRITICAL: Reason.CRITICAL}


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """The level, and why in one line ("" for the level none). `changes_at`: when it changes if nothing is
    issued until then (seconds since the epoch); None: it does not change."""

    level: RiskLevel
    reason: str = ""
    changes_at: float | None = None

    def __str__(self) -> str:
        return "" if self.level is RiskLevel.NONE else f"{self.level}: {self.reason}"


def levels_from(not_before: float, not_after: float, renewal_time: float | None) -> tuple[float, float]:
    """When each of the levels at-risk and critical begins. `renewal_time`: None if no renewal is planned. All
    times are in seconds since the epoch."""
    lifetime = not_after - not_before
    late = not_before
    if renewal_time is not None:
        left = max(0.0, not_after - renewal_time)
        patience = max(lifetime * PATIENCE_SHARE, LEAST_PATIENCE_SECONDS)
        late = min(not_after, renewal_time + min(patience, left * MOST_PATIENCE_SHARE))
    return max(not_after - lifetime * AT_RISK_SHARE, late), max(not_after - lifetime * CRITICAL_SHARE, late)


def level_at(
    now: float, *, not_before: float | None, not_after: float | None, renewal_time: float | None
) -> RiskLevel:
    """The level of a pair with these times. If it is not known when the pair became valid, only its expiry
    counts."""
    if not_after is None:
        return RiskLevel.NONE
    if now >= not_after:
        return RiskLevel.CRITICAL
    if not_before is None:
        return RiskLevel.NONE
    at_risk, critical = levels_from(not_before, not_after, renewal_time)
    return RiskLevel.CRITICAL if now >= critical else RiskLevel.AT_RISK if now >= at_risk else RiskLevel.NONE


def risk_of(status: CertificateStatus, now: float) -> Risk:
    """The level of the stored pair whose times the status has; none if there is no pair: then Ready is
    False."""
    not_before, not_after, renewal_time = status.not_before, status.not_after, status.renewal_time
    level = level_at(now, not_before=not_before, not_after=not_after, renewal_time=renewal_time)
    if not_after is None:
        return Risk(level=level)
    begins = levels_from(not_before, not_after, renewal_time) if not_before is not None else ()
    reason = _reason(not_after, renewal_time, now) if level is not RiskLevel.NONE else ""
    changes_at = min((at for at in (*begins, not_after) if at > now), default=None)
    return Risk(level=level, reason=reason, changes_at=changes_at)


def with_risk(status: CertificateStatus, now: float) -> CertificateStatus:
    """The status with the condition AtRisk as of `now`, or without it if the pair is not at risk."""
    risk, found = risk_of(status, now), status.condition(AT_RISK)
    others = tuple(condition for condition in status.conditions if condition is not found)
    if risk.level is RiskLevel.NONE:
        return status if found is None else replace(status, conditions=others)
    since = found.last_transition if found is not None and found.status else now
    condition = Condition(
        type=AT_RISK,
        status=True,
        reason=_REASONS[risk.level].value,
        message=risk.reason,
        last_transition=since,
    )
    return replace(status, conditions=(*others, condition))


def level_in(status: CertificateStatus) -> RiskLevel:
    """The level that the condition in the status says."""
    found = status.condition(AT_RISK)
    if found is None or not found.status:
        return RiskLevel.NONE
    return RiskLevel.CRITICAL if found.reason == Reason.CRITICAL else RiskLevel.AT_RISK


def _reason(not_after: float, renewal_time: float | None, now: float) -> str:
    expires = (
        expiry_message(not_after) if now >= not_after else f"Certificate expires on {_moment(not_after)}"
    )
    if renewal_time is None:
        return f"{expires}; spec.renewal.policy is Disabled, so it is issued again only by `certmill renew`"
    return f"{expires}; its renewal was due on {_moment(renewal_time)} and has not succeeded"


def _moment(at: float) -> str:
    return f"{instant(at):%a, %d %b %Y %H:%M:%S} UTC"
