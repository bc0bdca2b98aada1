"""A proxy in front of an API server: it answers in its place as often as one wants, cuts what streams, and
keeps a list of the requests."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import yaml

from certmill.testing.localhost import make_local_tls

_NAMED = re.compile(
    r"/apis?(?:/[^/]+)?/v[^/]+(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<subresource>\w+))?$"
)
_KEPT = ("Accept", "Authorization", "Content-Type", "User-Agent")
_CHUNK_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as Kubernetes' roles name it: `verb` (apply and merge are patches), and the resource, as in
    `certificates/status`."""

    verb: str
    resource: str
    namespace: str = ""
    name: str = ""

    @classmethod
    def read(cls, method: str, target: str, headers: Mapping[str, str]) -> Request:
        """Of a request line and its headers."""
        url = urlsplit(target)
        found = _NAMED.match(url.path)
        parts = (
            found.groupdict("")
            if found
            else {"plural": url.path, "name": "", "namespace": "", "subresource": ""}
        )
        verb = {"POST": "create", "PUT": "update", "DELETE": "delete"}.get(
            method, "get" if parts["name"] or not found else "list"
        )
        if method == "PATCH":
            verb = "apply" if "apply-patch" in headers.get("Content-Type", "") else "merge"
        if parse_qs(url.query).get("watch") == ["true"]:
            verb = "watch"
        resource = "/".join(part for part in (parts["plural"], parts["subresource"]) if part)
        return cls(verb=verb, resource=resource, namespace=parts["namespace"], name=parts["name"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is answered instead of the API server: a Status, or with `status` 0 nothing (the connection is
    cut)."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        return json.dumps(
            {
                "kind": "Status",
                "apiVersion": "v1",
                "status": "Failure",
                "message": "a fault",
                "code": self.status,
            }
        ).encode()


Trouble = Callable[[Request], Reply | None]
"""Called with each request before it goes on, in its own thread; a Reply keeps it from the API server."""


class ApiProxy:
    """Listens on `url`, by TLS, and passes everything on to `upstream` (`host:port`, verified by `ca`)."""

    def __init__(self, directory: Path, upstream: str, ca: bytes) -> None:
        self.trouble: Trouble | None = None
        self.upstream = upstream
        self.asked: list[tuple[Request, int]] = []
        """Every request, with the status of its answer; 0: none."""
        self.watches: set[socket.socket] = set()
        self.guard = threading.Lock()
        self.tls = ssl.create_default_context(cadata=ca.decode())
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory = directory
        tls = make_local_tls()
        self.ca_file, chain = directory / "ca.pem", directory / "chain.pem"
        self.ca_file.write_bytes(tls.ca)
        chain.write_bytes(tls.key + tls.certificate)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(chain)
        self._server = _Server(("127.0.0.1", 0), self)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self):
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()
        return self

    def __exit__(self, *exception):
        self._server.shutdown()
        self._server.server_close()
        self.cut_watches()

    def kubeconfig(self, direct: Path) -> Path:
        """The same user's kubeconfig, through the proxy."""
        content = yaml.safe_load(direct.read_text())
        content["clusters"][0]["cluster"] = {"server": self.url, "certificate-authority": str(self.ca_file)}
        path = self._directory / direct.name
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(content))
        return path

    def cut_watches(self) -> int:
        """Cut every watch that is under way, wherever it is in its stream; how many."""
        with self.guard:
            watches = list(self.watches)
        for connection in watches:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        return len(watches)

    def count(self, since: int = 0) -> Counter[tuple[str, str]]:
        """How often each (verb, resource) was asked for, from number `since` on."""
        return Counter((request.verb, request.resource) for request, _ in self.asked[since:])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], proxy: ApiProxy) -> None:
        self.proxy = proxy
        super().__init__(address, _Handler)

    def get_request(self):
        connection, address = self.socket.accept()
        return self.proxy.context.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        ), address

    def handle_error(self, request, client_address):
        """Connections that somebody cuts are what faults are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self._upstream: http.client.HTTPSConnection | None = None

    def finish(self):
        self._hang_up()
        super().finish()

    def _serve(self):
        proxy = self.server.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request.read(self.command, self.path, self.headers)
        reply = proxy.trouble(request) if proxy.trouble is not None else None
        if reply is None:
            try:
                answer = self._ask(body)
            except (OSError, http.client.HTTPException):
                reply = Reply(status=0)
        proxy.asked.append((request, reply.status if reply is not None else answer.status))
        if reply is not None:
            self._answer(reply)
        elif request.verb == "watch" and answer.status == 200:
            self._stream(answer)
        else:
            self._relay(answer)

    def _ask(self, body: bytes) -> http.client.HTTPResponse:
        """The API server's answer, by this connection's own connection to it."""
        headers = {name: self.headers[name] for name in _KEPT if name in self.headers}
        if self._upstream is None:
            host, _, port = self.server.proxy.upstream.partition(":")
            self._upstream = http.client.HTTPSConnection(
                host, int(port), timeout=300, context=self.server.proxy.tls
            )
        try:
            self._upstream.request(self.command, self.path, body=body or None, headers=headers)
            return self._upstream.getresponse()
        except (OSError, http.client.HTTPException):
            self._hang_up()
            raise

    def _hang_up(self):
        if self._upstream is not None:
            self._upstream.close()
            self._upstream = None

    def _answer(self, reply: Reply):
        if not reply.status:
            self.close_connection = True
            return
        self._head(
            reply.status,
            {"Content-Type": "application/json", **reply.headers, "Content-Length": str(len(reply.body))},
        )
        self.wfile.write(reply.body)

    def _relay(self, answer: http.client.HTTPResponse):
        try:
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self._hang_up()
            self.close_connection = True
            return
        kept = {name: value for name, value in answer.getheaders() if name in ("Content-Type", "Retry-After")}
        self._head(answer.status, {**kept, "Content-Length": str(len(content))})
        self.wfile.write(content)

    def _stream(self, answer: http.client.HTTPResponse):
        """A watch: as it comes, until either side ends it. One that the API server did not end properly is
        not ended properly here."""
        assert self._upstream is not None
        proxy, mine = self.server.proxy, {self.connection, self._upstream.sock}
        with proxy.guard:
            proxy.watches |= mine
        self._head(200, {"Content-Type": "application/json", "Transfer-Encoding": "chunked"})
        try:
            while chunk := answer.read1(_CHUNK_BYTES):
                self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
        except (OSError, http.client.HTTPException):
            self.close_connection = True
        finally:
            with proxy.guard:
                proxy.watches -= mine
            self._hang_up()

    def _head(self, status: int, headers: Mapping[str, str]):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - http.server's names

    def log_message(self, format, *args):
        """Say nothing."""
