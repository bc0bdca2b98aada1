"""The protocol of the key authorization store, and the shape of what is asked of it: a token arrives from anybody on the Internet."""

from __future__ import annotations

import re
from typing import Final, Protocol

WELL_KNOWN_PATH: Final = "/.well-known/acme-challenge/"
"""RFC 8555 §8.3: the path is this and the token."""

# RFC 8555 §8.3: a token is base64url without padding. Boulder's have 43 characters; 128 leave room.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")


def is_token(text: str) -> bool:
    """Tell whether `text` has the shape of a token; nothing else may reach a store or a path."""
    return _TOKEN.fullmatch(text) is not None


class KeyAuthorizations(Protocol):
    """Key authorizations by token, for as long as their challenges run. Safe from many threads; each call is bounded (seconds)."""

    def get(self, token: str) -> str | None:
        """Return the key authorization, or None when there is none. Raises StateUnavailable when the store is away."""
        ...
