"""Locks in Redis that have an owner and expire. After acquiring a lock, check again whether the work is still
needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import redis

from certmill.model.names import CertificateId
from certmill.state import keys
from certmill.state.record import Record
from certmill.state.server.connection import answering, script


class FenceOutdated(Exception):
    """Another worker has claimed the step since it was claimed with this fence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedBy:
    """The owner of a lock that could not be acquired, or the caller whose turn it is."""

    owner: str


class Locks:
    """The locks. Acquiring a lock that the owner already has renews it, so a step may run twice. Every method
    raises StateUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._lock = script(client, "lock")
        self._unlock = script(client, "unlock")

    @answering
    def acquire(self, purpose: str, *subject: str, owner: str, seconds: float) -> bool:
        """Acquire the lock for `seconds`, or renew it. Returns whether `owner` has it now."""
        answer = self._lock(keys=[keys.lock(purpose, *subject)], args=[owner, int(seconds * 1000)])
        return cast("list[str]", answer)[0] == "acquired"

    @answering
    def acquire_for_step(
        self, purpose: str, *subject: str, certificate: CertificateId, fence: int, before: str, seconds: float
    ) -> OwnedBy | None:
        """Acquire the lock like `acquire`, with the certificate as owner. The record stores the key of the
        lock (`Record.lock`) in place of the key `before`. Returns None if the certificate has the lock now,
        else its owner.

        Namespaces that wait for the same lock take turns. Raises FenceOutdated, and acquires nothing, if the
        step with this fence is no longer the newest."""
        name = keys.lock(purpose, *subject)
        names = [name, keys.record(certificate), before or name, keys.turns(purpose, *subject)]
        answer = self._lock(keys=names, args=[certificate, int(seconds * 1000), fence])
        result, *owner = cast("list[str]", answer)
        if result == "outdated":
            raise FenceOutdated
        return OwnedBy(owner=owner[0]) if result == "owned" else None

    @answering
    def release(self, purpose: str, *subject: str, owner: str) -> None:
        """Release the lock, if it is still ours."""
        self._unlock(keys=[keys.lock(purpose, *subject)], args=[owner])

    @answering
    def release_of(self, record: Record, certificate: CertificateId) -> None:
        """Release the lock that `acquire_for_step` acquired, if the certificate still owns it."""
        if record.lock:
            self._unlock(keys=[record.lock], args=[certificate])
