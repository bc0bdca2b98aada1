"""ACME Renewal Information (RFC 9773): the window that the CA suggests for the renewal of a certificate."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from certmill.acme.fields import clean, parse_time
from certmill.errors import CAUnavailable

# RFC 9773 §4.3.2: clients should limit Retry-After, for example to 1 minute and 1 day. Let's Encrypt sends 6
# hours.
MIN_CHECK_SECONDS: Final = 60.0
MAX_CHECK_SECONDS: Final = 86_400.0
DEFAULT_CHECK_SECONDS: Final = 6 * 3600.0
_CERT_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}\.[A-Za-z0-9_-]{1,128}")


def is_cert_id(text: str) -> bool:
    """Whether `text` has the form of a certificate identifier. Only then it may become part of a URL path."""
    return _CERT_ID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalInfo:
    """The suggested window: `start` and `end` in seconds since the epoch, a page that explains it, and
    `retry_after`: the seconds until the next request."""

    start: float
    end: float
    explanation_url: str = ""
    retry_after: float = DEFAULT_CHECK_SECONDS

    @classmethod
    def from_json(cls, body: Mapping[str, object], *, retry_after: float | None) -> RenewalInfo:
        """Read a RenewalInfo object (RFC 9773 §4.2). Raises CAUnavailable if the window is missing, or ends
        before it starts."""
        window = body.get("suggestedWindow")
        start, end = (
            (parse_time(window.get(name)) for name in ("start", "end"))
            if isinstance(window, Mapping)
            else (None, None)
        )
        if start is None or end is None or end <= start:
            raise CAUnavailable("the CA sent renewal information without a usable window; it is not used")
        explanation = body.get("explanationURL")
        seconds = (
            DEFAULT_CHECK_SECONDS
            if retry_after is None
            else min(max(retry_after, MIN_CHECK_SECONDS), MAX_CHECK_SECONDS)
        )
        return cls(
            start=start,
            end=end,
            explanation_url=clean(explanation, 200) if isinstance(explanation, str) else "",
            retry_after=seconds,
        )
