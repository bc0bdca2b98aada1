"""Which installation uses this Redis: noted by its first process, and again after the memory of Redis was lost."""

from __future__ import annotations

from typing import cast

import redis

from certmill.errors import OtherInstallation
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


def require_same(own: str, noted: str) -> None:
    """Raise OtherInstallation unless the installation that is noted in Redis ("": none) is ours."""
    if noted not in ("", own):
        raise OtherInstallation(
            f"another installation of certmill (id {noted}) uses this Redis, and the id of this home is {own}: give each installation a "
            "Redis of its own (CERTMILL_REDIS_URL; another database number will do). If the other one is gone for good, empty this "
            "database (`redis-cli FLUSHDB`): what is in it is of the other home"
        )
