"""The authoritative servers of zones and their addresses, cached for a minute in this process.

Only look-ups that found something are cached. The propagation check calls `forget` after a server did not
answer, so that a server that was replaced is not queried for the rest of the minute.
"""

from __future__ import annotations

import threading

from cachetools import TTLCache

from certmill.clock import Clock
from certmill.dns01.resolver import Resolver, records

CACHED_SECONDS = 60.0
_MAX_CACHED = 10_000


class ZoneServers:
    """The names of a zone's servers, and the addresses of a server. Safe for many threads."""

    def __init__(self, resolver: Resolver, clock: Clock) -> None:
        self.resolver = resolver
        self._guard = threading.Lock()
        self._names: TTLCache[str, tuple[str, ...]] = TTLCache(_MAX_CACHED, CACHED_SECONDS, clock.monotonic)
        self._addresses: TTLCache[str, tuple[str, ...]] = TTLCache(
            _MAX_CACHED, CACHED_SECONDS, clock.monotonic
        )

    def names(self, zone: str, *, within_seconds: float) -> tuple[str, ...]:
        """Return the names in the NS records of the zone, sorted, without a final dot; () if it has none.
        Raises DnsUnavailable."""
        with self._guard:
            known = self._names.get(zone)
        if known is not None:
            return known
        answer = self.resolver.ask(zone, "NS", within_seconds=within_seconds)
        found = {record.to_text().rstrip(".").lower() for record in records(answer, "NS", at=zone)}
        return self._cached(self._names, zone, tuple(sorted(found)))

    def addresses(self, server: str, *, within_seconds: float) -> tuple[str, ...]:
        """Return the addresses of a server, as Resolver.find_addresses does; () if it has none. Raises
        DnsUnavailable."""
        with self._guard:
            known = self._addresses.get(server)
        if known is not None:
            return known
        found = self.resolver.find_addresses(server, within_seconds=within_seconds)
        return self._cached(self._addresses, server, tuple(found))

    def forget(self, zone: str) -> None:
        """Look up the zone's servers and their addresses again at the next check."""
        with self._guard:
            for server in self._names.pop(zone, ()):
                self._addresses.pop(server, None)

    def _cached(
        self, cache: TTLCache[str, tuple[str, ...]], key: str, found: tuple[str, ...]
    ) -> tuple[str, ...]:
        if found:
            with self._guard:
                cache[key] = found
        return found
