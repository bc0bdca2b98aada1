"""The self checks of a process (runs.context.Checks): is a DNS-01 value or an HTTP-01 response visible?"""

from __future__ import annotations

from certmill.clock import Clock
from certmill.dns01.propagation import Visibility, is_visible
from certmill.dns01.resolver import Resolver
from certmill.dns01.zones import Zones
from certmill.http01.selfcheck import Probe, probe
from certmill.model.issuer import Dns01Solver
from certmill.runtime.kept import Kept
from certmill.settings import Settings


class SelfChecks:
    """The self checks, with the resolvers of the settings or of the solver."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._resolvers: Kept[tuple[Resolver, Zones]] = Kept()

    def zones(self, solver: Dns01Solver) -> Zones:
        """Return zone look-ups through the solver's name servers; through those of the settings if it has
        none."""
        return self._of(solver.nameservers)[1]

    def visible(
        self, record_name: str, value: str, zone: str, solver: Dns01Solver, *, timeout_seconds: float
    ) -> Visibility:
        """Check once at every authoritative server (or at the solver's own name servers)."""
        return is_visible(
            record_name,
            value,
            zone,
            resolver=self._of(solver.nameservers)[0],
            authoritative_port=self._settings.authoritative_port,
            nameservers=solver.nameservers,
            timeout_seconds=timeout_seconds,
        )

    def probe(self, host: str, token: str, key_authorization: str, *, timeout_seconds: float) -> Probe:
        """Send one HTTP-01 request, as the CA would."""
        resolver = self._of(())[0]
        return probe(
            host,
            token,
            key_authorization,
            port=self._settings.http01_port,
            tls_port=self._settings.http01_tls_port,
            addresses=resolver.find_addresses,
            timeout_seconds=timeout_seconds,
        )

    def _of(self, nameservers: tuple[str, ...]) -> tuple[Resolver, Zones]:
        servers = nameservers or self._settings.recursive_nameservers
        return self._resolvers.get(servers, lambda: self._made(servers))

    def _made(self, servers: tuple[str, ...]) -> tuple[Resolver, Zones]:
        resolver = Resolver(servers)
        return resolver, Zones(resolver, self._clock)
