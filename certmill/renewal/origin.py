"""Derives what began a run (its trigger) from what is wrong with the stored pair."""

from __future__ import annotations

from certmill.model.reason import END_OF_LIFE, Reason
from certmill.model.trigger import Origin, Trigger
from certmill.renewal.observation import Violation


def origin_of(asked: Origin, violation: Violation, *, forced: bool) -> Origin:
    """The origin of a run for this violation. If the caller gives no trigger, the violation determines it."""
    if asked.trigger is not Trigger.UNKNOWN:
        return asked
    if forced or violation.reason is Reason.MANUALLY_TRIGGERED:
        trigger = Trigger.MANUAL
    else:
        trigger = Trigger.RENEWAL if violation.reason in END_OF_LIFE else Trigger.MANIFEST
    return Origin(root_id=asked.root_id, trigger=trigger)
