"""Read the body of a CA's answer: a JSON object, or a PEM certificate chain."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from certmill.crypto.chain import oversize
from certmill.errors import CAUnavailable, CertificateWrong
from certmill.http.transport import Answer, host_of

# RFC 8555 §9.1: one or more certificates; "MUST use the strict encoding and MUST NOT include explanatory
# text".
_CHAIN: Final = re.compile(
    r"(?:-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*){1,16}"
)


def json_of(answer: Answer) -> Mapping[str, object]:
    """The answer's JSON object. Raises CAUnavailable."""
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise CAUnavailable(
            f"{host_of(answer.url)} answered with something that is not a JSON object",
            retry_after=answer.retry_after,
        )
    return body


def chain_of(answer: Answer) -> str:
    """The answer's PEM chain.

    Raises CAUnavailable if it contains anything but certificates, because it is stored as tls.crt. Raises
    CertificateWrong if it is too large to store: a retry would get the same chain."""
    text = answer.body.decode("ascii", "replace").replace("\r\n", "\n").strip() + "\n"
    if reason := oversize(text.encode()):
        raise CertificateWrong(
            f"the chain that {host_of(answer.url)} issued is not stored: {reason}; "
            "ask the CA for a shorter chain"
        )
    if _CHAIN.fullmatch(text) is None:
        raise CAUnavailable(
            f"{host_of(answer.url)} sent something that is not a PEM chain of 1 to 16 certificates"
        )
    return text
