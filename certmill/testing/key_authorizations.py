"""Key authorizations in memory: what the responder serves when there is no Redis, for tests of certmill and of what stands on it."""

from __future__ import annotations

from collections.abc import Mapping

from certmill.errors import StateUnavailable


class MemoryKeyAuthorizations:
    """A KeyAuthorizations store over a dict. Set `away` and it behaves like a Redis that is down; `asked` lists what it was asked for."""

    def __init__(self, key_authorizations: Mapping[str, str] | None = None) -> None:
        self._key_authorizations = dict(key_authorizations or {})
        self.away = False
        self.asked: list[str] = []

    def get(self, token: str) -> str | None:
        """Return the key authorization, or None. Raises StateUnavailable while `away`."""
        self.asked.append(token)
        if self.away:
            raise StateUnavailable("the key authorizations are away; try again")
        return self._key_authorizations.get(token)

    def put(self, token: str, key_authorization: str) -> None:
        """Serve `key_authorization` for `token` from now on."""
        self._key_authorizations[token] = key_authorization

    def remove(self, token: str) -> None:
        """Stop serving `token`. Not there: no error."""
        self._key_authorizations.pop(token, None)
