"""Anti-replay nonces (RFC 8555 §6.5) of one CA, shared by all clients of a process: the newest first, the old
ones thrown away.

A CA forgets nonces after a while, or when its servers change, and a nonce that is refused costs a request.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from typing import Final

from certmill.clock import Clock, SystemClock

MAX_AGE_SECONDS: Final = 300.0
_MAX_KEPT: Final = 256
_MAX_POOLS: Final = 256
# RFC 8555 §6.5.1: base64url. The length is ours: a nonce goes back in a header that has to stay small.
_NONCE: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")


class NoncePool:
    """The unused nonces of one CA. Safe from many threads; a nonce is handed out once."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._kept: deque[tuple[float, str]] = deque(maxlen=_MAX_KEPT)

    def put(self, nonce: str | None) -> None:
        """Keep a nonce from a response; what is no nonce is ignored (RFC 8555 §6.5.1)."""
        if nonce is not None and _NONCE.fullmatch(nonce):
            # append and pop of a deque are atomic.
            self._kept.append((self._clock.now(), nonce))

    def take(self) -> str | None:
        """The newest nonce, or None when a new one has to be asked for."""
        try:
            kept_at, nonce = self._kept.pop()
        except IndexError:
            return None
        if self._clock.now() - kept_at <= MAX_AGE_SECONDS:
            return nonce
        # It was the newest: the others are older still.
        self._kept.clear()
        return None

    def __len__(self) -> int:
        return len(self._kept)


class NoncePools:
    """A NoncePool for each directory URL; one of these per process."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._pools: dict[str, NoncePool] = {}

    def pool(self, directory_url: str) -> NoncePool:
        """The pool of a CA, made when it is first asked for."""
        with self._lock:
            if directory_url not in self._pools and len(self._pools) >= _MAX_POOLS:
                self._pools.clear()
            return self._pools.setdefault(directory_url, NoncePool(self._clock))
