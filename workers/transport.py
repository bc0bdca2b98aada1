"""The Redis transport of kombu 5.7 with two faults mended (measured: celery.md §0.2, §0.3).

An item that is no envelope stops a worker, or has it reconnect for ever: here every item passes `messages.readable` before kombu sees
it. And a connection lost while BRPOP is under way leaves the channel half closed, which ends the worker with an AttributeError: here
`close` goes on.
"""

from __future__ import annotations

from queue import Empty
from typing import Any, cast

import kombu.transport
import redis
from kombu.transport import redis as kombu_redis
from kombu.utils.encoding import bytes_to_str

from workers.messages import readable

_NAME = "workers.transport:GuardedTransport"


class GuardedRedis(redis.Redis):
    """A client whose BRPOP answers nothing but envelopes."""

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:  # redis-py's own signature
        response = super().parse_response(connection, command_name, **options)  # type: ignore[no-untyped-call]
        if command_name != "BRPOP" or not response:
            return response
        key, item = response
        queue = bytes_to_str(key).rsplit(GuardedChannel.sep, 1)[0]
        return key, readable(item if isinstance(item, bytes) else str(item).encode(), queue)


_Channel: Any = kombu_redis.Channel  # its stubs know none of what is mended here


class GuardedChannel(_Channel):  # type: ignore[misc]
    """A channel that reads with GuardedRedis, and can be closed when its connection is broken."""

    _in_poll: Any  # the connection that BRPOP is under way on
    _own_client: redis.Redis | None = None

    def _create_client(self, asynchronous: bool = False) -> redis.Redis:
        """kombu makes a client for each publish and each acknowledgement: a tenth of a busy worker's time. One does, over the same pool."""
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


class GuardedTransport(kombu_redis.Transport):
    """kombu's transport `redis` with our channel."""

    Channel = GuardedChannel


def install() -> None:
    """Make redis:// and rediss:// mean GuardedTransport in this process."""
    for scheme in ("redis", "rediss"):
        kombu.transport.TRANSPORT_ALIASES[scheme] = _NAME
        resolved: dict[str, type] = vars(kombu.transport)["_transport_cache"]
        resolved.pop(scheme, None)  # somebody may have connected before
