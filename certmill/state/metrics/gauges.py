"""Stores in Redis the values that the metrics show for each certificate and issuer, and which process exposes
them.

A scrape therefore needs no scan of the home. All of it can be lost: each reconcile, adoption or issuance
stores the values again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

import redis

from certmill.model.names import CertificateId
from certmill.model.object_ref import ObjectRef
from certmill.observe.certificate_gauges import CertificateGauge
from certmill.state import keys
from certmill.state.server.connection import answering, script

LEASE_SECONDS: Final = 180
"""Longer than the interval between two scrapes of one process."""

_BATCH: Final = 1000


class Gauges:
    """The values, in two hashes. Every method raises StateUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._note = script(client, "note_gauge")

    @answering
    def note(self, certificate: CertificateId, gauge: CertificateGauge) -> bool:
        """Store the gauge of this certificate, if Redis has its record: a Certificate that was deleted
        meanwhile has none. Returns True if the certificate had no gauge before."""
        names = [keys.record(certificate), keys.CERTIFICATE_GAUGES]
        return self._note(keys=names, args=[certificate, gauge.to_json()]) == 1

    @answering
    def others(self, certificates: Mapping[CertificateId, CertificateGauge]) -> list[CertificateId]:
        """Return the certificates that have a gauge and are not among these. A reconcile removes the gauge
        (Records.forget) if the Certificate was deleted."""
        known = cast("list[CertificateId]", self._redis.hkeys(keys.CERTIFICATE_GAUGES))
        return [one for one in known if one not in certificates]

    @answering
    def drop(self, certificates: Sequence[CertificateId]) -> None:
        """Remove the gauges of these certificates. Their records stay."""
        for batch in _batches(certificates):
            self._redis.hdel(keys.CERTIFICATE_GAUGES, *batch)

    @answering
    def store_all(
        self, certificates: Mapping[CertificateId, CertificateGauge], issuers: Mapping[ObjectRef, bool]
    ) -> list[CertificateId]:
        """Store these certificates and issuers, and remove all other issuers. Returns the certificates that
        had no gauge before."""
        wanted = set(map(str, issuers))
        known = cast("list[str]", self._redis.hkeys(keys.ISSUER_GAUGES))
        for batch in _batches([one for one in known if one not in wanted]):
            self._redis.hdel(keys.ISSUER_GAUGES, *batch)
        new: list[CertificateId] = []
        for batch in _batches(list(certificates)):
            with self._redis.pipeline(transaction=False) as pipe:
                for id_ in batch:
                    pipe.hset(keys.CERTIFICATE_GAUGES, id_, certificates[id_].to_json())
                new += [id_ for id_, made in zip(batch, pipe.execute(), strict=True) if made]
        if issuers:
            self._redis.hset(
                keys.ISSUER_GAUGES, mapping={str(issuer): str(ready) for issuer, ready in issuers.items()}
            )
        return new

    @answering
    def note_issuer(self, issuer: ObjectRef, *, ready: bool) -> None:
        """Store whether the issuer is ready."""
        self._redis.hset(keys.ISSUER_GAUGES, str(issuer), str(ready))

    @answering
    def forget_issuer(self, issuer: ObjectRef) -> None:
        """Remove the issuer, because it no longer exists."""
        self._redis.hdel(keys.ISSUER_GAUGES, str(issuer))

    @answering
    def read(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return (certificates by id, issuers by reference). They are read in batches of a thousand, because
        Redis serves nobody else during a command."""
        certificates = dict(self._redis.hscan_iter(keys.CERTIFICATE_GAUGES, count=_BATCH))
        return certificates, dict(self._redis.hscan_iter(keys.ISSUER_GAUGES, count=_BATCH))

    @answering
    def may_expose(self, owner: str, *, is_busy: bool) -> bool:
        """Whether this process exposes the values. The answer is valid for LEASE_SECONDS after each call.

        A process that does other work (`is_busy`) exposes them only while no other process calls this. Two
        processes at once for a moment do no harm."""
        mine = f"{'busy' if is_busy else 'idle'} {owner}"
        holder = cast("str | None", self._redis.get(keys.EXPOSER))
        if holder is not None and holder != mine and (is_busy or not holder.startswith("busy ")):
            return False
        self._redis.set(keys.EXPOSER, mine, ex=LEASE_SECONDS)
        return True

    @answering
    def expose_no_more(self, owner: str) -> None:
        """Stop exposing the values, so that another process can begin at once."""
        holder = cast("str | None", self._redis.get(keys.EXPOSER))
        if holder is not None and holder.partition(" ")[2] == owner:
            self._redis.delete(keys.EXPOSER)


def _batches(all_: Sequence[str]) -> Iterable[list[CertificateId]]:
    return (
        cast("list[CertificateId]", all_[start : start + _BATCH]) for start in range(0, len(all_), _BATCH)
    )
