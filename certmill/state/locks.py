"""Locks with an owner and an end. Whoever gets one looks again whether the work is still needed."""

from __future__ import annotations

from typing import cast

import redis

from certmill.model.names import CertificateId
from certmill.state import keys
from certmill.state.record import Record
from certmill.state.server.connection import answering, script


class Locks:
    """Locks in Redis. Taking one that is the owner's already renews it, so a step may run twice."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._lock = script(client, "lock")
        self._unlock = script(client, "unlock")

    @answering
    def take(self, purpose: str, *subject: str, owner: str, seconds: float) -> str:
        """ "" if the lock is ours now for `seconds`, else the name of its owner."""
        return cast("str", self._lock(keys=[keys.lock(purpose, *subject)], args=[owner, int(seconds * 1000)]))

    @answering
    def take_for_step(
        self, purpose: str, *subject: str, certificate: CertificateId, fence: int, before: str, seconds: float
    ) -> str | None:
        """As take, owned by the certificate, whose record remembers it (`Record.lock`) in place of the one
        `before`.

        Of those that wait for it namespaces take turns. None if the step with this fence is no longer the
        newest: then nothing was taken."""
        name = keys.lock(purpose, *subject)
        names = [name, keys.record(certificate), before or name, keys.turns(purpose, *subject)]
        owner = cast("str", self._lock(keys=names, args=[certificate, int(seconds * 1000), fence]))
        return None if owner == "!" else owner

    @answering
    def release(self, purpose: str, *subject: str, owner: str) -> None:
        """Give it up, if it is still ours."""
        self._unlock(keys=[keys.lock(purpose, *subject)], args=[owner])

    @answering
    def release_of(self, record: Record, certificate: CertificateId) -> None:
        """Give up what `take_for_step` took, if it is still the certificate's."""
        if record.lock:
            self._unlock(keys=[record.lock], args=[certificate])
