"""The directories of CAs (RFC 8555 §7.1.1), kept for an hour: what a process asks each CA once."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

from certmill.acme.resources import Directory
from certmill.http.transport import TlsTrust, host_of

DIRECTORY_SECONDS: Final = 3600.0
_MOST_DIRECTORIES: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A directory, until when it is believed, and the hosts that it lets requests go to."""

    directory: Directory
    until: float
    hosts: frozenset[str]


class DirectoryCache:
    """The directories of CAs, for an hour each; one of these per process. Safe from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[str, TlsTrust], Known] = {}

    def get(self, url: str, trust: TlsTrust, *, now: float) -> Known | None:
        """What is known, if it is young enough. Trust is part of the name: what one Issuer believes is
        nothing to another."""
        with self._lock:
            known = self._known.get((url, trust))
        return known if known is not None and now < known.until else None

    def put(self, url: str, trust: TlsTrust, directory: Directory, *, now: float) -> Known:
        """Keep a directory. Two threads that fetched it at once keep the same."""
        hosts = frozenset(host_of(named) for named in (url, *directory.urls))
        known = Known(directory=directory, until=now + DIRECTORY_SECONDS, hosts=hosts)
        with self._lock:
            if len(self._known) >= _MOST_DIRECTORIES:
                self._known.clear()
            self._known[url, trust] = known
        return known
