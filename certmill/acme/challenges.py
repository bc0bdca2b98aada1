"""Values for ACME challenges (RFC 8555 §8): the key authorization, and the TXT record of DNS-01. HTTP-01 is
in `http01`."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from certmill.acme.jws import b64url

HTTP01: Final = "http-01"
DNS01: Final = "dns-01"
TLS_ALPN01: Final = "tls-alpn-01"
TOKEN_TYPES: Final = frozenset({HTTP01, DNS01, TLS_ALPN01})
"""The types whose challenge has a token (RFC 8555 §8.3, §8.4, RFC 8737 §3)."""

# RFC 8555 §8.1: at least 128 bits of entropy, base64url without padding: 22 characters. A token becomes a URL
# path and a Redis key, so other text is refused.
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{22,128}")


def is_token(text: str) -> bool:
    """Whether `text` is a valid token (RFC 8555 §8.1)."""
    return _TOKEN.fullmatch(text) is not None


def key_authorization(token: str, thumbprint: str) -> str:
    """RFC 8555 §8.1: the token, a dot, and the thumbprint of the account key."""
    return f"{token}.{thumbprint}"


def dns01_value(token: str, thumbprint: str) -> str:
    """The TXT value (RFC 8555 §8.4): base64url of the SHA-256 of the key authorization."""
    return b64url(hashlib.sha256(key_authorization(token, thumbprint).encode()).digest())


def dns01_record_name(identifier: str) -> str:
    """The name of the TXT record (RFC 8555 §8.4), without a final dot. A wildcard and its base name share
    it."""
    return f"_acme-challenge.{identifier.removeprefix('*.').rstrip('.')}"
