"""The HTTPS server of the CA that fails on demand (`faulty_ca`). Answers, delays or cuts a request."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Protocol

_RELAYED_REQUEST_HEADERS = ("Content-Type", "User-Agent", "Accept", "Accept-Language")
_TRICKLE_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to a request. `cut`: the connection ends without an answer, or after half of `body`.

    `relay`: upstream handles the request first. If upstream refuses it (because of a nonce, for example), its
    refusal is returned unchanged, and the fault applies to a later request. `hang_seconds`: no answer for
    this time, or until heal() is called; then the connection is cut. `trickle`: the head of the answer is
    sent byte by byte, without an end until heal() is called.
    """

    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: bool = False
    relay: bool = False
    hang_seconds: float = 0.0
    trickle: bool = False

    @classmethod
    def problem(
        cls,
        kind: str,
        *,
        status: int = 400,
        detail: str = "",
        headers: Mapping[str, str] | None = None,
        **members: object,
    ) -> Fault:
        """Return a problem document of an ACME type; `members` are additional members."""
        body = {"type": f"urn:ietf:params:acme:error:{kind}", "detail": detail, "status": status, **members}
        return cls(
            status=status,
            headers={"Content-Type": "application/problem+json", **(headers or {})},
            body=json.dumps(body).encode(),
        )

    @classmethod
    def json(cls, body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Fault:
        """Return a JSON answer. It is not a fault: it is for a test that plays the CA itself."""
        return cls(
            status=status,
            headers={"Content-Type": "application/json", **(headers or {})},
            body=json.dumps(body).encode(),
        )


class AnswersRequests(Protocol):
    """Decides what happens to a request (FaultyCA)."""

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Fault: ...

    def hang(self, seconds: float) -> bool: ...

    def wrap(self, connection: socket.socket) -> socket.socket: ...


class Server(ThreadingHTTPServer):
    """The HTTPS server. It cuts its open connections when it is closed."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], ca: AnswersRequests) -> None:
        self.ca = ca
        self._connections: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = self.socket.accept()
        wrapped = self.ca.wrap(connection)
        self._connections.add(wrapped)
        return wrapped, address

    def shutdown_request(self, request: object) -> None:
        assert isinstance(request, socket.socket)
        self._connections.discard(request)
        with contextlib.suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)
        request.close()

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore the error: faults cause clients to cut connections."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def _serve(self) -> None:
        ca = self.server.ca
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kept = {name: self.headers[name] for name in _RELAYED_REQUEST_HEADERS if name in self.headers}
        fault = ca.answer(self.command, self.path, {**kept, "Host": self.headers["Host"]}, body)
        if fault.hang_seconds:
            ca.hang(fault.hang_seconds)
        self.close_connection = fault.cut or bool(fault.hang_seconds) or self.close_connection
        if (fault.cut and not fault.body) or fault.hang_seconds:
            return
        if fault.trickle:
            self._trickle()
        self._answer(fault)

    def _trickle(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Trickle: ")
        while not self.server.ca.hang(_TRICKLE_SECONDS):
            self.wfile.write(b".")
        self.close_connection = True

    def _answer(self, fault: Fault) -> None:
        self.send_response(fault.status)
        for name, value in fault.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(fault.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(fault.body[: len(fault.body) // 2] if fault.cut else fault.body)

    do_GET = do_POST = do_HEAD = _serve  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Log nothing."""


def reserved() -> socket.socket:
    """Return a port that is reserved for us while nothing listens on it: connections to it are refused."""
    place = socket.socket()
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    place.bind(("127.0.0.1", 0))
    return place


def server_context(certificate: bytes, key: bytes) -> ssl.SSLContext:
    """Return a TLS context. The temporary file is needed because `ssl` reads certificates from files only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory(prefix="certmill-ca-") as directory:
        chain = Path(directory) / "chain.pem"
        chain.touch(mode=0o600)
        chain.write_bytes(key + certificate)
        context.load_cert_chain(chain)
    return context
