"""What is remembered of an issuer besides its status: what failed under it, when its account may be
registered, since when it is missed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, cast

import redis

from certmill.errors import DamagedValue, NewerRelease
from certmill.model.names import CertificateId
from certmill.model.persisted import Codec
from certmill.state import keys
from certmill.state.server.connection import answering, script

_FAILING_SECONDS: Final = 4 * 24 * 3600
"""Longer than any back-off, after which whoever still fails is noted again. Names come from anybody: none is
to stay for ever."""
_FORGOTTEN_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Postponement:
    """A registration that failed: not again before `until` (seconds since the epoch) while its `cause`, a
    digest, is the same.

    `final`: the answer was a refusal; only who has a reason of its own to ask (a run) does so before.
    """

    until: float
    tries: int
    reason: str
    cause: str
    final: bool = False


_CODEC: Final = Codec(Postponement)


class IssuerRecords:
    """Issuers by their reference. Every method raises StateUnavailable when Redis is away."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._note_failing = script(client, "note_failing")

    @answering
    def note_failing(
        self, issuer_reference: str, certificate: CertificateId, *, now: float, spec: str = ""
    ) -> None:
        """Its last run failed: by the issuer's own fault, or ("spec": the digest of the issuer's spec then)
        for another reason."""
        names = [
            keys.failing(issuer_reference),
            keys.failing_otherwise(issuer_reference),
            keys.failing_times(issuer_reference),
        ]
        self._note_failing(
            keys=names, args=[certificate, spec, f"{now:.3f}", _FAILING_SECONDS, _FORGOTTEN_AT_ONCE]
        )

    @answering
    def failing(self, issuer_reference: str, *, spec: str = "") -> list[CertificateId]:
        """The certificates that failed by the issuer's fault; with the digest of its spec, those too that
        failed under another spec."""
        members = set(cast("set[str]", self._redis.smembers(keys.failing(issuer_reference))))
        if spec:
            others = cast("dict[str, str]", self._redis.hgetall(keys.failing_otherwise(issuer_reference)))
            members |= {certificate for certificate, former in others.items() if former != spec}
        return sorted(CertificateId(member) for member in members)

    @answering
    def forget_failing(self, issuer_reference: str, certificates: Sequence[CertificateId]) -> None:
        """These wait for it no longer."""
        if certificates:
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.srem(keys.failing(issuer_reference), *certificates)
                pipe.hdel(keys.failing_otherwise(issuer_reference), *certificates)
                pipe.zrem(keys.failing_times(issuer_reference), *certificates)
                pipe.execute()

    @answering
    def postponed(self, issuer_reference: str) -> Postponement | None:
        """What is known of the last registration that failed and is to be tried again; nothing, where that
        cannot be read: a registration more costs no order."""
        text = cast("str | None", self._redis.get(keys.registration(issuer_reference)))
        with suppress(NewerRelease, DamagedValue):
            return _CODEC.load(text) if text is not None else None
        return None

    @answering
    def postpone(self, issuer_reference: str, postponement: Postponement, *, kept_seconds: float) -> None:
        """A registration failed; kept for longer than it lasts, so that the tries are counted on."""
        self._redis.set(
            keys.registration(issuer_reference), _CODEC.dump(postponement), px=int(kept_seconds * 1000)
        )

    @answering
    def resume(self, issuer_reference: str) -> None:
        """The account is registered, or the issuer is another: nothing is to be waited for."""
        self._redis.delete(keys.registration(issuer_reference))

    @answering
    def gone_since(self, kind: str, namespace: str, name: str, *, now: float, kept_seconds: float) -> float:
        """Since when this issuer is missed: since now, if nobody missed it before."""
        key = keys.issuer_gone(kind, namespace, name)
        with self._redis.pipeline() as pipe:
            pipe.set(key, f"{now:.3f}", nx=True, px=int(kept_seconds * 1000))
            pipe.get(key)
            _, since = pipe.execute()
        return float(since)

    @answering
    def found(self, kind: str, namespace: str, name: str) -> None:
        """It is there, or there again."""
        self._redis.delete(keys.issuer_gone(kind, namespace, name))
