"""How tables, ages and instants look: as kubectl prints them (three spaces, upper-case headers; `duration.HumanDuration`). Pure."""

from __future__ import annotations

from collections.abc import Sequence

from certmill.cli.exits import shown
from certmill.clock import instant

UNKNOWN = "<unknown>"
_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86_400, 365 * 86_400


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table; the last column is not padded."""
    cells = [list(headers), *([shown(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    return ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def fields(rows: Sequence[tuple[str, str]], indent: str = "") -> list[str]:
    """`Name:   value` lines, aligned; rows without a value are left out."""
    kept = [(name, value) for name, value in rows if value]
    width = max((len(name) for name, _ in kept), default=0) + 1
    return [f"{indent}{name + ':':<{width}}  {shown(value)}" for name, value in kept]


def age(since: float | None, now: float) -> str:
    """The time since then, as kubectl has it: 45s, 5m, 3d4h, 2y3d."""
    return UNKNOWN if since is None else duration(now - since)


def duration(seconds: float) -> str:
    """kubectl's HumanDuration (apimachinery, pkg/util/duration): about two figures of precision."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    whole = max(0, whole)
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    for below, unit, sign, part, part_sign in _PRECISE:
        if whole < below:
            return _two(whole // unit, sign, whole % unit // part, part_sign) if part else f"{whole // unit}{sign}"
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
"""Below so many seconds: in this unit, and (unless 0) what is left in that one."""


def _two(many: int, sign: str, rest: int, rest_sign: str) -> str:
    return f"{many}{sign}{rest}{rest_sign}" if rest else f"{many}{sign}"


def moment(seconds: float | None) -> str:
    """`2027-01-23 04:11:09 UTC`, or "" for None."""
    return "" if seconds is None else f"{instant(seconds):%Y-%m-%d %H:%M:%S} UTC"


def timestamp(seconds: float) -> str:
    """RFC 3339 in whole seconds, as Kubernetes writes it."""
    return f"{instant(seconds):%Y-%m-%dT%H:%M:%SZ}"


def away(then: float, now: float) -> str:
    """`in 59d`, `3s ago`, or `now`."""
    seconds = round(then - now)
    return "now" if seconds == 0 else f"in {duration(seconds)}" if seconds > 0 else f"{duration(-seconds)} ago"
