"""The consumer of every worker. It refuses the messages that `messages.clean` refuses, survives a broken
connection, and reports liveness.

A refused message is removed from the broker. If it came from the requests queue, it is stored with its reason
(`App.on_rejected`). Gossip and mingle are always off, and flags cannot turn them on. The worker therefore
does not communicate with unknown workers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from celery.exceptions import WorkerShutdown
from celery.utils.log import get_logger
from celery.worker.consumer import Consumer

from certmill.contract import REQUESTS_QUEUE
from certmill.errors import OtherInstallation, Temporary
from certmill.observe import log
from workers.admin.liveness import EVERY_SECONDS
from workers.broker.headers import Refusal
from workers.broker.messages import Message, certificate_of, clean, digest, id_of
from workers.continuation import RUNS_AT_WORK

_log = log.get_logger(__name__)
_celery_log = get_logger(__name__)

_EVENTS_EVERY_SECONDS = 0.1
STUCK_SECONDS = 600.0
"""Longer than any task may take."""

Rejected = Callable[[str, str, str], None]
"""Stores a refused request: its task id (or `unreadable-` and a digest), its namespace/name (or an empty
string), and the reason."""


_Consumer: Any = Consumer  # the stubs are incomplete


class SafeConsumer(_Consumer):  # type: ignore[misc]
    """Celery's consumer, with the guard."""

    _flush_at = 0.0  # monotonic clock

    def __init__(
        self, *args: Any, worker_options: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:  # Celery's own signature
        quiet = {"without_gossip": True, "without_mingle": True}
        super().__init__(*args, worker_options={**(worker_options or {}), **quiet}, **kwargs)

    def on_send_event_buffered(self) -> None:
        """Publish events ten times a second. Celery publishes them after each turn of its loop, which takes a
        tenth of a busy worker's time.

        The threads of the pool call this too, but the timer belongs to the loop. If a reconnection removes
        the timer, it is planned again."""
        now = time.monotonic()
        if self.hub and now >= self._flush_at:
            self._flush_at = now + _EVENTS_EVERY_SECONDS
            self.hub.call_soon(self.hub.call_later, _EVENTS_EVERY_SECONDS, self._flush_events)

    def shutdown(self) -> None:
        """Publish the remaining events. Celery calls this when the last task has ended, and the loop does not
        turn again."""
        self._flush_events()
        super().shutdown()

    def ensure_connected(self, conn: Any) -> Any:
        """Connect as Celery does, but count as live meanwhile: Redis may not answer for an hour."""
        with self.app.liveness.connecting():
            return super().ensure_connected(conn)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Prepare a new connection. Celery calls this once for each connection, before any message is taken.
        The timer belongs to the loop, and is removed with the connection."""
        self._require_own_redis()
        handle: Callable[[Any], None] = super().create_task_handler(*args, **kwargs)
        self.pool.consumer = self
        self.timer.call_repeatedly(EVERY_SECONDS, self.app.liveness.turned)
        self.app.liveness.require("all threads are stuck in their tasks", self._has_thread)

        def on_task_received(message: Any) -> None:  # a kombu.transport.virtual.Message
            received = _received(message)
            try:
                accepted = clean(received)
            except Refusal as refusal:
                self._refuse(message, received, str(refusal))
                return
            message.headers, message.body = accepted.headers, accepted.body
            handle(message)

        return on_task_received

    def _require_own_redis(self) -> None:
        """Stop the worker if Redis belongs to another installation. While Redis does not answer, this cannot
        be checked; each wake tick checks it again."""
        try:
            self.app.require_own_redis()
        except OtherInstallation as error:
            _log.error("worker.cannot_start", reason=str(error))
            raise WorkerShutdown(1) from None
        except Temporary as error:
            _log.warning("installation.not_checked", reason=str(error))

    def _has_thread(self) -> bool:
        """Whether a thread is free, or a thread has begun its task within the time that any step may take."""
        return RUNS_AT_WORK.have_thread(self.pool.num_processes, STUCK_SECONDS)

    def _refuse(self, message: Any, received: Message, reason: str) -> None:
        headers = received.headers if isinstance(received.headers, dict) else {}
        sha256 = headers.get("sha256") if not received.body else digest(received.body)
        _log.error("message.refused", reason=reason, queue=received.queue, sha256=sha256)
        if received.queue == REQUESTS_QUEUE:
            try:
                self.app.on_rejected(
                    id_of(received) or f"unreadable-{sha256}", certificate_of(received), reason
                )
            except Temporary as error:  # not acknowledged: delivered again after the visibility time-out
                _log.warning("request.rejection_delayed", error=str(error))
                return
            except Exception:  # noqa: BLE001 - one bad message must not stop a worker, whatever fails here
                _log.exception("request.rejection_lost")
        message.reject_log_error(_celery_log, self.connection_errors)

    def on_connection_error_after_connected(self, exc: BaseException) -> None:
        """Continue when kombu's own code fails while it closes the dead connection (None.hostname)."""
        try:
            super().on_connection_error_after_connected(exc)
        except AttributeError as error:
            _log.warning("broker.connection_dropped", error=repr(error))
            self.connection = None


def _received(message: Any) -> Message:
    body = message.body
    return Message(
        queue=str(message.delivery_info.get("routing_key", "")),
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        headers=message.headers,
        body=body if isinstance(body, bytes) else str(body or "").encode(),
    )
