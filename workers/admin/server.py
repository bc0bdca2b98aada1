"""The HTTP server of the admin port: `/metrics`, `/livez`, `/readyz`. It serves one request per connection,
and all sizes and times are bounded.

A probe must be answered under any load. If there are too many connections, the oldest one that has not sent
its request is closed. Only two answers of `/metrics` are written at once. No answer contains anything
secret."""

from __future__ import annotations

import socket
import threading
import time
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Final

from certmill.observe import log
from certmill.observe.exposition import CONTENT_TYPE

MAX_HEAD_BYTES: Final = 8192
MAX_CONNECTIONS: Final = 8
BACKLOG: Final = 128
"""Connections that wait to be accepted. With a smaller number, the kernel drops a probe during a burst, and
the client sends it again a second later."""
HEAD_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 60.0
PORTS_TRIED: Final = 100
_MAX_RENDERING: Final = 2
_CHUNK_CHARACTERS: Final = 262_144
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}

_log = log.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """An answer: short (`text`), or of any length (`stream`)."""

    status: int = 200
    text: str = ""
    stream: Iterable[str] | None = None


class AdminServer:
    """Serves pages (path → function that makes the page) from threads of its own until `stop`."""

    def __init__(self, host: str, port: int, pages: Mapping[str, Callable[[], Page]]) -> None:
        self._host = host
        self._first_port = port
        self._pages = pages
        self._guard = threading.Lock()
        self._connections: dict[socket.socket, bool] = {}  # True: its request was read; the oldest first
        self._rendering = threading.BoundedSemaphore(_MAX_RENDERING)
        self._listener: socket.socket | None = None
        self.port = 0

    def start(self) -> bool:
        """Listen on the port, or on the next free one, because several processes of one machine have the same
        settings. Returns False if no port is free."""
        reason: str | None = None
        for port in range(self._first_port, min(self._first_port + PORTS_TRIED, 65536)):
            listener = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET)
            try:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((self._host, port))
                listener.listen(BACKLOG)
            except OSError as error:
                listener.close()
                reason = error.strerror
                continue
            self._listener, self.port = listener, port
            threading.Thread(target=self._serve, args=(listener,), name="admin", daemon=True).start()
            _log.info("admin.listening", host=self._host, port=port)
            return True
        _log.error("admin.cannot_listen", host=self._host, port=self._first_port, reason=reason)
        return False

    def stop(self) -> None:
        """Stop listening. An answer in progress ends with the process."""
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
            self._listener.close()
            self._listener = None

    def _serve(self, listener: socket.socket) -> None:
        while self._listener is listener:
            try:
                connection, _ = listener.accept()
            except OSError:
                if self._listener is listener:
                    time.sleep(0.1)  # no file descriptor is free
                continue
            if self._admit(connection):
                threading.Thread(
                    target=self._converse, args=(connection,), name="admin-request", daemon=True
                ).start()

    def _admit(self, connection: socket.socket) -> bool:
        """Close the oldest connection without a request if there are too many. Returns False if there is no
        such connection."""
        with self._guard:
            if len(self._connections) >= MAX_CONNECTIONS:
                silent = next((one for one, asked in self._connections.items() if not asked), None)
                if silent is None:
                    connection.close()
                    return False
                del self._connections[silent]
                with suppress(OSError):
                    silent.shutdown(socket.SHUT_RDWR)
            self._connections[connection] = False
        return True

    def _converse(self, connection: socket.socket) -> None:
        try:
            head = _read_head(connection)
            with self._guard:
                self._connections[connection] = True
            deadline = time.monotonic() + ANSWER_SECONDS
            with closing(self._answer(head)) as parts:
                for part in parts:
                    connection.settimeout(max(0.001, deadline - time.monotonic()))
                    connection.sendall(part)
        except OSError:  # the peer is slow or gone, so it cannot get an error
            pass
        except Exception:  # noqa: BLE001 - a defect in one page must not stop the others
            _log.exception("admin.request_failed")
        finally:
            with self._guard:
                self._connections.pop(connection, None)
            connection.close()

    def _answer(self, head: bytes) -> Generator[bytes]:
        line, _, fields = head.decode("latin-1").partition("\r\n")
        method, target, *version = [*line.split(" "), "", ""]
        if version[:1] not in (["HTTP/1.1"], ["HTTP/1.0"]):
            return _short(Page(status=400, text="not an HTTP/1 request\n"))
        make = self._pages.get(target.partition("?")[0])
        if make is None:
            return _short(Page(status=404, text=f"there are {', '.join(self._pages)}\n"))
        if method != "GET":
            return _short(Page(status=405, text="GET only\n"))
        page = make()
        return (
            _short(page)
            if page.stream is None
            else self._streamed(page.stream, fields.lower(), chunked=version[0] == "HTTP/1.1")
        )

    def _streamed(self, stream: Iterable[str], fields: str, *, chunked: bool) -> Generator[bytes]:
        """Yield a long answer while it is made, compressed if the client accepts it. If it ends early,
        HTTP/1.1 clients notice the missing last chunk."""
        if not self._rendering.acquire(blocking=False):
            yield from _short(Page(status=503, text="asked too often at once\n"))
            return
        try:
            accepted = next(
                (line for line in fields.split("\r\n") if line.startswith("accept-encoding:")), ""
            )
            zipped = "gzip" in accepted
            yield _head(
                200,
                "\r\n".join(["Content-Encoding: gzip"] * zipped + ["Transfer-Encoding: chunked"] * chunked),
            )
            for part in _zipped(_joined(stream)) if zipped else (text.encode() for text in _joined(stream)):
                yield b"%x\r\n%b\r\n" % (len(part), part) if chunked else part
            if chunked:
                yield b"0\r\n\r\n"
        finally:
            self._rendering.release()


def _read_head(connection: socket.socket) -> bytes:
    """Return the request line and fields. Raises OSError when they are too long, or take too long in
    total."""
    head, deadline = b"", time.monotonic() + HEAD_SECONDS
    while b"\r\n\r\n" not in head:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        part = connection.recv(MAX_HEAD_BYTES)
        head += part
        if not part or len(head) > MAX_HEAD_BYTES:
            raise OSError
    return head


def _short(page: Page) -> Generator[bytes]:
    body = page.text.encode()
    yield _head(page.status, f"Content-Length: {len(body)}") + body


def _head(status: int, fields: str) -> bytes:
    lines = [
        f"HTTP/1.1 {status} {_REASONS[status]}",
        f"Content-Type: {CONTENT_TYPE}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    return "\r\n".join([*lines, *filter(None, [fields]), "", ""]).encode()


def _joined(stream: Iterable[str]) -> Iterator[str]:
    """Join the texts into parts that are large enough to send."""
    parts: list[str] = []
    size = 0
    for text in stream:
        parts.append(text)
        size += len(text)
        if size >= _CHUNK_CHARACTERS:
            yield "".join(parts)
            parts, size = [], 0
    if parts:
        yield "".join(parts)


def _zipped(texts: Iterable[str]) -> Iterator[bytes]:
    zipper = zlib.compressobj(1, wbits=31)
    for text in texts:
        if part := zipper.compress(text.encode()):
            yield part
    yield zipper.flush()
