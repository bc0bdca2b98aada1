"""The HTTP-01 self check: request the key authorization like the CA (RFC 8555 §8.3), before the CA does.

The tenant controls the target of this request by DNS and redirects (server-side request forgery). Therefore a
reason contains only the requested host and its status, never a body, a redirect's target or an address. One
deadline and one size limit apply to the whole check."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

from certmill.http01.base import WELL_KNOWN_PATH, is_token
from certmill.http01.fetch import (
    MAX_BODY_BYTES,
    Addresses,
    Answer,
    HandshakeFailed,
    Target,
    Unreachable,
    fetch,
    is_address,
)

_OTHER_HOST: Final = ": its proxy sends another Host to the responder than the name (docs/http01.md)"
MAX_REDIRECTS: Final = 10
_UNRESERVED: Final = "/%:@!$&'()*+,;=~?"
_HOST_NAME: Final = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The result of a self check. `reason` is one line for conditions and Flower; it does not change between
    equal results."""

    ok: bool
    reason: str
    handshake_failed: bool = False
    """The host redirects to HTTPS and refuses the TLS handshake, like a server without a certificate."""


def probe(
    url_host: str,
    token: str,
    key_authorization: str,
    *,
    addresses: Addresses,
    port: int = 80,
    tls_port: int = 443,
    timeout_seconds: float = 5.0,
) -> Probe:
    """Request `token` from `url_host` (a DNS name or an IP address), and compare the answer with
    `key_authorization`.

    The whole check, with its DNS look-ups, ends within `timeout_seconds`. Only a test CA has other ports than
    80 and 443. Redirects to http and https on these ports and on 80 and 443 are followed without verifying
    TLS, as CAs do. Failures of the other side never raise."""
    if not is_token(token):
        return Probe(ok=False, reason=f"the CA's token for {url_host} is malformed; start a new order")
    deadline = time.monotonic() + timeout_seconds
    target = Target(scheme="http", host=url_host, port=port, path=WELL_KNOWN_PATH + token)
    try:
        answer = fetch(target, addresses, deadline)
    except Unreachable as error:
        return Probe(ok=False, reason=f"{url_host} {error}")
    if answer.location is not None:
        ports = frozenset({80, 443, port, tls_port})
        return _follow(target, answer.location, key_authorization, addresses, deadline, ports=ports)
    if not _is_key_authorization(answer, key_authorization):
        hint = _OTHER_HOST if answer.status == HTTPStatus.MISDIRECTED_REQUEST else ""
        return Probe(ok=False, reason=f"{url_host} answered {answer.status}, not the key authorization{hint}")
    return Probe(ok=True, reason=f"{url_host} answered with the key authorization")


def _follow(
    first: Target,
    location: str,
    key_authorization: str,
    addresses: Addresses,
    deadline: float,
    *,
    ports: frozenset[int],
) -> Probe:
    """Follow redirects. After the first hop every failure has the same text, so that a tenant learns nothing
    about the target."""
    failure = Probe(
        ok=False, reason=f"{first.host} answered with a redirect that does not lead to the key authorization"
    )
    here, next_location = first, location
    for _ in range(MAX_REDIRECTS):
        there = _redirect_target(here, next_location, ports=ports)
        if there is None:
            return failure
        try:
            answer = fetch(there, addresses, deadline)
        except HandshakeFailed:
            return replace(failure, handshake_failed=there.host == first.host)
        except Unreachable:
            return failure
        if answer.location is None:
            found = _is_key_authorization(answer, key_authorization)
            return (
                Probe(ok=True, reason=f"{first.host} redirects to the key authorization")
                if found
                else failure
            )
        here, next_location = there, answer.location
    return failure


def _redirect_target(here: Target, location: str, *, ports: frozenset[int]) -> Target | None:
    """The target of a redirect; None if a CA would not follow it."""
    try:
        parts = urlsplit(urljoin(here.url, location))
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
    except ValueError:
        return None
    if scheme not in ("http", "https") or not (is_address(host) or _HOST_NAME.fullmatch(host)):
        return None
    port = port or (443 if scheme == "https" else 80)
    if port not in ports:
        return None
    path = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_UNRESERVED)
    return replace(here, scheme=scheme, host=host, port=port, path=path)


def _is_key_authorization(answer: Answer, key_authorization: str) -> bool:
    # RFC 8555 §8.3: "The server SHOULD ignore whitespace characters at the end of the body."
    return (
        answer.status == 200
        and len(answer.body) <= MAX_BODY_BYTES
        and answer.body.rstrip() == key_authorization.encode()
    )
