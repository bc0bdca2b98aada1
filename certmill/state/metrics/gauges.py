"""What the metrics say of each certificate and issuer, kept beside their records so that a scrape costs no
scan of the home, and which process exposes it. All of it can be lost: what is reconciled, adopted or issued
is noted again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

import redis

from certmill.model.names import CertificateId
from certmill.observe.certificate_gauges import CertificateGauge
from certmill.state import keys
from certmill.state.server.connection import answering

LEASE_SECONDS: Final = 180
"""Longer than the pause between two scrapes of one process."""

_BATCH: Final = 1000


class Gauges:
    """In two hashes. Every method raises StateUnavailable when Redis is away."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    @answering
    def note(self, certificate: CertificateId, gauge: CertificateGauge) -> bool:
        """Keep how things stand; whether nothing was known of this certificate."""
        return self._redis.hset(keys.CERTIFICATE_GAUGES, certificate, gauge.to_json()) == 1

    @answering
    def replace_all(
        self, certificates: Mapping[CertificateId, CertificateGauge], issuers: Mapping[str, bool]
    ) -> list[CertificateId]:
        """Keep these and no others, as all are known now; those of which nothing was known."""
        self._drop(keys.CERTIFICATE_GAUGES, certificates)
        self._drop(keys.ISSUER_GAUGES, issuers)
        new: list[CertificateId] = []
        for batch in _batches(list(certificates)):
            with self._redis.pipeline(transaction=False) as pipe:
                for id_ in batch:
                    pipe.hset(keys.CERTIFICATE_GAUGES, id_, certificates[id_].to_json())
                new += [id_ for id_, made in zip(batch, pipe.execute(), strict=True) if made]
        if issuers:
            self._redis.hset(
                keys.ISSUER_GAUGES, mapping={reference: str(ready) for reference, ready in issuers.items()}
            )
        return new

    @answering
    def note_issuer(self, reference: str, *, ready: bool) -> None:
        """Keep whether the issuer is ready."""
        self._redis.hset(keys.ISSUER_GAUGES, reference, str(ready))

    @answering
    def forget_issuer(self, reference: str) -> None:
        """There is no such issuer any more."""
        self._redis.hdel(keys.ISSUER_GAUGES, reference)

    @answering
    def read(self) -> tuple[dict[str, str], dict[str, str]]:
        """(certificates by id, issuers by reference), a thousand at a time, as Redis does nothing else
        meanwhile."""
        certificates = dict(self._redis.hscan_iter(keys.CERTIFICATE_GAUGES, count=_BATCH))
        return certificates, dict(self._redis.hscan_iter(keys.ISSUER_GAUGES, count=_BATCH))

    @answering
    def may_expose(self, owner: str, *, is_busy: bool) -> bool:
        """Whether it is this process that exposes them, for LEASE_SECONDS after each call. One process that
        does other work (`is_busy`) does so only while no other asks; two at once for a moment do no harm."""
        mine = f"{'busy' if is_busy else 'idle'} {owner}"
        holder = cast("str | None", self._redis.get(keys.EXPOSER))
        if holder is not None and holder != mine and (is_busy or not holder.startswith("busy ")):
            return False
        self._redis.set(keys.EXPOSER, mine, ex=LEASE_SECONDS)
        return True

    @answering
    def expose_no_more(self, owner: str) -> None:
        """Let another process begin at once."""
        holder = cast("str | None", self._redis.get(keys.EXPOSER))
        if holder is not None and holder.partition(" ")[2] == owner:
            self._redis.delete(keys.EXPOSER)

    def _drop(self, name: str, kept: Iterable[str]) -> None:
        """Take the fields out that are not kept."""
        wanted = set(kept)
        known = cast("list[str]", self._redis.hkeys(name))
        for batch in _batches([one for one in known if one not in wanted]):
            self._redis.hdel(name, *batch)


def _batches(all_: Sequence[str]) -> Iterable[list[CertificateId]]:
    return (
        cast("list[CertificateId]", all_[start : start + _BATCH]) for start in range(0, len(all_), _BATCH)
    )
