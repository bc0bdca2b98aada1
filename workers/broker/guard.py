"""The consumer of every worker: refuses what `messages.clean` refuses, outlives a broken connection, and says
that it lives.

A refused message is gone from the broker; one from the requests queue is kept with its reason
(`App.on_rejected`). Gossip and mingle, and with them the worker's talk with strangers, are off whoever starts
the worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from celery.exceptions import WorkerShutdown
from celery.utils.log import get_logger
from celery.worker.consumer import Consumer
from celery.worker.state import active_requests

from certmill.contract import REQUESTS_QUEUE
from certmill.errors import OtherInstallation, Temporary
from certmill.observe import log
from workers.admin.liveness import EVERY_SECONDS
from workers.broker.headers import Refusal
from workers.broker.messages import Message, certificate_of, clean, digest, id_of

_log = log.get_logger(__name__)
_celery_log = get_logger(__name__)

_EVENTS_EVERY_SECONDS = 0.1
STUCK_SECONDS = 600.0
"""Longer than any task may take."""

Rejected = Callable[[str, str, str], None]
"""Keeps a refused request: its task id (or `unreadable-` and a digest), namespace/name (or ""), and the
reason."""


_Consumer: Any = Consumer  # its stubs are incomplete


class SafeConsumer(_Consumer):  # type: ignore[misc]
    """Celery's consumer behind the guard."""

    _flush_at = 0.0  # of the monotonic clock

    def __init__(
        self, *args: Any, worker_options: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:  # Celery's own signature
        quiet = {"without_gossip": True, "without_mingle": True}
        super().__init__(*args, worker_options={**(worker_options or {}), **quiet}, **kwargs)

    def on_send_event_buffered(self) -> None:
        """Publish events ten times a second; Celery does after each turn of its loop, which takes a tenth of
        a busy worker's time.

        Called by the pool's threads too; the timer is the loop's own. A timer that a reconnection takes away
        is planned again."""
        now = time.monotonic()
        if self.hub and now >= self._flush_at:
            self._flush_at = now + _EVENTS_EVERY_SECONDS
            self.hub.call_soon(self.hub.call_later, _EVENTS_EVERY_SECONDS, self._flush_events)

    def shutdown(self) -> None:
        """Called when the last task has ended: what is still to be published of it is published now, as the
        loop turns no more."""
        self._flush_events()
        super().shutdown()

    def ensure_connected(self, conn: Any) -> Any:
        """Celery's own; Redis may be away for an hour."""
        with self.app.liveness.connecting():
            return super().ensure_connected(conn)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Called once a connection, before any message is taken; the timer is the loop's own, and is taken
        away with the connection."""
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
        """Another installation's Redis is left alone: the worker ends. While Redis is away nobody knows; each
        wake tick looks again."""
        try:
            self.app.require_own_redis()
        except OtherInstallation as error:
            _log.error("worker.cannot_start", reason=str(error))
            raise WorkerShutdown(1) from None
        except Temporary as error:
            _log.warning("installation.not_checked", reason=str(error))

    def _has_thread(self) -> bool:
        """Whether a thread is free, or has begun its task not longer ago than any step may take."""
        begun = [request.time_start or time.time() for request in tuple(active_requests)]
        return len(begun) < self.pool.num_processes or max(begun) > time.time() - STUCK_SECONDS

    def _refuse(self, message: Any, received: Message, reason: str) -> None:
        headers = received.headers if isinstance(received.headers, dict) else {}
        sha256 = headers.get("sha256") if not received.body else digest(received.body)
        _log.error("message.refused", reason=reason, queue=received.queue, sha256=sha256)
        if received.queue == REQUESTS_QUEUE:
            try:
                self.app.on_rejected(
                    id_of(received) or f"unreadable-{sha256}", certificate_of(received), reason
                )
            except Temporary as error:  # not acknowledged: it comes again after the visibility time-out
                _log.warning("request.rejection_delayed", error=str(error))
                return
            except Exception:  # noqa: BLE001 - whatever fails here, one bad message must not stop a worker
                _log.exception("request.rejection_lost")
        message.reject_log_error(_celery_log, self.connection_errors)

    def on_connection_error_after_connected(self, exc: BaseException) -> None:
        """Go on when tearing the dead connection down fails in kombu's own code (None.hostname)."""
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
