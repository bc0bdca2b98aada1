"""urllib3 connections with one deadline for connecting and one for the whole answer.

The server may belong to an attacker, because a tenant chooses its URL. urllib3's time-outs apply to each
address and to each read, so a name with many dead addresses, or a server that sends a byte now and then,
could block a thread for any time. Here the time-out applies to all addresses together and to all bytes
together: the socket's time-out shrinks. With `urllib3.Timeout(total=…)` the answer gets the time that
connecting left over."""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any, cast

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError


class _Incoming(io.RawIOBase):
    """Reads from a socket until one deadline: the socket's time-out at the beginning."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        # A separate reader keeps the socket open: a socket counts its readers.
        self._stream = connection.makefile("rb", buffering=0)
        self._deadline = time.monotonic() + (connection.gettimeout() or 0.0)

    def makefile(self, mode: str) -> io.BufferedReader:
        """The method that HTTPResponse calls on a socket."""
        assert mode == "rb"
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override] # the buffer protocol has no name before Python 3.12
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        self._connection.settimeout(remaining)
        return self._stream.readinto(buffer)

    def close(self) -> None:
        self._stream.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - http.client's signature, passed on
        super().__init__(cast("socket.socket", _Incoming(sock)), *arguments, **options)


class _Bounded(HTTPConnection):
    response_class = _Response

    def _new_conn(self) -> socket.socket:
        """Connect to the first address that answers. The remaining time is shared between the addresses; TLS
        gets the time that is left."""
        host, timeout = self._dns_host, self.timeout or 0.0
        try:
            found = [
                address[0]
                for *_, address in socket.getaddrinfo(host.strip("[]"), self.port, type=socket.SOCK_STREAM)
            ]
        except (socket.gaierror, UnicodeError) as error:
            raise NameResolutionError(self.host, self, cast("socket.gaierror", error)) from error
        deadline = time.monotonic() + timeout
        try:
            for left in range(len(found), 0, -1):
                self._dns_host, self.timeout = (
                    str(found[-left]),
                    max(0.001, (deadline - time.monotonic()) / left),
                )
                try:
                    connection = super()._new_conn()
                except (ConnectTimeoutError, NewConnectionError):
                    if left == 1:
                        raise
                    continue
                connection.settimeout(max(0.001, deadline - time.monotonic()))
                return connection
        finally:
            self._dns_host, self.timeout = host, timeout
        raise NewConnectionError(self, "the name has no address")


class _BoundedTls(_Bounded, HTTPSConnection):
    pass


class _OneWrite(_BoundedTls):
    """Sends head and body of a request in one TLS record, which needs half the system calls."""

    _held: list[bytes] | None = None

    def request(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - urllib3's signature, passed on
        self._held = []
        try:
            super().request(*arguments, **options)
            whole = b"".join(self._held)
        finally:
            self._held = None
        self.send(whole)

    def send(self, data: Any) -> None:  # noqa: ANN401 - http.client's signature
        if self._held is None:
            super().send(data)
        else:
            self._held.append(data)


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Bounded


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _OneWrite


class _ProxiedTlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _BoundedTls


POOLS: dict[str, type[urllib3.HTTPConnectionPool]] = {"http": _Pool, "https": _TlsPool}
"""For urllib3's PoolManager, by scheme."""
PROXIED_POOLS: dict[str, type[urllib3.HTTPConnectionPool]] = {"http": _Pool, "https": _ProxiedTlsPool}
