"""The HTTP-01 self check: request the key authorization like the CA (RFC 8555 §8.3), before the CA does.

The tenant controls the target of this request by DNS and redirects (server-side request forgery). Therefore a
reason contains only the requested host and its status, never a body, a redirect's target or an address. One
deadline and one size limit apply to the whole check."""

from __future__ import annotations

import errno
import http.client
import io
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final, Protocol, cast
from urllib.parse import quote, urljoin, urlsplit

from certmill.errors import CertmillError
from certmill.http01.base import WELL_KNOWN_PATH, is_token


class Addresses(Protocol):
    """Looks up a host name within the given seconds: its IP addresses as text, an empty list if it has none.
    May raise DnsUnavailable."""

    def __call__(self, host: str, /, *, within_seconds: float) -> Sequence[str]: ...


_OTHER_HOST: Final = ": its proxy sends another Host to the responder than the name (docs/http01.md)"
MAX_REDIRECTS: Final = 10
MAX_BODY_BYTES: Final = 65_536
_MAX_ANSWER_BYTES: Final = 2 * MAX_BODY_BYTES
_MAX_ADDRESSES: Final = 4
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The Host field: IPv6 in brackets, without the scheme's default port (RFC 9110 §7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    location: str | None
    body: bytes


class _Unreachable(Exception):
    """The request got no answer; the text is one of a few fixed phrases."""


class _HandshakeFailed(_Unreachable):
    """The connection was accepted, but the TLS handshake failed."""


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
    target = _Target(scheme="http", host=url_host, port=port, path=WELL_KNOWN_PATH + token)
    try:
        answer = _ask(target, addresses, deadline)
    except _Unreachable as error:
        return Probe(ok=False, reason=f"{url_host} {error}")
    if answer.location is not None:
        ports = frozenset({80, 443, port, tls_port})
        return _follow(target, answer.location, key_authorization, addresses, deadline, ports=ports)
    if not _is_key_authorization(answer, key_authorization):
        hint = _OTHER_HOST if answer.status == HTTPStatus.MISDIRECTED_REQUEST else ""
        return Probe(ok=False, reason=f"{url_host} answered {answer.status}, not the key authorization{hint}")
    return Probe(ok=True, reason=f"{url_host} answered with the key authorization")


def _follow(
    first: _Target,
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
            answer = _ask(there, addresses, deadline)
        except _HandshakeFailed:
            return replace(failure, handshake_failed=there.host == first.host)
        except _Unreachable:
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


def _redirect_target(here: _Target, location: str, *, ports: frozenset[int]) -> _Target | None:
    """The target of a redirect; None if a CA would not follow it."""
    try:
        parts = urlsplit(urljoin(here.url, location))
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
    except ValueError:
        return None
    if scheme not in ("http", "https") or not (_is_address(host) or _HOST_NAME.fullmatch(host)):
        return None
    port = port or (443 if scheme == "https" else 80)
    if port not in ports:
        return None
    path = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_UNRESERVED)
    return replace(here, scheme=scheme, host=host, port=port, path=path)


def _is_key_authorization(answer: _Answer, key_authorization: str) -> bool:
    # RFC 8555 §8.3: "The server SHOULD ignore whitespace characters at the end of the body."
    return (
        answer.status == 200
        and len(answer.body) <= MAX_BODY_BYTES
        and answer.body.rstrip() == key_authorization.encode()
    )


def _ask(target: _Target, addresses: Addresses, deadline: float) -> _Answer:
    """GET `target` from the first of its addresses that accepts the connection."""
    connection = _connect(target, _resolve(target.host, addresses, deadline), deadline)
    try:
        if target.scheme == "https":
            connection = _encrypt(connection, target.host, deadline)
        fields = (f"Host: {target.authority}", "User-Agent: certmill", "Accept: */*", "Connection: close")
        connection.settimeout(_remaining(deadline))
        connection.sendall("\r\n".join([f"GET {target.path} HTTP/1.1", *fields, "", ""]).encode("ascii"))
        return _read(connection, deadline)
    except TimeoutError:
        raise _Unreachable("could not be reached: time-out") from None
    except (ConnectionError, http.client.IncompleteRead):
        raise _Unreachable("could not be reached: the connection was cut") from None
    except (OSError, http.client.HTTPException, ValueError):  # ValueError: a chunk of a negative size
        raise _Unreachable("did not answer in HTTP") from None
    finally:
        connection.close()


def _resolve(host: str, addresses: Addresses, deadline: float) -> Sequence[str]:
    if _is_address(host):
        return (host,)
    try:
        found = [
            address
            for address in addresses(host, within_seconds=_remaining(deadline))
            if _is_address(address)
        ]
    except TimeoutError:
        raise _Unreachable("could not be reached: time-out") from None
    except CertmillError as error:
        raise _Unreachable(
            "could not be looked up: no resolver answered for it (CERTMILL_RECURSIVE_NAMESERVERS)"
        ) from error
    if not found:
        raise _Unreachable("has no address in DNS: add an A or AAAA record for this name")
    return sorted(found, key=lambda address: ":" not in address)[
        :_MAX_ADDRESSES
    ]  # IPv6 first, as Boulder does


def _connect(target: _Target, addresses: Sequence[str], deadline: float) -> socket.socket:
    phrase = "connection failed"
    for position, address in enumerate(addresses):
        try:
            share = _remaining(deadline) / (len(addresses) - position)
            return socket.create_connection((address, target.port), timeout=share)
        except OSError as error:
            phrase = _phrase(error)
    raise _Unreachable(f"could not be reached on port {target.port}: {phrase}")


def _phrase(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "time-out"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return (
        "no route"
        if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL)
        else "connection failed"
    )


def _encrypt(connection: socket.socket, host: str, deadline: float) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    # A CA does not verify TLS here either, because the name may not have a certificate yet.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection.settimeout(_remaining(deadline))
    try:
        return context.wrap_socket(connection, server_hostname=host)
    except (ssl.SSLError, ConnectionError):
        raise _HandshakeFailed("did not answer in HTTP") from None


def _read(stream: socket.socket, deadline: float) -> _Answer:
    response = http.client.HTTPResponse(cast("socket.socket", _Incoming(stream, deadline)), method="GET")
    try:
        response.begin()
        location = response.getheader("Location") if response.status in _REDIRECTS else None
        body = response.read(MAX_BODY_BYTES + 1) if location is None else b""
    finally:
        response.close()
    return _Answer(status=response.status, location=location, body=body)


class _Incoming(io.RawIOBase):
    """Reads from a socket with one deadline and one size limit for the whole answer, so a slow sender gets no
    extra time."""

    def __init__(self, stream: socket.socket, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline
        self._left_bytes = _MAX_ANSWER_BYTES

    def makefile(self, mode: str) -> io.BufferedReader:
        """The method that HTTPResponse calls on a socket."""
        assert mode == "rb"
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # the buffer protocol has no name before Python 3.12
        if self._left_bytes <= 0:
            raise http.client.HTTPException("too large")
        self._stream.settimeout(_remaining(self._deadline))
        count = self._stream.recv_into(buffer[: self._left_bytes])
        self._left_bytes -= count
        return count


def _remaining(deadline: float) -> float:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError
    return remaining


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text
