"""Decides from an observation: issue, keep the stored pair, or wait until a back-off ends; with the reason.
Pure."""

from __future__ import annotations

from dataclasses import dataclass

from certmill.model.certificate import RenewalPolicy
from certmill.model.reason import END_OF_LIFE, Reason
from certmill.model.status import issued_at
from certmill.renewal.observation import Observation, Violation
from certmill.renewal.plan import RenewalPlan, least_seconds_between
from certmill.renewal.policy import CLOCK_TOLERANCE_SECONDS, violated
from certmill.runs.backoff import NextAttempt, Validity, next_attempt

LONGEST_HOLD = 48 * 3600.0
"""No back-off is longer (runs.backoff). A later end was written while a clock was wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """Begin a run."""

    violation: Violation


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """The stored pair is the desired one until its renewal."""

    renewal: RenewalPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class BackingOff:
    """The stored pair is not the desired one, but no run begins before `until` (seconds since the epoch).
    `reason` says what happens then. `only_on_request`: a run begins only if somebody asks for it."""

    violation: Violation
    until: float
    reason: str = ""
    only_on_request: bool = False


Decision = Issue | Keep | BackingOff


def decide(observation: Observation, now: float) -> Decision:
    """Decide: issue, keep the stored pair, or wait until a back-off ends; with the reason."""
    violation = violated(observation, now)
    if violation is None:
        return Keep(renewal=observation.renewal)
    return _not_before(observation, violation, now) or Issue(violation=violation)


def as_requested(decision: Decision, *, asked: bool, ignore_back_off: bool) -> Decision:
    """The decision, changed by a request. `asked`: a person or a program asked for a new certificate.
    `ignore_back_off`: the caller does not wait for a back-off."""
    if isinstance(decision, BackingOff) and (asked or (ignore_back_off and not decision.only_on_request)):
        return Issue(violation=decision.violation)
    if isinstance(decision, Keep) and asked:
        message = "Certificate re-issuance manually triggered"
        return Issue(violation=Violation(reason=Reason.MANUALLY_TRIGGERED, message=message))
    return decision


def _not_before(observation: Observation, violation: Violation, now: float) -> BackingOff | None:
    """Why the run must wait, and until when; None if it may begin now."""
    leaf, issued = observation.leaf, issued_at(observation.status)
    if (
        violation.reason is Reason.EXPIRED
        and observation.certificate.renewal_policy is RenewalPolicy.DISABLED
    ):
        return BackingOff(
            violation=violation,
            until=now + LONGEST_HOLD,
            reason="the expiry is checked again",
            only_on_request=True,
        )
    if (
        violation.reason is Reason.NOT_YET_VALID and leaf is not None
    ):  # a new one would cost an order, and may not be valid yet either
        return BackingOff(violation=violation, until=leaf.not_before, reason="the certificate becomes valid")
    if violation.reason in END_OF_LIFE and leaf is not None and issued is not None:
        until = issued + least_seconds_between(leaf)
        if issued <= now < until:
            return BackingOff(
                violation=violation, until=until, reason="enough time has passed since it was issued"
            )
    back_off = _back_off(observation, now)
    if back_off is not None and now < back_off.at:
        return BackingOff(violation=violation, until=back_off.at, reason=back_off.reason)
    return None


def _back_off(observation: Observation, now: float) -> NextAttempt | None:
    """When the next attempt may begin after the failure in the status; None if that failure does not
    count."""
    status, leaf = observation.status, observation.leaf
    # If another program wrote the failure into the status, it is not known which spec failed. Then the back-
    # off applies to the current spec.
    if (
        status.next_attempt is None
        or status.failed_spec not in ("", *observation.specs)
        or status.next_attempt > now + LONGEST_HOLD
    ):
        return None
    failed_at = status.last_failure_time if status.last_failure_time is not None else now
    if failed_at > now + CLOCK_TOLERANCE_SECONDS:  # written while a clock was ahead
        return None
    validity = Validity(not_before=leaf.not_before, not_after=leaf.not_after) if leaf is not None else None
    return next_attempt(status.next_attempt - failed_at, failed_at=failed_at, validity=validity)
