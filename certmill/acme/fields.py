"""Read single members of a CA's JSON: a value of the expected type, or an empty one. Text for messages is
made printable, short, and free of secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from certmill.model.instants import is_instant

Json = Mapping[str, object]

# CAs quote the response that they found. Key authorizations and tokens must not get into messages and logs.
_KEY_AUTHORIZATION: Final = re.compile(
    r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{22,128}\.[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"
)
_TOKEN_PATH: Final = re.compile(r"(/acme-challenge/)[A-Za-z0-9_-]+")


def text(body: Json, name: str) -> str:
    """A string member, or ""."""
    value = body.get(name)
    return value if isinstance(value, str) else ""


def texts(value: object) -> tuple[str, ...]:
    """The strings in an array."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def clean(text: str, characters: int) -> str:
    """One printable line of bounded length, without key authorizations and tokens."""
    line = " ".join(
        "".join(character if character.isprintable() else " " for character in text[: 8 * characters]).split()
    )
    line = _TOKEN_PATH.sub(r"\1…", _KEY_AUTHORIZATION.sub("(a key authorization)", line))
    return line if len(line) <= characters else f"{line[: characters - 1]}…"


def parse_time(value: object) -> float | None:
    """An RFC 3339 time as seconds since the epoch; None for any other value, and for a time outside the years
    1 to 9999 of UTC. A time without a zone is UTC."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
        seconds = (parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if is_instant(seconds) else None
