"""The journal of presented challenges. An entry is written before the challenge is presented, and removed
after its clean-up. The sweep removes what a crash has left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Final, cast

import redis

from certmill.errors import DamagedValue, NewerRelease
from certmill.model.names import CertificateId
from certmill.model.object_ref import ObjectRef
from certmill.model.persisted import JSON_NAME, Codec
from certmill.state import keys
from certmill.state.server.connection import answering


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """One presented challenge: its certificate, its identifier, the issuer whose solver presented it, and
    either a TXT value with its record name and zone or an HTTP-01 token (no record name, no zone)."""

    certificate: CertificateId
    issuer_kind: str
    issuer_namespace: str
    issuer_name: str
    identifier: str
    record_name: str
    zone: str
    value: str
    """The TXT value, or the token."""
    route: str = dataclass_field(default="", metadata={JSON_NAME: "way"})
    """For a token: the HTTP-01 route by which the CA's request reaches the responder."""
    labels: Mapping[str, str] = dataclass_field(default_factory=dict)
    """The labels of the certificate with which the solver was chosen."""

    @property
    def issuer(self) -> ObjectRef:
        """The issuer whose solver presented it."""
        return ObjectRef.of(self.issuer_kind, self.issuer_namespace, self.issuer_name)

    @property
    def field(self) -> str:
        """The identity of the entry. Every release builds it in the same way. Otherwise one release could not
        remove what another has recorded."""
        return f"{self.certificate} {self.record_name} {self.value}"


_CODEC: Final = Codec(Presented)


@dataclass(frozen=True, slots=True, kw_only=True)
class LostOrder:
    """The order of a run that was lost when Redis lost its memory. `issuer` is None if an older release
    recorded the order: then it is the one in spec.issuerRef."""

    certificate: CertificateId
    url: str
    issuer: ObjectRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OldEntries:
    """Old content of the journal: the entries that this release can read, the fields of those that only a
    newer release can read, and the fields of those that no release can read."""

    entries: tuple[Presented, ...] = ()
    newer: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()


class Journal:
    """The journal in Redis. Every method raises StateUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    @answering
    def add(self, entries: Sequence[Presented], *, now: float) -> None:
        """Record these entries, before they are presented."""
        if not entries:
            return
        with self._redis.pipeline() as pipe:
            pipe.hset(keys.JOURNAL, mapping={entry.field: _CODEC.dump(entry) for entry in entries})
            pipe.zadd(keys.JOURNAL_TIMES, {entry.field: now for entry in entries})
            pipe.execute()

    @answering
    def remove(self, entries: Sequence[Presented]) -> None:
        """Remove these entries, because their records no longer exist in DNS."""
        self._drop([entry.field for entry in entries])

    @answering
    def drop(self, fields: Sequence[str]) -> None:
        """Remove fields that no release can read."""
        self._drop(fields)

    @answering
    def postpone(self, fields: Sequence[str], *, now: float) -> None:
        """Give these fields the time `now`, so that the sweep reads younger entries before them. The entries
        stay."""
        if fields:
            self._redis.zadd(keys.JOURNAL_TIMES, dict.fromkeys(fields, now), xx=True)

    @answering
    def older_than(self, instant: float, limit: int) -> OldEntries:
        """Return at most `limit` entries from before `instant` (seconds since the epoch), oldest first."""
        fields = cast(
            "list[str]", self._redis.zrangebyscore(keys.JOURNAL_TIMES, "-inf", instant, start=0, num=limit)
        )
        bodies = cast("list[str | None]", self._redis.hmget(keys.JOURNAL, fields)) if fields else []
        entries, newer, damaged = [], [], []
        for field, body in zip(fields, bodies, strict=True):
            try:
                entries.append(_CODEC.load(body or ""))
            except NewerRelease:
                newer.append(field)
            except DamagedValue:
                damaged.append(field)
        return OldEntries(entries=tuple(entries), newer=tuple(newer), damaged=tuple(damaged))

    @answering
    def note_lost_order(self, order: LostOrder) -> None:
        """Record the order of a run that was lost when Redis lost its memory. The first order recorded for a
        certificate counts."""
        if self._redis.hsetnx(keys.LOST_ORDERS, order.certificate, order.url) and order.issuer is not None:
            self._redis.hset(keys.LOST_ORDER_ISSUERS, order.certificate, str(order.issuer))

    @answering
    def lost_orders(self, limit: int) -> list[LostOrder]:
        """Return at most `limit` lost orders in random order. Random choice ensures that entries which stay
        long do not block others."""
        found = cast("list[str]", self._redis.hrandfield(keys.LOST_ORDERS, limit, withvalues=True) or [])
        certificates = found[::2]
        issuers = (
            cast("list[str | None]", self._redis.hmget(keys.LOST_ORDER_ISSUERS, certificates))
            if certificates
            else []
        )
        return [
            LostOrder(
                certificate=CertificateId(certificate),
                url=url,
                issuer=ObjectRef.from_text(issuer) if issuer else None,
            )
            for certificate, url, issuer in zip(certificates, found[1::2], issuers, strict=True)
        ]

    @answering
    def forget_lost_order(self, certificate: CertificateId) -> None:
        """Remove the lost order: its values are in the journal now, or cannot be found."""
        self._redis.hdel(keys.LOST_ORDERS, certificate)
        self._redis.hdel(keys.LOST_ORDER_ISSUERS, certificate)

    def _drop(self, fields: Sequence[str]) -> None:
        if not fields:
            return
        with self._redis.pipeline() as pipe:
            pipe.hdel(keys.JOURNAL, *fields)
            pipe.zrem(keys.JOURNAL_TIMES, *fields)
            pipe.execute()
