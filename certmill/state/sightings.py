"""What the last re-read of the home saw and acted on, which certificates wait for their issuer to change, and which issuers wait for their
CA."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import cast

import redis

from certmill.model.names import CertificateId
from certmill.state import keys
from certmill.state.connection import answering

_CLAIM_SECONDS = 24 * 3600
"""Whoever waits for a Secret claims it again every few minutes, and whoever has it is in its annotation."""

_FAILING_SECONDS = 4 * 24 * 3600
"""Longer than any back-off, after which whoever still fails is noted again. Names come from anybody: none is to stay for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Postponement:
    """A registration that failed: not again before `until` (seconds since the epoch) while its `cause`, a digest, is the same.

    `final`: the answer was a refusal; only who has a reason of its own to ask (a run) does so before.
    """

    until: float
    tries: int
    reason: str
    cause: str
    final: bool = False


class Sightings:
    """Signatures by `kind/namespace/name`. Every method raises StateUnavailable when Redis is away."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    @answering
    def all(self) -> dict[str, str]:
        """Every signature that was acted on."""
        return cast("dict[str, str]", self._redis.hgetall(keys.SIGHTINGS))

    @answering
    def note(self, signatures: Mapping[str, str]) -> None:
        """These have been acted on."""
        if signatures:
            self._redis.hset(keys.SIGHTINGS, items=[part for item in signatures.items() for part in item])

    @answering
    def forget(self, names: Sequence[str]) -> None:
        """These are no longer in the home."""
        if names:
            self._redis.hdel(keys.SIGHTINGS, *names)

    @answering
    def note_failing(self, issuer_reference: str, certificate: CertificateId) -> None:
        """Its last run failed: try again when this issuer changes."""
        key = keys.failing(issuer_reference)
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.sadd(key, certificate)
            pipe.expire(key, _FAILING_SECONDS)
            pipe.execute()

    @answering
    def failing(self, issuer_reference: str) -> list[CertificateId]:
        """The certificates that wait for this issuer to change."""
        members = cast("set[str]", self._redis.smembers(keys.failing(issuer_reference)))
        return sorted(CertificateId(member) for member in members)

    @answering
    def forget_failing(self, issuer_reference: str, certificates: Sequence[CertificateId]) -> None:
        """These wait for it no longer."""
        if certificates:
            self._redis.srem(keys.failing(issuer_reference), *certificates)

    @answering
    def claim_secret(self, namespace: str, secret_name: str, certificate_name: str) -> bool:
        """This Certificate names this Secret; whether another has named it lately."""
        key = keys.secret_claims(namespace, secret_name)
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.zadd(key, {certificate_name: 0}, nx=True)
            pipe.expire(key, _CLAIM_SECONDS)
            pipe.zcard(key)
            return cast("int", pipe.execute()[-1]) > 1

    @answering
    def note_claims(self, namespace: str, secret_name: str, created: Mapping[str, float]) -> None:
        """When these Certificates were created, of those that have named this Secret."""
        if created:
            self._redis.zadd(keys.secret_claims(namespace, secret_name), created, xx=True)

    @answering
    def oldest_claims(self, namespace: str, secret_name: str, limit: int) -> list[tuple[str, float]]:
        """(name, created) of so many Certificates that have named this Secret: those of which that is not known (0), then the oldest."""
        key = keys.secret_claims(namespace, secret_name)
        return cast("list[tuple[str, float]]", self._redis.zrange(key, 0, limit - 1, withscores=True))

    @answering
    def drop_claims(self, namespace: str, secret_name: str, names: Sequence[str]) -> None:
        """These name the Secret no more."""
        if names:
            self._redis.zrem(keys.secret_claims(namespace, secret_name), *names)

    @answering
    def postponed(self, issuer_reference: str) -> Postponement | None:
        """What is known of the last registration that failed and is to be tried again."""
        text = cast("str | None", self._redis.get(keys.registration(issuer_reference)))
        return Postponement(**json.loads(text)) if text is not None else None

    @answering
    def postpone(self, issuer_reference: str, postponement: Postponement, *, kept_seconds: float) -> None:
        """A registration failed; kept for longer than it lasts, so that the tries are counted on."""
        text = json.dumps(asdict(postponement), separators=(",", ":"))
        self._redis.set(keys.registration(issuer_reference), text, px=int(kept_seconds * 1000))

    @answering
    def resume(self, issuer_reference: str) -> None:
        """The account is registered, or the issuer is another: nothing is to be waited for."""
        self._redis.delete(keys.registration(issuer_reference))

    @answering
    def issuer_gone_since(self, kind: str, namespace: str, name: str, *, now: float, kept_seconds: float) -> float:
        """Since when this issuer is missed: since now, if nobody missed it before."""
        key = keys.issuer_gone(kind, namespace, name)
        with self._redis.pipeline() as pipe:
            pipe.set(key, f"{now:.3f}", nx=True, px=int(kept_seconds * 1000))
            pipe.get(key)
            _, since = pipe.execute()
        return float(since)

    @answering
    def issuer_found(self, kind: str, namespace: str, name: str) -> None:
        """It is there, or there again."""
        self._redis.delete(keys.issuer_gone(kind, namespace, name))

    @answering
    def ask_reread(self) -> None:
        """The home was changed: the next tick re-reads it at once."""
        self._redis.set(keys.REREAD, "1", ex=3600)

    @answering
    def reread_asked(self) -> bool:
        """Whether somebody asked since this was called last."""
        return self._redis.getdel(keys.REREAD) is not None
