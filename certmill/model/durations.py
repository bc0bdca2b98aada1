"""Reads and writes durations in the form that Kubernetes uses: Go's time.ParseDuration ("2160h", "1h30m"), to
and from timedelta (whole microseconds)."""

from __future__ import annotations

import re
from datetime import timedelta
from fractions import Fraction

_MAX_CHARACTERS = 64
_MAX_NANOSECONDS = 2**63 - 1
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_WHOLE = re.compile(rf"[-+]?(?:0|(?:{_PART.pattern})+)")


def parse_duration(text: str) -> timedelta:
    """Parse a Go duration. Raises ValueError; its message describes the form."""
    if len(text) > _MAX_CHARACTERS or not _WHOLE.fullmatch(text):
        raise ValueError('must be a duration in hours, minutes and seconds, such as "2160h" or "1h30m"')
    nanoseconds = sum(Fraction(number) * _NANOSECONDS[unit] for number, unit in _PART.findall(text))
    if nanoseconds > _MAX_NANOSECONDS:
        raise ValueError("is longer than a duration can be (292 years)")
    length = timedelta(microseconds=int(nanoseconds // 1000))
    return -length if text.startswith("-") else length


def format_duration(length: timedelta) -> str:
    """Write a Go duration without the units that are zero: "2160h", "1h30m", "1.5s"."""
    sign = "-" if length < timedelta() else ""
    seconds, microseconds = divmod(abs(length) // timedelta(microseconds=1), 10**6)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{microseconds:06}".rstrip("0") if microseconds else ""
    parts = (
        f"{hours}h" if hours else "",
        f"{minutes}m" if minutes else "",
        f"{seconds}{fraction}s" if seconds or fraction else "",
    )
    return sign + "".join(parts) if any(parts) else "0s"


def go_duration(length: timedelta) -> str:
    """Write a duration as Go's own String method does, so that the objects equal those of other controllers:
    "2160h0m0s", "1.5s", "250ms"."""
    sign = "-" if length < timedelta() else ""
    microseconds = abs(length) // timedelta(microseconds=1)
    if microseconds == 0:
        return "0s"
    if microseconds < 10**3:
        return f"{sign}{microseconds}µs"
    if microseconds < 10**6:
        return f"{sign}{_decimal(microseconds, 10**3)}ms"
    minutes, rest = divmod(microseconds, 60 * 10**6)
    hours, minutes = divmod(minutes, 60)
    parts = (
        f"{hours}h" if hours else "",
        f"{minutes}m" if hours or minutes else "",
        f"{_decimal(rest, 10**6)}s",
    )
    return sign + "".join(parts)


def _decimal(number: int, unit: int) -> str:
    whole, fraction = divmod(number, unit)
    digits = str(unit + fraction)[1:].rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)
