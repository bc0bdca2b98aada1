"""Schema of spec.renewal: when a certificate may be renewed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, Field

from certmill.model.identifiers import shown
from certmill.model.manifests.schema import Duration, Line, Schema

_ANY_TIME = datetime(2026, 1, 1, tzinfo=UTC)


def _cron(text: str) -> str:
    """A question mark means any day, as in cert-manager's parser."""
    fields = text.replace("?", "*")
    try:
        found = next(CronSim(fields, _ANY_TIME), None)
    except CronSimError as error:
        raise ValueError(
            f"must have five fields (minute, hour, day of month, month, day of week): {shown(str(error))}"
        ) from error
    if found is None:
        raise ValueError("must give a time at least once in 50 years")
    return fields


def _timezone(text: str) -> str:
    try:
        return ZoneInfo(text or "UTC").key
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(f"{shown(text)} is not a time zone of the IANA database") from error


class RenewalWindow(Schema):
    """One of spec.renewal.windows."""

    timezone: Annotated[Line, AfterValidator(_timezone)] | None = None
    window_duration: Duration
    cron: Annotated[Line, AfterValidator(_cron)]


class Renewal(Schema):
    """spec.renewal."""

    policy: Literal["RenewBefore", "Disabled"]
    windows: Annotated[list[RenewalWindow], Field(max_length=100)] | None = None
