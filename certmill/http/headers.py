"""Read two response headers: Retry-After (RFC 9110 §10.2.3) and Link (RFC 8288)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urljoin

MAX_RETRY_AFTER_SECONDS: Final = 7 * 86_400.0
"""Let's Encrypt's longest rate limit lasts a week, so a longer value is treated as an error."""
_MAX_LINKS: Final = 32
_LINK: Final = re.compile(
    r'<([^<>]{1,2048})>((?:\s*;\s*[A-Za-z0-9!#$&+.^_`|~*-]+\s*=\s*(?:"[^"]*"|[^\s;,"]*))*)'
)
_RELATION: Final = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]*))', re.IGNORECASE)
# Boulder also writes the time in the problem's text: "…, retry after 2026-11-24 03:00:00 UTC: see …".
_IN_TEXT: Final = re.compile(r"retry after (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC")


def retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """Seconds from now, 0 to a week; None if the header is missing or invalid. A date is compared with the
    response's Date header, so a wrong local clock does not matter."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if re.fullmatch(r"\d{1,12}(\.\d{1,9})?", text):
        return _clamped(float(text))
    until, sent = _http_date(text), _http_date(headers.get("Date", ""))
    return None if until is None else _clamped(until - (now if sent is None else sent))


def retry_after_in_text(text: str, *, now: float) -> float | None:
    """Like `retry_after`, from the text of Boulder's problem document, for answers without the header."""
    found = _IN_TEXT.search(text)
    if found is None:
        return None
    try:
        until = datetime.strptime(found.group(1), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return _clamped(until.timestamp() - now)


def links(headers: Mapping[str, str], relation: str, *, base: str) -> tuple[str, ...]:
    """The targets of a link relation: absolute URLs, in order, without duplicates. A target that is not a URL
    is left out."""
    found: dict[str, None] = {}
    for link in _LINK.finditer(headers.get("Link", "")):
        relations = _RELATION.search(link.group(2))
        if (
            relations is not None
            and relation in (relations.group(1) or relations.group(2) or "").lower().split()
        ):
            with suppress(ValueError):  # such as "https://["
                found[urljoin(base, link.group(1))] = None
    return tuple(found)[:_MAX_LINKS]


def _http_date(text: str) -> float | None:
    """An HTTP-date as seconds since the epoch. RFC 9110 §5.6.7 requires GMT; another zone is accepted too."""
    try:
        parsed = parsedate_to_datetime(text)
        return (parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _clamped(seconds: float) -> float:
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)
