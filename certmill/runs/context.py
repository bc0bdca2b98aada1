"""What a step may use: ports, made once per process by `runtime`, and the work at hand, made anew for each
step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from certmill.acme.client import AcmeClient
from certmill.clock import Clock
from certmill.crypto.seal import Seal
from certmill.dns01.base import Provider
from certmill.dns01.propagation import Visibility
from certmill.dns01.zones import Zones
from certmill.home.base import Events, Home
from certmill.http01.base import Routes
from certmill.http01.selfcheck import Probe
from certmill.model.certificate import Certificate
from certmill.model.issuer import Dns01Solver, Issuer
from certmill.model.names import CertificateId
from certmill.runs.concurrency import NamespaceLimit, SlowLookups
from certmill.runs.facts import Facts
from certmill.runs.installation import Installation
from certmill.runs.zone_locks import ZoneLocks
from certmill.state.due import DueTimes
from certmill.state.issuer_records import IssuerRecords
from certmill.state.journal import Journal
from certmill.state.key_authorizations import KeyAuthorizations
from certmill.state.locks import Locks
from certmill.state.metrics.fleet import Fleet
from certmill.state.metrics.gauges import Gauges
from certmill.state.record import Record
from certmill.state.records import Records
from certmill.state.requests import Requests
from certmill.state.snapshots import Snapshots


class Clients(Protocol):
    """ACME clients: one per process, thread and account."""

    def client(self, issuer: Issuer, key_pem: bytes, account: str | None) -> AcmeClient: ...


class Providers(Protocol):
    """DNS-01 providers for solvers, with their credentials from the issuer's Secrets."""

    def provider(self, issuer: Issuer, solver: Dns01Solver) -> Provider:
        """Raises SecretUnusable or NotFound naming the Secret."""
        ...


class Checks(Protocol):
    """The self checks, each one look, bounded in time."""

    def zones(self, solver: Dns01Solver) -> Zones: ...

    def visible(
        self, record_name: str, value: str, zone: str, solver: Dns01Solver, *, timeout_seconds: float
    ) -> Visibility: ...

    def probe(self, host: str, token: str, key_authorization: str, *, timeout_seconds: float) -> Probe: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The settings that steps and ticks go by; seconds."""

    lease: float = 60.0
    grace: float = 10.0
    max_attempts: int = 10
    propagation_timeout: float = 600.0
    validation_timeout: float = 300.0
    renewal_jitter: float = 3600.0
    high_water: int = 1000
    short_queue: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything outside that the pipeline touches."""

    home: Home
    events: Events
    records: Records
    due: DueTimes
    fleet: Fleet
    gauges: Gauges
    locks: Locks
    journal: Journal
    requests: Requests
    snapshots: Snapshots
    issuer_records: IssuerRecords
    key_authorizations: KeyAuthorizations
    routes: Routes
    seal: Seal
    clients: Clients
    providers: Providers
    checks: Checks
    clock: Clock
    jitter: Callable[[], float]
    limits: Limits = field(default_factory=Limits)
    slow_lookups: SlowLookups = field(default_factory=lambda: SlowLookups(16))
    namespace_limit: NamespaceLimit = field(default_factory=lambda: NamespaceLimit(32))
    installation: Installation | None = None
    """None: it is not checked whose Redis this is."""
    zone_locks: ZoneLocks = field(default_factory=ZoneLocks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One step's work: what is wanted, what is known, and how to keep what it finds out before it ends."""

    ports: Ports
    certificate: Certificate
    issuer: Issuer
    record: Record
    facts: Facts
    keep: Callable[[Facts, str | None], None]
    """Keep these facts (and the sealed key) now, and renew the lease; raises LeaseLost if the step is no
    longer ours."""
    hold: Callable[[], None]
    """Called between the requests of a long step: renews the lease when a third of it has gone by; raises
    LeaseLost."""
    store_temporary: Callable[[], bool]
    """Store a temporary pair if the Secret holds none that a server could use; whether that was done
    (certificates.temporary)."""
    is_issuer_ready: Callable[[], bool]
    """Whether the issuer is ready now, as the home itself has it: what `ports.home` says may be a moment
    old."""

    @property
    def id(self) -> CertificateId:
        return self.certificate.id

    def since(self, instant: float | None) -> float:
        """Seconds since something was done; 0 if it was not."""
        return max(0.0, self.ports.clock.now() - instant) if instant is not None else 0.0

    def elapsed(self) -> float:
        """Seconds since the run came to this step."""
        return max(0.0, self.ports.clock.now() - self.record.since)

    @property
    def is_first_try(self) -> bool:
        """Whether this step has not yet waited or failed: the first look is short, so that dead names give
        the thread back quickly."""
        return self.record.tries == 0

    @contextmanager
    def slow_lookup(self) -> Iterator[float]:
        """Yields the time-out for a look outside: 1 s at first, then 5 s but in a bounded number of lanes.
        Raises Busy."""
        if self.is_first_try:
            yield 1.0
        else:
            with self.ports.slow_lookups.slow(self.certificate.namespace):
                yield 5.0


class LeaseLost(Exception):
    """This step has been claimed by somebody else meanwhile; whatever we found out is theirs to find out
    again."""
