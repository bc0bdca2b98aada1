"""The seconds since the epoch that a date and time can have."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_FIRST: Final = datetime.min.replace(tzinfo=UTC).timestamp()
_END: Final = datetime.max.replace(tzinfo=UTC, microsecond=0).timestamp() + 1.0


def is_instant(seconds: float) -> bool:
    """Whether `seconds` since the epoch are in the years 1 to 9999; a datetime can be nothing else."""
    return _FIRST <= seconds < _END
