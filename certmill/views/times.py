"""Formats ages and instants as kubectl prints them (apimachinery, pkg/util/duration.HumanDuration). Pure."""

from __future__ import annotations

from certmill.clock import instant

UNKNOWN = "<unknown>"
_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86_400, 365 * 86_400


def age(since: float | None, now: float) -> str:
    """The time since `since`, as kubectl prints it: 45s, 5m, 3d4h, 2y3d. `<unknown>` for None."""
    return UNKNOWN if since is None else duration(now - since)


def duration(seconds: float) -> str:
    """A duration in seconds as kubectl prints it (apimachinery, pkg/util/duration.HumanDuration): about two
    digits of precision."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    whole = max(0, whole)
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    for below, unit, sign, part, part_sign in _PRECISE:
        if whole < below:
            return (
                _two(whole // unit, sign, whole % unit // part, part_sign)
                if part
                else f"{whole // unit}{sign}"
            )
    return f"{whole // _YEAR}y"


_PRECISE = (
    (10 * _MINUTE, _MINUTE, "m", 1, "s"),
    (3 * _HOUR, _MINUTE, "m", 0, ""),
    (8 * _HOUR, _HOUR, "h", _MINUTE, "m"),
    (48 * _HOUR, _HOUR, "h", 0, ""),
    (8 * _DAY, _DAY, "d", _HOUR, "h"),
    (2 * _YEAR, _DAY, "d", 0, ""),
    (8 * _YEAR, _YEAR, "y", _DAY, "d"),
)
"""For each row: below this number of seconds, print the duration in this unit (seconds, suffix), then the
rest in this smaller unit (seconds, suffix; 0: no rest)."""


def _two(many: int, sign: str, rest: int, rest_sign: str) -> str:
    return f"{many}{sign}{rest}{rest_sign}" if rest else f"{many}{sign}"


def moment(seconds: float | None) -> str:
    """For example `2027-01-23 04:11:09 UTC`; "" for None."""
    return "" if seconds is None else f"{instant(seconds):%Y-%m-%d %H:%M:%S} UTC"


def timestamp(seconds: float) -> str:
    """The instant in RFC 3339 format in whole seconds, as Kubernetes writes it."""
    return f"{instant(seconds):%Y-%m-%dT%H:%M:%SZ}"


def away(then: float, now: float) -> str:
    """For example `in 59d`, `3s ago`, or `now`."""
    seconds = round(then - now)
    return (
        "now" if seconds == 0 else f"in {duration(seconds)}" if seconds > 0 else f"{duration(-seconds)} ago"
    )
