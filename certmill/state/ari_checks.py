"""The index of the requests for renewal information (RFC 9773): when the CA of each certificate is asked
next."""

from __future__ import annotations

from typing import cast

import redis

from certmill.model.names import CertificateId
from certmill.state import keys
from certmill.state.server.connection import answering, script


class AriChecks:
    """The times of the next requests, in seconds since the epoch. Every method raises StateUnavailable when
    Redis does not answer."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._take = script(client, "take_checks")

    @answering
    def take(self, *, now: float, again_at: float, limit: int) -> list[CertificateId]:
        """Return the certificates whose check is due, at most `limit`. Two callers never get the same one
        before `again_at`; the caller schedules the next check before that."""
        ids = self._take(keys=[keys.ARI_CHECKS], args=[f"{now:.3f}", f"{again_at:.3f}", limit])
        return [CertificateId(id_) for id_ in cast("list[str]", ids)]

    @answering
    def schedule(self, certificate: CertificateId, *, at: float) -> None:
        """Check this certificate next at `at`."""
        self._redis.zadd(keys.ARI_CHECKS, {certificate: at})

    @answering
    def schedule_if_missing(self, certificate: CertificateId, *, at: float) -> None:
        """Check this certificate at `at`, unless a check is scheduled."""
        self._redis.zadd(keys.ARI_CHECKS, {certificate: at}, nx=True)

    @answering
    def drop(self, certificate: CertificateId) -> None:
        """Do not check this certificate again."""
        self._redis.zrem(keys.ARI_CHECKS, certificate)

    @answering
    def next_check(self, certificate: CertificateId) -> float | None:
        """Return when the certificate is checked next; None if no check is scheduled."""
        return self._redis.zscore(keys.ARI_CHECKS, certificate)
