"""Puts requests on the broker's queue, for services that do not use Celery."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence

import redis

from certmill.contract import envelope
from certmill.state.server.connection import answering


class RedisSender:
    """Publishes a Celery message (protocol 2) like kombu's Redis transport, but without kombu: one LPUSH."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    @answering
    def __call__(
        self, name: str, *, args: Sequence[object], queue: str, task_id: str, argsrepr: str, **options: object
    ) -> None:
        """Put one task on a queue. Raises StateUnavailable when Redis does not answer."""
        message = envelope(
            name,
            args,
            queue=queue,
            task_id=task_id,
            argsrepr=argsrepr,
            origin=f"{os.getpid()}@{socket.gethostname()}",
        )
        self._redis.lpush(queue, json.dumps(message))
