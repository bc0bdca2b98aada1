"""The shared HTTP-01 responder: one small asyncio server that answers `GET
/.well-known/acme-challenge/<token>` for the token's host.

It is reachable from the Internet, so there are limits for the size and the time of a request head (slow
loris), the connections, and the threads that read the store. It serves one request per connection, reads no
body, and sends no version. Only threads read the store, never the event loop.

A token is answered only under the host of its challenge. The CA chooses the token; without this check a
malicious CA could make another CA's validation succeed for every name that is routed to this responder."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final

from certmill.errors import InvalidManifest, StateUnavailable
from certmill.http01.base import WELL_KNOWN_PATH, KeyAuthorizations, is_token
from certmill.http01.connections import Connections
from certmill.http01.request import BadRequest, Request, parse, shared_hosts
from certmill.observe.log import get_logger

HEALTH_PATH: Final = "/healthz"
"""Answers 200 while the process serves. It does not check the store, because a restart of this process would
not repair it."""

MAX_HEAD_BYTES: Final = 8192
MAX_CONNECTIONS: Final = 512
MAX_LOOK_UPS: Final = MAX_CONNECTIONS - 64
"""Limit for requests that wait for the store. If the store is slow, the other connections still get answers
that do not need it."""
_STORE_THREADS: Final = 8

log = get_logger(__name__)


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
    """Serves the key authorizations of `store` on `host`:`port`. Port 0 means any free port; `.port` returns
    it after `start`.

    `shared`: hosts under which every token is answered. Raises InvalidManifest if one is not a valid host."""

    def __init__(
        self,
        store: KeyAuthorizations,
        host: str,
        port: int,
        *,
        shared: Iterable[str] = (),
        timeout_seconds: float = 5.0,
    ) -> None:
        self._store = store
        self._shared = shared_hosts(shared)
        self._host = host
        self._requested_port = port
        self._timeout_seconds = timeout_seconds
        self._port: int | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._connections: Connections[asyncio.StreamWriter] = Connections(MAX_CONNECTIONS)
        self._conversations: set[asyncio.Task[None]] = set()
        self._look_ups = 0
        self._threads = ThreadPoolExecutor(_STORE_THREADS, thread_name_prefix="http01-store")

    @property
    def port(self) -> int:
        """The listening port; before `start` the requested port."""
        return self._requested_port if self._port is None else self._port

    @property
    def serves(self) -> bool:
        """Whether the serving thread is alive."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Listen, and serve from a thread; returns when connections are accepted. Raises InvalidManifest if
        the address or port cannot be used."""
        listening: Future[int] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(listening)), name="http01-responder", daemon=True
        )
        self._thread.start()
        try:
            self._port = listening.result()
        except (
            OSError,
            ValueError,
            OverflowError,
        ) as error:  # an invalid name is a ValueError, a port above 65535 an OverflowError
            self._thread.join()
            why = (error.strerror if isinstance(error, OSError) else None) or "the address is not usable"
            reason = f"cannot listen on {self._host} port {self._requested_port}: {why}"
            raise InvalidManifest(reason, path="CERTMILL_RESPONDER_PORT") from error

    def stop(self) -> None:
        """Stop listening, abort open connections, and wait for the end of the thread. Does nothing if it was
        not started."""
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
        except (OSError, ValueError, OverflowError) as error:
            listening.set_exception(error)
            return
        listening.set_result(int(server.sockets[0].getsockname()[1]))
        await self._stopping.wait()
        server.close()
        for connection in self._connections.all():
            connection.transport.abort()
        for conversation in tuple(self._conversations):
            conversation.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (silent := self._connections.to_cut()) is not None:
            self._connections.remove(silent)
            silent.transport.abort()
        if not self._connections.has_room():
            writer.transport.abort()
            return
        self._connections.add(writer, _address(writer))
        conversation = asyncio.create_task(self._converse(reader, writer))
        self._conversations.add(conversation)
        conversation.add_done_callback(self._conversations.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                head = await self._read_head(reader)
            self._connections.note_activity(writer)
            answer = head if isinstance(head, _Answer) else await self._answer(head)
            writer.write(answer.encode())
            async with asyncio.timeout(self._timeout_seconds):
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError):  # the peer is slow or gone, so no answer can be sent
            pass
        finally:
            self._connections.remove(writer)
            writer.transport.abort()

    async def _read_head(self, reader: asyncio.StreamReader) -> str | _Answer:
        """The request line and fields; an error answer if the head is too large or incomplete."""
        try:
            return (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.LimitOverrunError:
            return _Answer(status=HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        except asyncio.IncompleteReadError:
            return _Answer(status=HTTPStatus.BAD_REQUEST)

    async def _answer(self, head: str) -> _Answer:
        try:
            request = parse(head)
        except BadRequest:
            return _Answer(status=HTTPStatus.BAD_REQUEST)
        is_health, token = request.path == HEALTH_PATH, request.path.removeprefix(WELL_KNOWN_PATH)
        if not is_health and not (request.path.startswith(WELL_KNOWN_PATH) and is_token(token)):
            return _Answer(status=HTTPStatus.NOT_FOUND)
        if request.method not in ("GET", "HEAD"):
            return _Answer(status=HTTPStatus.METHOD_NOT_ALLOWED)
        answer = (
            _Answer(status=HTTPStatus.OK, body=b"ok\n") if is_health else await self._look_up(token, request)
        )
        return replace(answer, head_only=request.method == "HEAD")

    async def _look_up(self, token: str, request: Request) -> _Answer:
        if self._look_ups >= MAX_LOOK_UPS:
            return _Answer(status=HTTPStatus.SERVICE_UNAVAILABLE)
        self._look_ups += 1
        try:
            async with asyncio.timeout(self._timeout_seconds):
                found = await asyncio.get_running_loop().run_in_executor(
                    self._threads, self._store.get, token
                )
        except (StateUnavailable, TimeoutError):
            return _Answer(status=HTTPStatus.SERVICE_UNAVAILABLE)
        finally:
            self._look_ups -= 1
        if found is None:
            return _Answer(status=HTTPStatus.NOT_FOUND)
        if not found.is_for(request.host) and request.host not in self._shared:
            log.warning(
                "responder.other_host",
                asked=request.host,
                answered_for=sorted(found.hosts),
                see="docs/http01.md",
            )
            return _Answer(status=HTTPStatus.MISDIRECTED_REQUEST)
        return _Answer(status=HTTPStatus.OK, body=found.text.encode())


def _address(writer: asyncio.StreamWriter) -> str:
    """The peer's address; "" if the connection is closed already."""
    peer = writer.get_extra_info("peername")
    return str(peer[0]) if peer else ""
