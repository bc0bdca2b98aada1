"""Stores in Redis what the last re-read of the home observed and acted on, which Certificates name which
Secret, and whether a re-read is requested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import redis

from certmill.state import keys
from certmill.state.server.connection import answering

_CLAIM_SECONDS = 24 * 3600
"""A Certificate that waits for a Secret records its claim again every few minutes. The Certificate that has
the Secret is named in the Secret's annotation."""


class Snapshots:
    """Signatures by `kind/namespace/name`. Every method raises StateUnavailable when Redis does not
    answer."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    @answering
    def all(self) -> dict[str, str]:
        """Return every signature that was acted on."""
        return cast("dict[str, str]", self._redis.hgetall(keys.SIGHTINGS))

    @answering
    def note(self, signatures: Mapping[str, str]) -> None:
        """Record that these signatures were acted on."""
        if signatures:
            self._redis.hset(keys.SIGHTINGS, items=[part for item in signatures.items() for part in item])

    @answering
    def forget(self, names: Sequence[str]) -> None:
        """Remove these names, because they are no longer in the home."""
        if names:
            self._redis.hdel(keys.SIGHTINGS, *names)

    @answering
    def claim_secret(self, namespace: str, secret_name: str, certificate_name: str) -> bool:
        """Record that this Certificate names this Secret. Returns True if another Certificate has recently
        named it."""
        key = keys.secret_claims(namespace, secret_name)
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.zadd(key, {certificate_name: 0}, nx=True)
            pipe.expire(key, _CLAIM_SECONDS)
            pipe.zcard(key)
            return cast("int", pipe.execute()[-1]) > 1

    @answering
    def note_claims(self, namespace: str, secret_name: str, created: Mapping[str, float]) -> None:
        """Record when these Certificates were created (seconds since the epoch), for those that have named
        this Secret."""
        if created:
            self._redis.zadd(keys.secret_claims(namespace, secret_name), created, xx=True)

    @answering
    def oldest_claims(self, namespace: str, secret_name: str, limit: int) -> list[tuple[str, float]]:
        """Return (name, created) of at most `limit` Certificates that have named this Secret: first those
        with an unknown time (0), then the oldest."""
        key = keys.secret_claims(namespace, secret_name)
        return cast("list[tuple[str, float]]", self._redis.zrange(key, 0, limit - 1, withscores=True))

    @answering
    def drop_claims(self, namespace: str, secret_name: str, names: Sequence[str]) -> None:
        """Remove these Certificates, because they no longer name the Secret."""
        if names:
            self._redis.zrem(keys.secret_claims(namespace, secret_name), *names)

    @answering
    def request_reread(self) -> None:
        """Record that the home was changed: the next tick re-reads it at once."""
        self._redis.set(keys.REREAD, "1", ex=3600)

    @answering
    def take_reread_request(self) -> bool:
        """Whether a re-read was requested since the last call. Removes the request."""
        return self._redis.getdel(keys.REREAD) is not None
