"""HTTP-01 key authorizations: what the shared responder serves for the whole fleet."""

from __future__ import annotations

from typing import cast

import redis

from certmill.state import keys
from certmill.state.connection import answering

KEPT_SECONDS = 7 * 24 * 3600
"""A pending authorization lives at most 7 days at Let's Encrypt; what a crash leaves behind ends by itself then."""


class KeyAuthorizations:
    """Key authorizations by token (http01.base.KeyAuthorizations)."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    @answering
    def get(self, token: str) -> str | None:
        """The key authorization for this token, or None."""
        return cast("str | None", self._redis.get(keys.key_authorization(token)))

    @answering
    def put(self, token: str, key_authorization: str) -> None:
        """Serve it from now on."""
        self._redis.set(keys.key_authorization(token), key_authorization, ex=KEPT_SECONDS)

    @answering
    def remove(self, token: str) -> None:
        """Serve it no longer. Not there: no error."""
        self._redis.delete(keys.key_authorization(token))
