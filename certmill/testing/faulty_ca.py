"""A CA for tests that fails on demand. It is a proxy in front of a real CA (Pebble): it answers some requests
itself, drops others, or refuses connections.

    with FaultyCA(upstream=pebble.directory_url, upstream_ca=pebble.ca_bundle) as ca:
        ca.break_with(Fault(status=503, headers={"Retry-After": "2"}), on="/order", times=3)

Without an upstream it answers with the configured faults, and 404 for all other requests. It serves HTTPS, as
ACME requires (RFC 8555 §6.1); clients verify it with `ca_bundle`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import urllib3

from certmill.testing.localhost import make_local_tls

_RELAYED_REQUEST_HEADERS = ("Content-Type", "User-Agent", "Accept", "Accept-Language")
_DROPPED_ANSWER_HEADERS = {"connection", "transfer-encoding", "content-length", "date"}
_UPSTREAM_SECONDS = 60.0
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


@dataclass(slots=True, kw_only=True)
class _Rule:
    fault: Fault
    on: str
    method: str
    times: int | None
    """How many more times it applies; None: always."""
    payload: str = ""

    def take(self, method: str, path: str, body: bytes) -> bool:
        if self.times == 0 or self.on not in path or self.method not in ("", method):
            return False
        if self.payload and self.payload not in _payload(body):
            return False
        self.times = None if self.times is None else self.times - 1
        return True

    def give_back(self) -> None:
        self.times = None if self.times is None else self.times + 1


class FaultyCA:
    """A CA on a free port of loopback. Safe for many threads. `requests` has (method, path) in the order of
    arrival."""

    def __init__(self, *, upstream: str = "", upstream_ca: bytes | None = None) -> None:
        self._upstream = urlsplit(upstream)
        context = ssl.create_default_context(cadata=upstream_ca.decode()) if upstream_ca else None
        self._pools = urllib3.PoolManager(ssl_context=context, maxsize=32)
        self._lock = threading.Lock()
        self._rules: list[_Rule] = []
        self._healed = threading.Event()
        self._server: _Server | None = None
        self._place = _reserved()
        self._port = int(self._place.getsockname()[1])
        tls = make_local_tls()
        self.ca_bundle = tls.ca
        self._context = _server_context(tls.certificate, tls.key)
        self.requests: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._port}"

    @property
    def directory_url(self) -> str:
        return f"{self.url}{self._upstream.path or '/directory'}"

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop for good."""
        self.heal()
        self.down()
        self._place.close()
        self._pools.clear()

    def break_with(
        self, fault: Fault, *, on: str = "", method: str = "", times: int | None = None, payload: str = ""
    ) -> None:
        """Apply the fault to the next `times` requests (None: all) whose path contains `on`, whose method is
        `method` ("": any) and whose payload contains `payload`. If several faults apply, the latest is used.
        """
        with self._lock:
            self._healed.clear()
            self._rules.insert(0, _Rule(fault=fault, on=on, method=method, times=times, payload=payload))

    def heal(self) -> None:
        """Remove all faults, and end the requests that hang."""
        with self._lock:
            self._rules.clear()
        self._healed.set()

    def down(self) -> None:
        """Close connections and refuse new ones until up()."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def up(self) -> None:
        """Listen, on the same port as before."""
        if self._server is not None:
            return
        self._server = _Server(("127.0.0.1", self._port), self)
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Fault:
        """Record a request, and return its answer: from a fault, or from upstream."""
        with self._lock:
            self.requests.append((method, path))
            rule = next((rule for rule in self._rules if rule.take(method, path, body)), None)
        if rule is not None and not rule.fault.relay:
            return rule.fault
        relayed = self.relay(method, path, headers, body)
        if rule is not None and relayed.status < HTTPStatus.BAD_REQUEST:
            return rule.fault
        if rule is not None:
            with self._lock:
                rule.give_back()
        return relayed

    def hang(self, seconds: float) -> bool:
        """Wait; return True as soon as heal() is called."""
        return self._healed.wait(seconds)

    def relay(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Fault:
        """Return upstream's answer. Upstream gets our Host header, so its URLs lead here."""
        if not self._upstream.netloc:
            return Fault(status=404)
        url = f"{self._upstream.scheme}://{self._upstream.netloc}{path}"
        try:
            answer = self._pools.request(
                method,
                url,
                body=body or None,
                headers=dict(headers),
                redirect=False,
                retries=False,
                timeout=_UPSTREAM_SECONDS,
            )
        except urllib3.exceptions.HTTPError:
            return Fault(cut=True)
        kept = {
            name: value
            for name, value in answer.headers.items()
            if name.lower() not in _DROPPED_ANSWER_HEADERS
        }
        return Fault(status=answer.status, headers=kept, body=answer.data)

    def wrap(self, connection: socket.socket) -> socket.socket:
        """Wrap the connection in TLS; the handshake happens in the connection's own thread."""
        return self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)


def _payload(body: bytes) -> str:
    """Return the payload of a request (RFC 8555 §6.2: a flattened JWS); "" if there is none."""
    try:
        encoded = str(json.loads(body)["payload"])
        return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode("utf-8", "replace")
    except (ValueError, KeyError, TypeError):
        return ""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], ca: FaultyCA) -> None:
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
    server: _Server

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


def _reserved() -> socket.socket:
    """Return a port that is reserved for us while nothing listens on it: connections to it are refused."""
    place = socket.socket()
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    place.bind(("127.0.0.1", 0))
    return place


def _server_context(certificate: bytes, key: bytes) -> ssl.SSLContext:
    """Return a TLS context. The temporary file is needed because `ssl` reads certificates from files only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory(prefix="certmill-ca-") as directory:
        chain = Path(directory) / "chain.pem"
        chain.touch(mode=0o600)
        chain.write_bytes(key + certificate)
        context.load_cert_chain(chain)
    return context
