"""HTTP-01 key authorizations: what the shared responder serves for the whole fleet."""

from __future__ import annotations

import redis

from certmill.model.key_authorization import KeyAuthorization
from certmill.state import keys
from certmill.state.server.connection import answering

KEPT_SECONDS = 7 * 24 * 3600
"""A pending authorization lives at most 7 days at Let's Encrypt; what a crash leaves behind ends by itself
then."""


class KeyAuthorizations:
    """Key authorizations by token (http01.base.KeyAuthorizations)."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    @answering
    def get(self, token: str) -> KeyAuthorization | None:
        """The key authorization for this token and its hosts, or None."""
        both = self._redis.pipeline()
        both.get(keys.key_authorization(token))
        both.smembers(keys.key_authorization_hosts(token))
        text, hosts = both.execute()
        return KeyAuthorization(text=text, hosts=frozenset(hosts)) if text is not None else None

    @answering
    def put(self, token: str, key_authorization: str, *, host: str) -> None:
        """Serve it from now on to requests for `host`."""
        hosts = keys.key_authorization_hosts(token)
        both = self._redis.pipeline()
        both.set(keys.key_authorization(token), key_authorization, ex=KEPT_SECONDS)
        both.sadd(hosts, host)
        both.expire(hosts, KEPT_SECONDS)
        both.execute()

    @answering
    def remove(self, token: str) -> None:
        """Serve it no longer. Not there: no error."""
        self._redis.delete(keys.key_authorization(token), keys.key_authorization_hosts(token))
