"""Computes when a stored certificate must be renewed because of its age, and by which rule. All other code
calls `plan`. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from certmill.crypto import chain
from certmill.model.ari import AriStatus
from certmill.model.certificate import Certificate, RenewalPolicy
from certmill.renewal import ari as renewal_information
from certmill.renewal.windows import first_open

LEAST_SHARE = 0.1
"""No certificate is renewed in the first tenth of its lifetime, whatever renewBefore says: otherwise it would
be renewed again and again."""

LEAST_SECONDS_BETWEEN = 3600.0
"""Seconds. No certificate is renewed because of its age within an hour of its issue, or within a tenth of its
lifetime if that is shorter. If a renewal is due so early, a clock is wrong, and each check would create an
order."""


class RenewalRule(StrEnum):
    """The rule that decides the renewal time."""

    ARI = "in the window that the CA suggests"
    ARI_PAST = "the window that the CA suggests is in the past"
    RENEW_BEFORE = "renewBefore"
    RENEW_BEFORE_PERCENTAGE = "renewBeforePercentage"
    TWO_THIRDS = "two thirds of the lifetime"
    FIRST_TENTH = "not in the first tenth of the lifetime"
    WINDOW = "the next of renewal.windows"
    NO_WINDOW = "none of renewal.windows opens before the expiry"
    DISABLED = "renewal.policy is Disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalPlan:
    """When a certificate must be renewed because of its age (`instant`; None: never), and the rule that
    decides it (`reason`). `check_at`: when the Certificate is reconciled next: at that instant, or at the
    expiry. Times are in seconds since the epoch."""

    instant: float | None
    check_at: float
    reason: RenewalRule


def plan(
    certificate: Certificate, leaf: chain.Leaf, *, ari: AriStatus | None = None, jitter_seconds: float
) -> RenewalPlan:
    """The renewal time: in the window that the CA suggests (`ari`: what it has answered for this leaf); else
    by renewBefore, else by renewBeforePercentage, else at 2/3 of the real lifetime, as in cert-manager, and
    earlier by the jitter. Then it is moved into spec.renewal.windows.

    If no window opens before the expiry, the windows do not count: a certificate does not expire because of
    them. Nor do they count when the CA wants a renewal at once. The result depends only on the arguments, so
    it is the same in every process and after every restart."""
    if certificate.renewal_policy is RenewalPolicy.DISABLED:
        return RenewalPlan(instant=None, check_at=leaf.not_after, reason=RenewalRule.DISABLED)
    suggested = renewal_information.instant(ari, leaf) if ari is not None else None
    if ari is not None and suggested is not None:
        desired, reason = suggested, RenewalRule.ARI_PAST if ari.at_once else RenewalRule.ARI
        window = ari.window
    else:
        desired, reason = _desired(certificate, leaf)
        desired -= _jitter(leaf, jitter_seconds)
        window = None
    if certificate.renewal_windows and reason is not RenewalRule.ARI_PAST:
        desired, reason = _in_windows(certificate, leaf, desired, reason, suggested=window)
    return RenewalPlan(instant=desired, check_at=desired, reason=reason)


def _in_windows(
    certificate: Certificate,
    leaf: chain.Leaf,
    desired: float,
    reason: RenewalRule,
    *,
    suggested: tuple[float, float] | None,
) -> tuple[float, RenewalRule]:
    """The time moved into spec.renewal.windows, and into the CA's suggested window too if both are open at
    some time."""
    opens = first_open(certificate.renewal_windows, desired, not_after=leaf.not_after)
    if suggested is not None and (opens is None or opens > suggested[1]):
        both = first_open(certificate.renewal_windows, suggested[0], not_after=suggested[1])
        opens = both if both is not None else opens
    if opens is None:
        return desired, RenewalRule.NO_WINDOW
    return opens, reason if opens == desired else RenewalRule.WINDOW


def _desired(certificate: Certificate, leaf: chain.Leaf) -> tuple[float, RenewalRule]:
    """The renewal time without jitter and windows, and its rule."""
    lifetime = leaf.not_after - leaf.not_before
    before, reason = lifetime / 3, RenewalRule.TWO_THIRDS
    if certificate.renew_before is not None and certificate.renew_before.total_seconds() < lifetime:
        before, reason = certificate.renew_before.total_seconds(), RenewalRule.RENEW_BEFORE
    elif certificate.renew_before_percentage is not None:
        before = lifetime * certificate.renew_before_percentage / 100
        reason = RenewalRule.RENEW_BEFORE_PERCENTAGE
    instant, earliest = leaf.not_after - before, leaf.not_before + lifetime * LEAST_SHARE
    return (instant, reason) if instant >= earliest else (earliest, RenewalRule.FIRST_TENTH)


def _jitter(leaf: chain.Leaf, jitter_seconds: float) -> float:
    """The part of the jitter (seconds) that the serial number selects: many certificates that were issued
    together are not renewed in the same second."""
    spread = min(jitter_seconds, (leaf.not_after - leaf.not_before) / 100)
    share = int.from_bytes(hashlib.sha256(leaf.serial.encode()).digest()[:4], "big") / 2**32
    return spread * share


def least_seconds_between(leaf: chain.Leaf) -> float:
    """Seconds after its issue in which a certificate is not renewed because of its age."""
    return min(LEAST_SECONDS_BETWEEN, (leaf.not_after - leaf.not_before) * LEAST_SHARE)
