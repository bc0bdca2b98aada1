"""What the last re-read of the home saw and acted on, and which certificates wait for their issuer to change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import redis

from certmill.model.names import CertificateId
from certmill.state import keys
from certmill.state.connection import answering


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
        self._redis.sadd(keys.failing(issuer_reference), certificate)

    @answering
    def take_failing(self, issuer_reference: str) -> list[CertificateId]:
        """The certificates that wait for this issuer to change; they wait no longer."""
        with self._redis.pipeline() as pipe:
            pipe.smembers(keys.failing(issuer_reference))
            pipe.delete(keys.failing(issuer_reference))
            members, _ = pipe.execute()
        return sorted(CertificateId(member) for member in members)

    @answering
    def ask_reread(self) -> None:
        """The home was changed: the next tick re-reads it at once."""
        self._redis.set(keys.REREAD, "1", ex=3600)

    @answering
    def reread_asked(self) -> bool:
        """Whether somebody asked since this was called last."""
        return self._redis.getdel(keys.REREAD) is not None

    @answering
    def forget_failing(self, issuer_reference: str, certificates: Sequence[CertificateId]) -> None:
        """These wait for their issuer no longer."""
        if certificates:
            self._redis.srem(keys.failing(issuer_reference), *certificates)
