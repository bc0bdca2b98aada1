"""Moves a renewal time into the windows of spec.renewal, which say when a renewal may begin. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from certmill.clock import instant
from certmill.model.certificate import RenewalWindow


def first_open(windows: Iterable[RenewalWindow], desired: float, *, not_after: float) -> float | None:
    """The first time from `desired` on and before `not_after` (seconds since the epoch) at which one of the
    windows is open; None if there is none.

    As in cert-manager, a window is open from each time that its cron expression gives, for its duration, the
    end excluded."""
    times = [time for window in windows if (time := _open_from(window, desired)) is not None]
    return min((time for time in times if time < not_after), default=None)


def _open_from(window: RenewalWindow, desired: float) -> float | None:
    """The first time from `desired` on at which this window is open; None if its expression gives no further
    time."""
    local = instant(desired).astimezone(ZoneInfo(window.timezone))
    opened = _last(window.cron, local)
    if opened is not None and desired < opened.timestamp() + window.duration.total_seconds():
        return desired
    opens = next(CronSim(window.cron, local), None)
    return opens.timestamp() if opens is not None else None


def _last(cron: str, local: datetime) -> datetime | None:
    """The last time of the expression that is not after `local`. CronSim gives times before its argument, in
    whole minutes."""
    return next(
        CronSim(cron, local.replace(second=0, microsecond=0) + timedelta(minutes=1), reverse=True), None
    )
