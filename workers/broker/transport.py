"""The Redis transport of kombu 5.7 with two faults mended (measured: celery.md §0.2, §0.3), and doorbells
taken for what they are.

An item that is no envelope stops a worker, or has it reconnect for ever: here every item passes
`messages.readable` before kombu sees it. A connection lost while BRPOP is under way leaves the channel half
closed, which ends the worker with an AttributeError: here `close` goes on. And a step's message may be lost,
as the tick rings again (design §2): no copy of it is kept in Redis while it is worked on."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty
from typing import Any, cast

import kombu.transport
import redis
from kombu.transport import redis as kombu_redis
from kombu.transport.virtual import QoS as InMemory
from kombu.utils.encoding import bytes_to_str

from certmill.contract import STEPS_QUEUE
from certmill.state.server import failover
from workers.broker.messages import readable

PAUSE_SECONDS = 1.0
"""After a message was given back: what it needs is away."""

_NAME = "workers.broker.transport:GuardedTransport"


class GuardedRedis(redis.Redis):
    """A client whose BRPOP answers nothing but envelopes."""

    def parse_response(
        self, connection: Any, command_name: Any, **options: Any
    ) -> Any:  # redis-py's own signature
        response = super().parse_response(connection, command_name, **options)  # type: ignore[no-untyped-call]
        if command_name != "BRPOP" or not response:
            return response
        key, item = response
        queue = bytes_to_str(key).rsplit(GuardedChannel.sep, 1)[0]
        return key, readable(item if isinstance(item, bytes) else str(item).encode(), queue)


_Channel: Any = kombu_redis.Channel  # its stubs know none of what is mended here
_QoS: Any = kombu_redis.QoS


class WakeUpQoS(_QoS):  # type: ignore[misc]
    """What was taken and is not done yet. kombu keeps a copy in Redis of each message and removes it again: a
    quarter of a busy worker's time. Of a step's it is enough to know it in here, so that no more are taken
    than there are threads, and that a worker which stops gives back what it has not begun. A request or a
    look, of which the message is all there is, is kept as by kombu."""

    def append(self, message: Any, delivery_tag: str) -> None:
        if _is_wake_up(message):
            InMemory.append(self, message, delivery_tag)
        else:
            super().append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        if self._has_wake_up(delivery_tag):
            InMemory.ack(self, delivery_tag)
        else:
            super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # kombu's own signature
        if not self._has_wake_up(delivery_tag):
            # the queue gives out at once what it gets back: without a pause the same message would go round
            # and round
            if requeue:
                self.channel.pause(self._delivered[delivery_tag].delivery_info["routing_key"])
            super().reject(delivery_tag, requeue=requeue)
            return
        if requeue:
            self._give_back([self._delivered[delivery_tag]])
        InMemory.ack(self, delivery_tag)

    def restore_unacked(self, client: Any = None) -> None:
        self._flush()  # what is acknowledged is done
        wake_ups = [message for message in self._delivered.values() if _is_wake_up(message)]
        super().restore_unacked(client)
        with suppress(*self.channel.connection_errors):  # the tick rings what cannot be given back
            self._give_back(wake_ups)

    def _has_wake_up(self, delivery_tag: str) -> bool:
        return delivery_tag in self._delivered and _is_wake_up(self._delivered[delivery_tag])

    def _give_back(self, messages: Sequence[Any]) -> None:
        if messages:
            with self.channel.conn_or_acquire() as client:
                client.rpush(STEPS_QUEUE, *(json.dumps(message._raw) for message in messages))  # noqa: SLF001 - as kombu's own


def _is_wake_up(message: Any) -> bool:
    return bool(message.delivery_info["routing_key"] == STEPS_QUEUE)


class GuardedChannel(_Channel):  # type: ignore[misc]
    """A channel that reads with GuardedRedis, and can be closed when its connection is broken."""

    QoS = WakeUpQoS
    connection_class = failover.Connection
    connection_class_ssl = failover.SSLConnection
    credentials: failover.FileCredentials | None = None
    _in_poll: Any  # the connection that BRPOP is under way on
    _own_client: redis.Redis | None = None

    def pause(self, queue: str) -> None:
        """Take nothing from this queue for PAUSE_SECONDS. No thread waits meanwhile."""
        self._queue_cycle.pause(queue, time.monotonic() + PAUSE_SECONDS)

    def _create_client(self, asynchronous: bool = False) -> redis.Redis:
        """kombu makes a client for each publish and each acknowledgement: a tenth of a busy worker's time.
        One does, over the same pool."""
        if asynchronous:
            return cast("redis.Redis", super()._create_client(asynchronous=True))
        if self._own_client is None:
            self._own_client = cast("redis.Redis", super()._create_client())
        return self._own_client

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        found: dict[str, Any] = super()._connparams(asynchronous=asynchronous)
        if self.credentials is not None:
            found.update(username=None, password=None, credential_provider=self.credentials)
        return found

    def _get_client(self) -> type[redis.Redis]:
        super()._get_client()  # checks redis-py's version
        return GuardedRedis

    def close(self) -> None:
        self._closing = True
        if self._in_poll:
            try:
                self._brpop_read()
            except Empty:
                pass
            except self.connection_errors:
                self._in_poll = None
        super().close()
        if (
            self._own_client is not None
        ):  # what is given back goes over a connection that kombu has closed before
            self._own_client.connection_pool.disconnect()


class GuardedTransport(kombu_redis.Transport):
    """kombu's transport `redis` with our channel."""

    Channel = GuardedChannel


def install(credentials: failover.FileCredentials | None = None) -> None:
    """Make redis:// and rediss:// mean GuardedTransport in this process. `credentials`: those of each
    connection."""
    GuardedChannel.credentials = credentials
    for scheme in ("redis", "rediss"):
        kombu.transport.TRANSPORT_ALIASES[scheme] = _NAME
        resolved: dict[str, type] = vars(kombu.transport)["_transport_cache"]
        resolved.pop(scheme, None)  # somebody may have connected before
