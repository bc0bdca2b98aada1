"""Cache of CA directories (RFC 8555 §7.1.1): a process requests each directory at most once an hour."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

from cachetools import LRUCache

from certmill.acme.resources import Directory
from certmill.http.transport import TlsTrust, host_of

DIRECTORY_SECONDS: Final = 3600.0
_MOST_DIRECTORIES: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A cached directory. `until`: when it expires, in seconds since the epoch. `hosts`: the hosts that
    requests may go to."""

    directory: Directory
    until: float
    hosts: frozenset[str]


class DirectoryCache:
    """Directories of CAs, each kept for an hour. Make one per process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: LRUCache[tuple[str, TlsTrust], Known] = LRUCache(_MOST_DIRECTORIES)

    def get(self, url: str, trust: TlsTrust, *, now: float) -> Known | None:
        """The cached directory, or None if there is none or it has expired.

        `trust` is part of the key, so an Issuer with skipTLSVerify cannot change what another Issuer uses."""
        with self._lock:
            known = self._known.get((url, trust))
        return known if known is not None and now < known.until else None

    def put(self, url: str, trust: TlsTrust, directory: Directory, *, now: float) -> Known:
        """Store a directory for an hour, and return the cache entry."""
        hosts = frozenset(host_of(named) for named in (url, *directory.urls))
        known = Known(directory=directory, until=now + DIRECTORY_SECONDS, hosts=hosts)
        with self._lock:
            self._known[url, trust] = known
        return known
