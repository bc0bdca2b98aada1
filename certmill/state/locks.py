"""Locks in Redis that have an owner and expire. After taking a lock, check again whether the work is still
needed."""

from __future__ import annotations

from typing import cast

import redis

from certmill.model.names import CertificateId
from certmill.state import keys
from certmill.state.record import Record
from certmill.state.server.connection import answering, script


class Locks:
    """The locks. Taking a lock that the owner already has renews it, so a step may run twice. Every method
    raises StateUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._lock = script(client, "lock")
        self._unlock = script(client, "unlock")

    @answering
    def take(self, purpose: str, *subject: str, owner: str, seconds: float) -> str:
        """Take the lock for `seconds`. Returns an empty string if the lock is ours now, else the name of its
        owner."""
        return cast("str", self._lock(keys=[keys.lock(purpose, *subject)], args=[owner, int(seconds * 1000)]))

    @answering
    def take_for_step(
        self, purpose: str, *subject: str, certificate: CertificateId, fence: int, before: str, seconds: float
    ) -> str | None:
        """Take the lock like `take`, with the certificate as owner. The record stores the key of the lock
        (`Record.lock`) in place of the key `before`.

        Namespaces that wait for the same lock take turns. Returns None, and takes nothing, if the step with
        this fence is no longer the newest."""
        name = keys.lock(purpose, *subject)
        names = [name, keys.record(certificate), before or name, keys.turns(purpose, *subject)]
        owner = cast("str", self._lock(keys=names, args=[certificate, int(seconds * 1000), fence]))
        return None if owner == "!" else owner

    @answering
    def release(self, purpose: str, *subject: str, owner: str) -> None:
        """Release the lock, if it is still ours."""
        self._unlock(keys=[keys.lock(purpose, *subject)], args=[owner])

    @answering
    def release_of(self, record: Record, certificate: CertificateId) -> None:
        """Release the lock that `take_for_step` took, if the certificate still owns it."""
        if record.lock:
            self._unlock(keys=[record.lock], args=[certificate])
