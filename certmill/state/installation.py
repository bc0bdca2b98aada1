"""Records in Redis which installation uses it. The first process records the id, and records it again after
Redis has lost its memory."""

from __future__ import annotations

from typing import cast

import redis

from certmill.errors import OtherInstallation
from certmill.state import keys
from certmill.state.server.connection import answering, script


class InstallationRecord:
    """The recorded installation id. Every method raises StateUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._claim = script(client, "claim_installation")

    @answering
    def claim(self, own: str) -> str:
        """Return the id of the installation that uses this Redis: `own`, unless another id was recorded
        before.

        An earlier release of certmill recorded only the home. Such an id counts as `own` if it names the same
        home."""
        home, _, release = own.partition("/")
        recorded = cast(
            "list[str]",
            self._claim(keys=[keys.INSTALLATION, keys.INSTALLATION_RELEASE], args=[home, release]),
        )
        return _joined(*recorded)

    @answering
    def read(self) -> str:
        """Return the recorded id, or an empty string."""
        home, release = cast(
            "list[str | None]", self._redis.mget(keys.INSTALLATION, keys.INSTALLATION_RELEASE)
        )
        return _joined(home or "", release or "")


def _joined(home: str, release: str) -> str:
    return f"{home}/{release}" if release else home


def require_same(own: str, recorded: str) -> None:
    """Raise OtherInstallation unless the id recorded in Redis is ours or empty (none)."""
    if recorded not in ("", own):
        raise OtherInstallation(
            f"another installation of certmill (id {recorded}) uses this Redis, and the id of this home is "
            f"{own}: give each installation a "
            "Redis of its own (CERTMILL_REDIS_URL; another database number is enough). If the other one is "
            "gone for good, empty this "
            "database (`redis-cli FLUSHDB`): its content belongs to the other home"
        )
