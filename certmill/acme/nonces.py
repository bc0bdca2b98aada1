"""Pools of unused anti-replay nonces (RFC 8555 §6.5), one for each CA, shared by all clients of a process.

The newest nonce is used first and old ones are dropped, because a CA forgets nonces after a while, and a
refused nonce costs one more request."""

from __future__ import annotations

import re
import threading
from collections import deque
from typing import Final

from cachetools import LRUCache

from certmill.clock import Clock, SystemClock

MAX_AGE_SECONDS: Final = 300.0
_MAX_KEPT: Final = 256
_MAX_POOLS: Final = 256
# RFC 8555 §6.5.1: base64url. The RFC has no maximum length; ours keeps the JWS header small.
_NONCE: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")


class NoncePool:
    """The unused nonces of one CA. Thread-safe; each nonce is returned once."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._kept: deque[tuple[float, str]] = deque(maxlen=_MAX_KEPT)

    def put(self, nonce: str | None) -> None:
        """Add the nonce of a response. An invalid value is ignored (RFC 8555 §6.5.1: "Clients MUST ignore
        invalid Replay-Nonce values")."""
        if nonce is not None and _NONCE.fullmatch(nonce):
            # append and pop of a deque are atomic.
            self._kept.append((self._clock.now(), nonce))

    def take(self) -> str | None:
        """The newest nonce; None if the pool has no fresh one."""
        try:
            kept_at, nonce = self._kept.pop()
        except IndexError:
            return None
        if self._clock.now() - kept_at <= MAX_AGE_SECONDS:
            return nonce
        # This was the newest one, so all others are too old as well.
        self._kept.clear()
        return None

    def __len__(self) -> int:
        return len(self._kept)


class NoncePools:
    """A NoncePool for each directory URL. Make one per process."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._pools: LRUCache[str, NoncePool] = LRUCache(_MAX_POOLS)

    def pool(self, directory_url: str) -> NoncePool:
        """The pool of a CA; it is created at the first call."""
        with self._lock:
            return self._pools.setdefault(directory_url, NoncePool(self._clock))
