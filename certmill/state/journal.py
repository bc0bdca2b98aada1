"""The journal of presented challenges: written before anything is put up, removed after it is gone; the sweep
removes what a crash left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Final, cast

import redis

from certmill.errors import DamagedValue, NewerRelease
from certmill.model.names import CertificateId
from certmill.model.persisted import Codec
from certmill.state import keys
from certmill.state.server.connection import answering


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """One challenge that is up: for which certificate and identifier, by whose solver; a TXT value and its
    place, or an HTTP-01 token (no place)."""

    certificate: CertificateId
    issuer_kind: str
    issuer_namespace: str
    issuer_name: str
    identifier: str
    record_name: str
    zone: str
    value: str
    """The TXT value, or the token."""
    way: str = ""
    """Of a token: how the CA's request is led to the responder."""
    labels: Mapping[str, str] = dataclass_field(default_factory=dict)
    """The certificate's labels with which the solver was chosen."""

    @property
    def field(self) -> str:
        """What makes it one entry. Every release makes it so, or one could not remove what another has
        noted."""
        return f"{self.certificate} {self.record_name} {self.value}"


_CODEC: Final = Codec(Presented)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """What is old in the journal: the entries, and the fields of those that this release cannot read (a newer
    one can) or nobody can."""

    entries: tuple[Presented, ...] = ()
    newer: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()


class Journal:
    """Presented challenges in Redis. Every method raises StateUnavailable when Redis is away."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    @answering
    def add(self, entries: Sequence[Presented], *, now: float) -> None:
        """Note them, before they are presented."""
        if not entries:
            return
        with self._redis.pipeline() as pipe:
            pipe.hset(keys.JOURNAL, mapping={entry.field: _CODEC.dump(entry) for entry in entries})
            pipe.zadd(keys.JOURNAL_TIMES, {entry.field: now for entry in entries})
            pipe.execute()

    @answering
    def remove(self, entries: Sequence[Presented]) -> None:
        """They are gone from DNS."""
        self._drop([entry.field for entry in entries])

    @answering
    def drop(self, fields: Sequence[str]) -> None:
        """Forget what nobody can read."""
        self._drop(fields)

    @answering
    def postpone(self, fields: Sequence[str], *, now: float) -> None:
        """They stay; those that are younger come before them now."""
        if fields:
            self._redis.zadd(keys.JOURNAL_TIMES, dict.fromkeys(fields, now), xx=True)

    @answering
    def older_than(self, instant: float, limit: int) -> Noted:
        """What is from before `instant`, oldest first."""
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
        return Noted(entries=tuple(entries), newer=tuple(newer), damaged=tuple(damaged))

    @answering
    def note_lost_order(self, certificate: CertificateId, order: str) -> None:
        """The run of this order was lost with Redis' memory; the first that is noted for a certificate
        counts."""
        self._redis.hsetnx(keys.LOST_ORDERS, certificate, order)

    @answering
    def lost_orders(self, limit: int) -> list[tuple[CertificateId, str]]:
        """So many of them, in no order: (certificate, URL). Those that stay for long are in nobody's way."""
        found = cast("list[str]", self._redis.hrandfield(keys.LOST_ORDERS, limit, withvalues=True) or [])
        return [
            (CertificateId(certificate), order)
            for certificate, order in zip(found[::2], found[1::2], strict=True)
        ]

    @answering
    def forget_lost_order(self, certificate: CertificateId) -> None:
        """Its values are in the journal now, or nobody can find them."""
        self._redis.hdel(keys.LOST_ORDERS, certificate)

    def _drop(self, fields: Sequence[str]) -> None:
        if not fields:
            return
        with self._redis.pipeline() as pipe:
            pipe.hdel(keys.JOURNAL, *fields)
            pipe.zrem(keys.JOURNAL_TIMES, *fields)
            pipe.execute()
