"""The Redis transport of kombu 5.7, with two faults repaired (measured: celery.md §0.2, §0.3), and without a
copy in Redis of messages that are only wake-ups.

An item that is not an envelope stops a worker, or makes it reconnect for ever. Here every item passes
`messages.readable` before kombu parses it. A connection lost during BRPOP leaves the channel half closed,
which ends the worker with an AttributeError. Here `close` continues. A step's message can be lost, because
the tick publishes it again (design §2). So Redis stores no copy of it while the step runs."""

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
"""The pause of a queue after one of its messages was given back, because a server that the message needs does
not answer."""

_NAME = "workers.broker.transport:GuardedTransport"


class GuardedRedis(redis.Redis):
    """A Redis client whose BRPOP returns only envelopes."""

    def parse_response(
        self, connection: Any, command_name: Any, **options: Any
    ) -> Any:  # redis-py's own signature
        response = super().parse_response(connection, command_name, **options)  # type: ignore[no-untyped-call]
        if command_name != "BRPOP" or not response:
            return response
        key, item = response
        queue = bytes_to_str(key).rsplit(GuardedChannel.sep, 1)[0]
        return key, readable(item if isinstance(item, bytes) else str(item).encode(), queue)


_Channel: Any = kombu_redis.Channel  # the stubs do not have the members that are overridden here
_QoS: Any = kombu_redis.QoS


class WakeUpQoS(_QoS):  # type: ignore[misc]
    """The messages that were taken and are not acknowledged yet.

    kombu stores a copy of each message in Redis and removes it again, which takes a quarter of a busy
    worker's time. For a step's message an entry in memory is enough: the worker then takes no more messages
    than it has threads, and gives back on stop what it has not begun. The message of a request or of a
    reconcile request is the only copy, so it is stored as kombu does."""

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
            # The queue delivers a returned message at once. Without a pause the worker would take it again
            # without end.
            if requeue:
                self.channel.pause(self._delivered[delivery_tag].delivery_info["routing_key"])
            super().reject(delivery_tag, requeue=requeue)
            return
        if requeue:
            self._give_back([self._delivered[delivery_tag]])
        InMemory.ack(self, delivery_tag)

    def restore_unacked(self, client: Any = None) -> None:
        self._flush()  # acknowledged messages are done
        wake_ups = [message for message in self._delivered.values() if _is_wake_up(message)]
        super().restore_unacked(client)
        with suppress(*self.channel.connection_errors):  # the tick publishes what cannot be given back
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
    _in_poll: Any  # the connection on which BRPOP is in progress
    _own_client: redis.Redis | None = None

    def pause(self, queue: str) -> None:
        """Take nothing from this queue for PAUSE_SECONDS. No thread waits meanwhile."""
        self._queue_cycle.pause(queue, time.monotonic() + PAUSE_SECONDS)

    def _create_client(self, asynchronous: bool = False) -> redis.Redis:
        """Return one client over kombu's pool for all calls. kombu makes a client for each publish and each
        acknowledgement, which takes a tenth of a busy worker's time."""
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
        ):  # giving messages back opens a connection again that kombu has closed
            self._own_client.connection_pool.disconnect()


class GuardedTransport(kombu_redis.Transport):
    """kombu's transport `redis` with our channel."""

    Channel = GuardedChannel


def install(credentials: failover.FileCredentials | None = None) -> None:
    """Make redis:// and rediss:// mean GuardedTransport in this process. `credentials`: where each connection
    reads user and password."""
    GuardedChannel.credentials = credentials
    for scheme in ("redis", "rediss"):
        kombu.transport.TRANSPORT_ALIASES[scheme] = _NAME
        resolved: dict[str, type] = vars(kombu.transport)["_transport_cache"]
        resolved.pop(scheme, None)  # an earlier connection may have stored kombu's class
