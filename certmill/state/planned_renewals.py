"""The renewals that `certmill renew --all` has planned: which Certificate to issue again, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import redis

from certmill.model.names import CertificateId
from certmill.state import keys
from certmill.state.server.connection import answering, script

_BATCH = 5000


class PlannedRenewals:
    """A time for each planned renewal. Every method raises StateUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._wake = script(client, "wake")

    @answering
    def plan(self, times: Mapping[CertificateId, float]) -> None:
        """Plan a renewal for each Certificate at its time (seconds since the epoch). A Certificate has one
        planned renewal: the last call decides its time."""
        items = list(times.items())
        for start in range(0, len(items), _BATCH):
            part = {str(certificate): at for certificate, at in items[start : start + _BATCH]}
            self._redis.zadd(keys.PLANNED_RENEWALS, part)

    @answering
    def take(self, *, now: float, again_at: float, limit: int) -> list[CertificateId]:
        """The renewals that are due, at most `limit`, the longest overdue first. Two callers never get the
        same one. One that is not `done` by `again_at` is due again."""
        ids = cast(
            "list[str]",
            self._wake(
                keys=[keys.PLANNED_RENEWALS, keys.PLANNED_RENEWALS],
                args=[f"{now:.3f}", f"{again_at:.3f}", limit],
            ),
        )
        return [CertificateId(id_) for id_ in ids]

    @answering
    def done(self, certificates: Sequence[CertificateId]) -> None:
        """Remove these renewals: they have begun, or their Certificates do not exist."""
        if certificates:
            self._redis.zrem(keys.PLANNED_RENEWALS, *certificates)

    @answering
    def count(self) -> int:
        """The number of planned renewals."""
        return self._redis.zcard(keys.PLANNED_RENEWALS)
