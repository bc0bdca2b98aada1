"""Which installation uses this Redis: noted by its first process, and again after the memory of Redis was lost."""

from __future__ import annotations

from typing import cast

import redis

from certmill.state import keys
from certmill.state.connection import answering


class InstallationRecord:
    """The note in Redis. Every method raises StateUnavailable when Redis is away."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    @answering
    def claim(self, own: str) -> str:
        """The id of the installation that uses this Redis: `own`, unless another has been noted before."""
        with self._redis.pipeline() as pipe:
            pipe.set(keys.INSTALLATION, own, nx=True)
            pipe.get(keys.INSTALLATION)
            return cast("str", pipe.execute()[-1])

    @answering
    def read(self) -> str:
        """The id that is noted, or ""."""
        return cast("str | None", self._redis.get(keys.INSTALLATION)) or ""
