"""Stores in Redis what an issuer needs besides its status: the certificates that failed under it, the time
before which its account is not registered again, and the time since which it is missing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, cast

import redis

from certmill.errors import DamagedValue, NewerRelease
from certmill.model.names import CertificateId
from certmill.model.object_ref import ObjectRef
from certmill.model.persisted import Codec
from certmill.state import keys
from certmill.state.server.connection import answering, script

_FAILING_SECONDS: Final = 4 * 24 * 3600
"""Longer than any back-off. A certificate that still fails after a back-off is recorded again. Anybody can
create names, so no entry may stay for ever."""
_FORGOTTEN_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Postponement:
    """A failed registration. It is not repeated before `until` (seconds since the epoch) while its `cause`, a
    digest, is the same.

    `final`: the CA refused. Before `until`, only a caller with a reason of its own (a run) tries again."""

    until: float
    tries: int
    reason: str
    cause: str
    final: bool = False


_CODEC: Final = Codec(Postponement)


class IssuerRecords:
    """Data of issuers. Every method raises StateUnavailable when Redis does
    not answer."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._note_failing = script(client, "note_failing")

    @answering
    def note_failing(
        self, issuer: ObjectRef, certificate: CertificateId, *, now: float, spec: str = ""
    ) -> None:
        """Record that the last run of this certificate failed. With an empty `spec` the issuer caused the
        failure. Otherwise there was another cause, and `spec` is the digest of the issuer's spec at that
        time."""
        names = [
            keys.failing(issuer),
            keys.failing_otherwise(issuer),
            keys.failing_times(issuer),
        ]
        self._note_failing(
            keys=names, args=[certificate, spec, f"{now:.3f}", _FAILING_SECONDS, _FORGOTTEN_AT_ONCE]
        )

    @answering
    def failing(self, issuer: ObjectRef, *, spec: str = "") -> list[CertificateId]:
        """Return the certificates that failed because of the issuer. With `spec`, the digest of its spec, add
        those that failed for another reason under a different spec."""
        members = set(cast("set[str]", self._redis.smembers(keys.failing(issuer))))
        if spec:
            others = cast("dict[str, str]", self._redis.hgetall(keys.failing_otherwise(issuer)))
            members |= {certificate for certificate, former in others.items() if former != spec}
        return sorted(CertificateId(member) for member in members)

    @answering
    def forget_failing(self, issuer: ObjectRef, certificates: Sequence[CertificateId]) -> None:
        """Remove these certificates: they no longer wait for this issuer."""
        if certificates:
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.srem(keys.failing(issuer), *certificates)
                pipe.hdel(keys.failing_otherwise(issuer), *certificates)
                pipe.zrem(keys.failing_times(issuer), *certificates)
                pipe.execute()

    @answering
    def postponed(self, issuer: ObjectRef) -> Postponement | None:
        """Return the last registration that failed and will be tried again. None if there is none or it
        cannot be read: an additional registration costs no order."""
        text = cast("str | None", self._redis.get(keys.registration(issuer)))
        with suppress(NewerRelease, DamagedValue):
            return _CODEC.load(text) if text is not None else None
        return None

    @answering
    def postpone(self, issuer: ObjectRef, postponement: Postponement, *, kept_seconds: float) -> None:
        """Record a failed registration. It is stored for `kept_seconds`, which is longer than the back-off,
        so that the count of tries continues."""
        self._redis.set(keys.registration(issuer), _CODEC.dump(postponement), px=int(kept_seconds * 1000))

    @answering
    def resume(self, issuer: ObjectRef) -> None:
        """Remove the back-off, because the account is registered or the issuer has changed."""
        self._redis.delete(keys.registration(issuer))

    @answering
    def gone_since(self, issuer: ObjectRef, *, now: float, kept_seconds: float) -> float:
        """Return since when this issuer is missing, in seconds since the epoch. It is `now` if the issuer was
        not missing before."""
        key = keys.issuer_gone(issuer)
        with self._redis.pipeline() as pipe:
            pipe.set(key, f"{now:.3f}", nx=True, px=int(kept_seconds * 1000))
            pipe.get(key)
            _, since = pipe.execute()
        return float(since)

    @answering
    def found(self, issuer: ObjectRef) -> None:
        """Record that the issuer exists, or exists again."""
        self._redis.delete(keys.issuer_gone(issuer))
