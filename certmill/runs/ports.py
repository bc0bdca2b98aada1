"""The ports: everything outside the process that the engine uses. `runtime` makes them once per process."""

from __future__ import annotations

from collections.abc import Callable
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
from certmill.model.issuer import Dns01Solver, Issuer
from certmill.runs.concurrency import NamespaceLimit, SlowLookups
from certmill.runs.installation import Installation
from certmill.runs.zone_locks import ZoneLocks
from certmill.state.ari_checks import AriChecks
from certmill.state.buckets import Buckets
from certmill.state.due import DueTimes
from certmill.state.issuer_records import IssuerRecords
from certmill.state.journal import Journal
from certmill.state.key_authorizations import KeyAuthorizations
from certmill.state.locks import Locks
from certmill.state.metrics.fleet import Fleet
from certmill.state.metrics.gauges import Gauges
from certmill.state.planned_renewals import PlannedRenewals
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
    """The self checks. Each call makes one check within its time-out (seconds)."""

    def zones(self, solver: Dns01Solver) -> Zones: ...

    def visible(
        self, record_name: str, value: str, zone: str, solver: Dns01Solver, *, timeout_seconds: float
    ) -> Visibility: ...

    def probe(self, host: str, token: str, key_authorization: str, *, timeout_seconds: float) -> Probe: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The settings of steps and ticks. Times are in seconds."""

    lease: float = 60.0
    grace: float = 10.0
    max_attempts: int = 10
    propagation_timeout: float = 600.0
    validation_timeout: float = 300.0
    renewal_jitter: float = 3600.0
    fallback_after: float = 300.0
    high_water: int = 1000
    short_queue: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything outside the process that steps, ticks and reconcilers use."""

    home: Home
    events: Events
    records: Records
    due: DueTimes
    fleet: Fleet
    gauges: Gauges
    locks: Locks
    buckets: Buckets
    journal: Journal
    requests: Requests
    planned_renewals: PlannedRenewals
    snapshots: Snapshots
    issuer_records: IssuerRecords
    key_authorizations: KeyAuthorizations
    ari_checks: AriChecks
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
    """None: it is not checked whether another installation uses this Redis."""
    zone_locks: ZoneLocks = field(default_factory=ZoneLocks)
