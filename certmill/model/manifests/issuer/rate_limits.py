"""Reads the annotation certmill.io/rate-limits: the rate limits that a CA has agreed with this installation.

    certmill.io/rate-limits: new-orders-per-account=1500/3h, new-certificates-per-registered-domain=500/168h

`NAME=none` removes one limit, `none` removes all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from certmill.errors import InvalidManifest
from certmill.model.durations import parse_duration
from certmill.model.identifiers import field_path, shown
from certmill.model.rate_limit import LimitName, RateLimit

ANNOTATION: Final = "certmill.io/rate-limits"
_NONE: Final = "none"
_MAX_CHARACTERS: Final = 1000
_MAX_COUNT: Final = 1_000_000_000
_MAX_SECONDS: Final = 4 * 366 * 86_400
"""Redis keeps an empty bucket so long."""
_PATH: Final = field_path(("metadata", "annotations", ANNOTATION))


def rate_limits_of(annotations: Mapping[str, str]) -> dict[LimitName, RateLimit | None]:
    """The limits that the annotation names; None: the CA does not have this limit. Raises InvalidManifest."""
    text = annotations.get(ANNOTATION, "")
    if len(text) > _MAX_CHARACTERS:
        raise InvalidManifest(f"is longer than {_MAX_CHARACTERS} characters", path=_PATH)
    if text.strip() == _NONE:
        return dict.fromkeys(LimitName)
    found: dict[LimitName, RateLimit | None] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, limit = _entry(part)
        if name in found:
            raise InvalidManifest(f"has {name} twice", path=_PATH)
        found[name] = limit
    return found


def _entry(part: str) -> tuple[LimitName, RateLimit | None]:
    name, is_entry, value = (side.strip() for side in part.partition("="))
    if not is_entry:
        raise InvalidManifest(f"has {shown(part)}, which is not NAME=COUNT/DURATION", path=_PATH)
    try:
        limit_name = LimitName(name)
    except ValueError:
        raise InvalidManifest(
            f"has {shown(name)}, which is not a rate limit; the names are {', '.join(LimitName)}", path=_PATH
        ) from None
    return limit_name, None if value == _NONE else _limit(name, value)


def _limit(name: str, value: str) -> RateLimit:
    count, _, duration = (side.strip() for side in value.partition("/"))
    try:
        seconds = parse_duration(duration).total_seconds()
    except ValueError:
        seconds = 0.0
    is_count = count.isascii() and count.isdigit() and 0 < int(count[:12]) <= _MAX_COUNT
    if not is_count or not 1 <= seconds <= _MAX_SECONDS:
        raise InvalidManifest(
            f"has {shown(value)} for {name}: it must be COUNT/DURATION, such as 300/3h, or {_NONE}",
            path=_PATH,
        )
    return RateLimit(count=int(count), seconds=seconds)
