"""The HTTP server of a fake API, for tests: it passes requests to the API and sends its replies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Protocol, cast

_MAX_BODY_BYTES: Final = 1_048_576


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The reply to a request."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Api(Protocol):
    """The API that handles requests."""

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply: ...


class Server(ThreadingHTTPServer):
    """An HTTP server on loopback that passes each request to the API."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], api: Api) -> None:
        self.api = api
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        size = min(int(self.headers.get("Content-Length") or 0), _MAX_BODY_BYTES)
        api = cast("Server", self.server).api
        reply = api.answer(self.command, self.path, dict(self.headers.items()), self.rfile.read(size))
        try:
            self.send_response(reply.status)
            for name, value in {**reply.headers, "Content-Length": str(len(reply.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)
        except OSError:
            # The client closed the connection before the end.
            return

    do_POST = do_DELETE = do_PUT = do_PATCH = do_GET  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's signature
        """Log nothing: `requests` has every request."""
