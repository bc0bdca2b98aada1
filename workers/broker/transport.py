"""The Redis transport of kombu 5.7, with two faults repaired (measured: celery.md §0.2, §0.3).

An item that is not an envelope stops a worker, or makes it reconnect for ever. Here every item passes
`messages.readable` before kombu parses it. A connection lost during BRPOP leaves the channel half closed,
which ends the worker with an AttributeError. Here `close` continues."""

from __future__ import annotations

import time
from queue import Empty
from typing import Any, cast

import celery.app.amqp
import kombu
import redis
from kombu.transport import redis as kombu_redis
from kombu.utils.encoding import bytes_to_str

from certmill.state.server import failover
from workers.broker.messages import readable

PAUSE_SECONDS = 1.0
"""The pause of a queue after one of its messages was given back, because a server that the message needs does
not answer."""

CREDENTIALS = "certmill_credentials"
"""The transport option that says where each connection reads user and password (redis.CredentialProvider)."""


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
_Connection: Any = kombu.Connection
_Amqp: Any = celery.app.amqp.AMQP


class GuardedChannel(_Channel):  # type: ignore[misc]
    """A channel that reads with GuardedRedis, and can be closed when its connection is broken."""

    connection_class = failover.Connection
    connection_class_ssl = failover.SSLConnection
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


class GuardedConnection(_Connection):  # type: ignore[misc]
    """A connection with GuardedTransport.

    The setting `broker_transport` would replace the scheme of the URL that Flower shows and parses
    (kombu.Connection.as_uri)."""

    def __init__(self, *args: Any, transport_options: dict[str, Any] | None = None, **kwargs: Any) -> None:
        # Celery has a setting for transport options, and none for kombu's `credential_provider`.
        options = transport_options or {}
        kwargs.setdefault("credential_provider", options.get(CREDENTIALS))
        super().__init__(*args, transport_options=options, **kwargs)

    def get_transport_cls(self) -> type[GuardedTransport]:
        return GuardedTransport


class Amqp(_Amqp):  # type: ignore[misc]
    """Celery's AMQP, with our connection (`App.amqp_cls`)."""

    Connection = GuardedConnection
