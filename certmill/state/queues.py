"""Names the Redis lists of a queue, and counts the messages in them.

kombu stores a message by its priority in one of four lists, and workers read all of them. certmill sends its
own messages without a priority, but another app may send a request with one."""

from __future__ import annotations

from typing import Final, cast

import redis
from redis.client import Pipeline

_SEPARATOR: Final = "\x06\x16"
_PRIORITIES: Final = (3, 6, 9)
"""The lowest priority of each list but the first, which has kombu's name of the queue itself."""
LISTS: Final = 1 + len(_PRIORITIES)
"""The number of lists of a queue."""


def lists_of(queue: str) -> tuple[str, ...]:
    """Return the names of the lists of this queue, in the order in which workers read them (kombu's
    Channel._q_for_pri)."""
    return (queue, *(f"{queue}{_SEPARATOR}{priority}" for priority in _PRIORITIES))


def add_lengths(pipe: Pipeline, queue: str) -> None:
    """Add to the pipeline the lengths of the lists of this queue: LISTS answers."""
    for name in lists_of(queue):
        pipe.llen(name)


def length_of(client: redis.Redis, queue: str) -> int:
    """Return the number of messages in this queue, with one round trip."""
    with client.pipeline(transaction=False) as pipe:
        add_lengths(pipe, queue)
        return sum(cast("list[int]", pipe.execute()))
