"""Key authorizations in memory, for tests: the responder serves them without Redis."""

from __future__ import annotations

from collections.abc import Mapping

from certmill.errors import StateUnavailable
from certmill.model.key_authorization import KeyAuthorization


class MemoryKeyAuthorizations:
    """A KeyAuthorizations store over a dict. It returns a value for every host.

    With `away` set, it behaves like a Redis that is down; `asked` has the requested tokens.
    """

    def __init__(self, key_authorizations: Mapping[str, str] | None = None) -> None:
        self._found = {
            token: KeyAuthorization(text=text) for token, text in (key_authorizations or {}).items()
        }
        self.away = False
        self.asked: list[str] = []

    def get(self, token: str) -> KeyAuthorization | None:
        """Return the key authorization, or None. Raises StateUnavailable while `away`."""
        self.asked.append(token)
        if self.away:
            raise StateUnavailable("the key authorizations are away; try again")
        return self._found.get(token)

    def put(self, token: str, key_authorization: str, *, host: str) -> None:
        """Serve `key_authorization` for `token` from now on, for requests to `host`."""
        before = self._found.get(token)
        self._found[token] = KeyAuthorization(
            text=key_authorization, hosts=(before.hosts if before else frozenset()) | {host}
        )

    def remove(self, token: str) -> None:
        """Stop serving `token`. If it does not exist, this is no error."""
        self._found.pop(token, None)
