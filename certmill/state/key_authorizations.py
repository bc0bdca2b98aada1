"""Stores the HTTP-01 key authorizations in Redis. The shared responder serves them for the whole fleet."""

from __future__ import annotations

import redis

from certmill.model.key_authorization import KeyAuthorization
from certmill.state import keys
from certmill.state.server.connection import answering

KEPT_SECONDS = 7 * 24 * 3600
"""A pending authorization lives at most 7 days at Let's Encrypt. What a crash leaves here expires after the
same time."""


class KeyAuthorizations:
    """Key authorizations by token (http01.base.KeyAuthorizations). Every method raises StateUnavailable when
    Redis does not answer."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    @answering
    def get(self, token: str) -> KeyAuthorization | None:
        """Return the key authorization for this token, with its hosts, or None."""
        both = self._redis.pipeline()
        both.get(keys.key_authorization(token))
        both.smembers(keys.key_authorization_hosts(token))
        text, hosts = both.execute()
        return KeyAuthorization(text=text, hosts=frozenset(hosts)) if text is not None else None

    @answering
    def put(self, token: str, key_authorization: str, *, host: str) -> None:
        """Serve this key authorization for requests to `host` from now on. It expires after KEPT_SECONDS."""
        hosts = keys.key_authorization_hosts(token)
        both = self._redis.pipeline()
        both.set(keys.key_authorization(token), key_authorization, ex=KEPT_SECONDS)
        both.sadd(hosts, host)
        both.expire(hosts, KEPT_SECONDS)
        both.execute()

    @answering
    def remove(self, token: str) -> None:
        """Stop serving this token. A token that does not exist is not an error."""
        self._redis.delete(keys.key_authorization(token), keys.key_authorization_hosts(token))
