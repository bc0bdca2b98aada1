"""Many calls of the Lua scripts of certmill.state in one round trip, for a simulation of a million of them.

`Batch` stands in the place of the Redis client of Buckets and Records. Each call runs twice: first its script
and arguments are put into a pipeline, then it reads the answer that the pipeline has brought."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import redis

T = TypeVar("T")


class Batch:
    """A client that knows only scripts. `placeholder`: an answer that the calls accept in the first pass."""

    def __init__(self, client: redis.Redis, placeholder: object) -> None:
        self._redis = client
        self._placeholder = placeholder
        self._pipe: redis.client.Pipeline | None = None
        self._answers: Iterator[object] = iter(())

    def register_script(self, text: str) -> Callable[..., object]:
        """As redis.Redis."""
        sha = self._redis.script_load(text)  # a pipeline would ask for Scripts each time

        def call(*, keys: Sequence[str], args: Sequence[str | int | float]) -> object:
            if self._pipe is None:
                return next(self._answers)
            self._pipe.evalsha(sha, len(keys), *keys, *args)
            return self._placeholder

        return call

    def all(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """The result of each call, which must use this client and nothing that changes."""
        if not calls:
            return []
        with self._redis.pipeline(transaction=False) as pipe:
            self._pipe = pipe
            for call in calls:
                call()
            self._pipe = None
            self._answers = iter(pipe.execute())
        return [call() for call in calls]
