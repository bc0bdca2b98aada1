"""The self checks of a process (runs.ports.Checks): is a DNS-01 value or an HTTP-01 response visible?"""

from __future__ import annotations

from dataclasses import dataclass

from certmill.clock import Clock
from certmill.dns01.propagation import Visibility, is_visible
from certmill.dns01.resolver import Resolver
from certmill.dns01.zone_servers import ZoneServers
from certmill.dns01.zones import Zones
from certmill.http01.selfcheck import Probe, probe
from certmill.model.issuer import Dns01Solver
from certmill.runtime.object_cache import ObjectCache
from certmill.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lookups:
    """A resolver, with the caches of what it found."""

    resolver: Resolver
    zones: Zones
    servers: ZoneServers


class SelfChecks:
    """The self checks, with the resolvers of the settings or of the solver."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._lookups: ObjectCache[_Lookups] = ObjectCache()

    def zones(self, solver: Dns01Solver) -> Zones:
        """Return zone look-ups through the solver's name servers; through those of the settings if it has
        none."""
        return self._of(solver.nameservers).zones

    def visible(
        self, record_name: str, value: str, zone: str, solver: Dns01Solver, *, timeout_seconds: float
    ) -> Visibility:
        """Check once at every authoritative server (or at the solver's own name servers)."""
        return is_visible(
            record_name,
            value,
            zone,
            servers=self._of(solver.nameservers).servers,
            authoritative_port=self._settings.authoritative_port,
            nameservers=solver.nameservers,
            timeout_seconds=timeout_seconds,
        )

    def probe(self, host: str, token: str, key_authorization: str, *, timeout_seconds: float) -> Probe:
        """Send one HTTP-01 request, as the CA would."""
        resolver = self._of(()).resolver
        return probe(
            host,
            token,
            key_authorization,
            port=self._settings.http01_port,
            tls_port=self._settings.http01_tls_port,
            addresses=resolver.find_addresses,
            timeout_seconds=timeout_seconds,
        )

    def _of(self, nameservers: tuple[str, ...]) -> _Lookups:
        servers = nameservers or self._settings.recursive_nameservers
        return self._lookups.get(servers, lambda: self._made(servers))

    def _made(self, servers: tuple[str, ...]) -> _Lookups:
        resolver = Resolver(servers)
        return _Lookups(
            resolver=resolver,
            zones=Zones(resolver, self._clock),
            servers=ZoneServers(resolver, self._clock),
        )
