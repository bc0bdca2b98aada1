"""The shared HTTP-01 responder: one small asyncio server that answers `GET /.well-known/acme-challenge/<token>` for any Host.

It faces the Internet, so everything is bounded: the head of a request in size and in time (slow loris), the connections, the threads that
ask the store. One request a connection, no body is read, no version is told. The event loop never touches the store: threads do.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from certmill.errors import InvalidManifest, StateUnavailable
from certmill.http01.base import WELL_KNOWN_PATH, KeyAuthorizations, is_token

HEALTH_PATH: Final = "/healthz"
"""Answers 200 while the process serves; it does not ask the store, whose absence no restart of this process would cure."""

MAX_HEAD_BYTES: Final = 8192
MAX_CONNECTIONS: Final = 512
_STORE_THREADS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: HTTPStatus
    body: bytes = b""
    head_only: bool = False

    def encode(self) -> bytes:
        """The answer on the wire; a HEAD has the length of the body, not the body (RFC 9110 §9.3.2)."""
        lines = [
            f"HTTP/1.1 {self.status.value} {self.status.phrase}",
            "Content-Type: application/octet-stream",  # RFC 8555 §8.3
            f"Content-Length: {len(self.body)}",
            "X-Content-Type-Options: nosniff",
            "Cache-Control: no-store",
            "Connection: close",
        ]
        if self.status is HTTPStatus.METHOD_NOT_ALLOWED:
            lines.append("Allow: GET, HEAD")
        if self.status is HTTPStatus.SERVICE_UNAVAILABLE:
            lines.append("Retry-After: 1")
        head = "\r\n".join([*lines, "", ""]).encode("ascii")
        return head if self.head_only else head + self.body


class Responder:
    """Serve the key authorizations of `store` on `host`:`port` (0: any free port, told by `.port` once started)."""

    def __init__(self, store: KeyAuthorizations, host: str, port: int, *, timeout_seconds: float = 5.0) -> None:
        self._store = store
        self._host = host
        self._requested_port = port
        self._timeout_seconds = timeout_seconds
        self._port: int | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(_STORE_THREADS, thread_name_prefix="http01-store")

    @property
    def port(self) -> int:
        """The port that is listened on; the requested one before `start`."""
        return self._requested_port if self._port is None else self._port

    def start(self) -> None:
        """Listen, and serve from a thread; returns once connections are accepted. Raises InvalidManifest when it cannot listen there."""
        listening: Future[int] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(listening)), name="http01-responder", daemon=True)
        self._thread.start()
        try:
            self._port = listening.result()
        except OSError as error:
            self._thread.join()
            reason = f"cannot listen on {self._host} port {self._requested_port}: {error.strerror or 'the address is not usable'}"
            raise InvalidManifest(reason, path="CERTMILL_RESPONDER_PORT") from error

    def stop(self) -> None:
        """Stop listening, cut what is open, and return when the thread has ended. Not started: nothing to do."""
        if self._thread is None or self._loop is None:
            return
        with suppress(RuntimeError):  # the loop is closed: stopped before
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def serve(self, stop: threading.Event) -> None:
        """Serve until `stop` is set. Raises as `start`."""
        self.start()
        try:
            stop.wait()
        finally:
            self.stop()

    async def _run(self, listening: Future[int]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        try:
            server = await asyncio.start_server(
                self._accept, self._host, self._requested_port, limit=MAX_HEAD_BYTES, backlog=MAX_CONNECTIONS
            )
        except OSError as error:
            listening.set_exception(error)
            return
        listening.set_result(int(server.sockets[0].getsockname()[1]))
        await self._stopping.wait()
        server.close()
        for connection in tuple(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        connection = asyncio.create_task(self._converse(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                head = await self._read_head(reader)
            answer = head if isinstance(head, _Answer) else await self._answer(head)
            writer.write(answer.encode())
            async with asyncio.timeout(self._timeout_seconds):
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError):  # the peer is slow or gone: nobody is there to be told
            pass
        finally:
            writer.transport.abort()

    async def _read_head(self, reader: asyncio.StreamReader) -> str | _Answer:
        """The request line and fields, or the refusal of a head that is too large or cut."""
        try:
            return (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.LimitOverrunError:
            return _Answer(status=HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        except asyncio.IncompleteReadError:
            return _Answer(status=HTTPStatus.BAD_REQUEST)

    async def _answer(self, head: str) -> _Answer:
        request = head.split("\r\n", 1)[0].split(" ")
        if len(request) != 3 or not request[2].startswith("HTTP/1."):
            return _Answer(status=HTTPStatus.BAD_REQUEST)
        method, target, _ = request
        path = _path(target)
        is_health, token = path == HEALTH_PATH, path.removeprefix(WELL_KNOWN_PATH)
        if not is_health and not (path.startswith(WELL_KNOWN_PATH) and is_token(token)):
            return _Answer(status=HTTPStatus.NOT_FOUND)
        if method not in ("GET", "HEAD"):
            return _Answer(status=HTTPStatus.METHOD_NOT_ALLOWED)
        if is_health:
            return _Answer(status=HTTPStatus.OK, body=b"ok\n", head_only=method == "HEAD")
        return await self._look_up(token, head_only=method == "HEAD")

    async def _look_up(self, token: str, *, head_only: bool) -> _Answer:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                key_authorization = await asyncio.get_running_loop().run_in_executor(self._threads, self._store.get, token)
        except (StateUnavailable, TimeoutError):
            return _Answer(status=HTTPStatus.SERVICE_UNAVAILABLE, head_only=head_only)
        if key_authorization is None:
            return _Answer(status=HTTPStatus.NOT_FOUND, head_only=head_only)
        return _Answer(status=HTTPStatus.OK, body=key_authorization.encode(), head_only=head_only)


def _path(target: str) -> str:
    """The path of a request target in origin-form or absolute-form (RFC 9112 §3.2), without its query."""
    if target[:7].lower() == "http://":
        target = "/" + target[7:].partition("/")[2]
    return target.partition("?")[0]
