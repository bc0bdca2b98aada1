"""ACME Renewal Information (RFC 9773): which certificate, and when the CA would like to see it renewed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from certmill.acme.fields import clean, parse_time
from certmill.acme.jws import b64url
from certmill.errors import CAUnavailable, OrderRefused

# RFC 9773 §4.3.2: clients should set limits, such as a minute and a day. Let's Encrypt says six hours.
MIN_CHECK_SECONDS: Final = 60.0
MAX_CHECK_SECONDS: Final = 86_400.0
DEFAULT_CHECK_SECONDS: Final = 6 * 3600.0
_CERT_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}\.[A-Za-z0-9_-]{1,128}")


def cert_id(certificate: x509.Certificate) -> str:
    """RFC 9773 §4.1: base64url of the issuer's key identifier, a dot, that of the serial number. Raises
    OrderRefused without the former."""
    try:
        key_identifier = certificate.extensions.get_extension_for_class(
            x509.AuthorityKeyIdentifier
        ).value.key_identifier
    except x509.ExtensionNotFound:
        key_identifier = None
    if key_identifier is None:
        raise OrderRefused(
            "the certificate has no authority key identifier, by which its renewal information would be found"
        )
    # The octets of the DER INTEGER: a leading zero where the first bit is set (RFC 9773 §4.1).
    serial = certificate.serial_number
    return f"{b64url(key_identifier)}.{b64url(serial.to_bytes(serial.bit_length() // 8 + 1, 'big'))}"


def is_cert_id(text: str) -> bool:
    """Tell whether `text` has the shape of one; nothing else may become a path."""
    return _CERT_ID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalInfo:
    """The suggested window (seconds since the epoch), why (a page for people), and in how many seconds to ask
    again."""

    start: float
    end: float
    explanation_url: str = ""
    retry_after: float = DEFAULT_CHECK_SECONDS

    @classmethod
    def from_json(cls, body: Mapping[str, object], *, retry_after: float | None) -> RenewalInfo:
        """RFC 9773 §4.2. Raises CAUnavailable: without a window, or when it ends before it starts, it says
        nothing."""
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
