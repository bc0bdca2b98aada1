"""Formats tables and lists of fields as kubectl prints them: three spaces between columns, upper-case
headers. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from certmill.cli.exit_codes import shown
from certmill.model.status import Condition
from certmill.views.times import duration


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table. The last column is not padded."""
    cells = [list(headers), *([shown(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    return [
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def fields(rows: Sequence[tuple[str, str]], indent: str = "") -> list[str]:
    """Aligned lines of the form `Name:   value`. Rows with an empty value are left out."""
    kept = [(name, value) for name, value in rows if value]
    width = max((len(name) for name, _ in kept), default=0) + 1
    return [f"{indent}{name + ':':<{width}}  {shown(value)}" for name, value in kept]


def condition_lines(conditions: Sequence[Condition], now: float) -> list[str]:
    """The conditions of an object as a table."""
    if not conditions:
        return ["Conditions:  none yet"]
    rows = [
        (c.type, str(c.status), c.reason, duration(now - c.last_transition), c.message) for c in conditions
    ]
    return [
        "Conditions:",
        *(f"  {line}" for line in table(("TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"), rows)),
    ]
