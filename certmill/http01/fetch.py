"""Sends one request of the HTTP-01 self check, and reads the answer: one deadline and one size limit for all.

The tenant controls the target, so the errors are a few fixed phrases without an address or a body."""

from __future__ import annotations

import errno
import http.client
import io
import ipaddress
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, cast

from certmill.errors import CertmillError

MAX_BODY_BYTES: Final = 65_536
_MAX_ANSWER_BYTES: Final = 2 * MAX_BODY_BYTES
_MAX_ADDRESSES: Final = 4
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class Addresses(Protocol):
    """Looks up a host name within the given seconds: its IP addresses as text, an empty list if it has none.
    May raise DnsUnavailable."""

    def __call__(self, host: str, /, *, within_seconds: float) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One URL of the check."""

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
class Answer:
    """What the host answered. `location`: only of a redirect; then `body` is not read."""

    status: int
    location: str | None
    body: bytes


class Unreachable(Exception):
    """The request got no answer; the text is one of a few fixed phrases."""


class HandshakeFailed(Unreachable):
    """The connection was accepted, but the TLS handshake failed."""


def fetch(target: Target, addresses: Addresses, deadline: float) -> Answer:
    """GET `target` from the first of its addresses that accepts the connection. `deadline` is on the
    monotonic clock. Raises Unreachable."""
    connection = _connect(target, _resolve(target.host, addresses, deadline), deadline)
    try:
        if target.scheme == "https":
            connection = _encrypt(connection, target.host, deadline)
        fields = (f"Host: {target.authority}", "User-Agent: certmill", "Accept: */*", "Connection: close")
        connection.settimeout(_remaining(deadline))
        connection.sendall("\r\n".join([f"GET {target.path} HTTP/1.1", *fields, "", ""]).encode("ascii"))
        return _read(connection, deadline)
    except TimeoutError:
        raise Unreachable("could not be reached: time-out") from None
    except (ConnectionError, http.client.IncompleteRead):
        raise Unreachable("could not be reached: the connection was cut") from None
    except (OSError, http.client.HTTPException, ValueError):  # ValueError: a chunk of a negative size
        raise Unreachable("did not answer in HTTP") from None
    finally:
        connection.close()


def _resolve(host: str, addresses: Addresses, deadline: float) -> Sequence[str]:
    if is_address(host):
        return (host,)
    try:
        found = [
            address for address in addresses(host, within_seconds=_remaining(deadline)) if is_address(address)
        ]
    except TimeoutError:
        raise Unreachable("could not be reached: time-out") from None
    except CertmillError as error:
        raise Unreachable(
            "could not be looked up: no resolver answered for it (CERTMILL_RECURSIVE_NAMESERVERS)"
        ) from error
    if not found:
        raise Unreachable("has no address in DNS: add an A or AAAA record for this name")
    return sorted(found, key=lambda address: ":" not in address)[
        :_MAX_ADDRESSES
    ]  # IPv6 first, as Boulder does


def _connect(target: Target, addresses: Sequence[str], deadline: float) -> socket.socket:
    phrase = "connection failed"
    for position, address in enumerate(addresses):
        try:
            share = _remaining(deadline) / (len(addresses) - position)
            return socket.create_connection((address, target.port), timeout=share)
        except OSError as error:
            phrase = _phrase(error)
    raise Unreachable(f"could not be reached on port {target.port}: {phrase}")


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
        raise HandshakeFailed("did not answer in HTTP") from None


def _read(stream: socket.socket, deadline: float) -> Answer:
    response = http.client.HTTPResponse(cast("socket.socket", _Incoming(stream, deadline)), method="GET")
    try:
        response.begin()
        location = response.getheader("Location") if response.status in _REDIRECTS else None
        body = response.read(MAX_BODY_BYTES + 1) if location is None else b""
    finally:
        response.close()
    return Answer(status=response.status, location=location, body=body)


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


def is_address(text: str) -> bool:
    """Whether the text is an IP address without a zone."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text
