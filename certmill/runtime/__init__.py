"""The composition root: from Settings to everything a process needs. Built once per process, passed in,
closed at its end.

The other modules build objects from issuers and cache them (`object_cache`): `acme_clients`,
`solver_providers`, `self_checks`. Forbidden here: decisions, Celery, and code that could be in one of the
parts that this package connects.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from redis import Redis

from certmill.certificates.reconcile import Reconciler
from certmill.certificates.requests import RequestHandler
from certmill.clock import Clock
from certmill.crypto.seal import Seal
from certmill.home import installation
from certmill.home.base import Events, Home, NoEvents
from certmill.home.cached import CachedHome
from certmill.home.opened import kube_client, kubernetes_home, open_home
from certmill.home.seal_keys import LazySeal, seal_keys
from certmill.http01.base import NoRoutes, Routes
from certmill.issuers.reconcile import IssuerReconciler
from certmill.runs.concurrency import NamespaceLimit, SlowLookups
from certmill.runs.engine import Engine
from certmill.runs.installation import Installation
from certmill.runs.ports import Limits, Ports
from certmill.runtime.acme_clients import AcmeClients
from certmill.runtime.self_checks import SelfChecks
from certmill.runtime.solver_providers import SolverProviders
from certmill.settings import Settings
from certmill.state.ari_checks import AriChecks
from certmill.state.buckets import Buckets
from certmill.state.due import DueTimes
from certmill.state.installation import InstallationRecord
from certmill.state.issuer_records import IssuerRecords
from certmill.state.journal import Journal
from certmill.state.key_authorizations import KeyAuthorizations
from certmill.state.locks import Locks
from certmill.state.metrics.fleet import Fleet
from certmill.state.metrics.gauges import Gauges
from certmill.state.planned_renewals import PlannedRenewals
from certmill.state.records import Records
from certmill.state.requests import Requests
from certmill.state.server.connection import connect
from certmill.state.server.fleet_clock import FleetClock
from certmill.state.snapshots import Snapshots
from certmill.upkeep.orphaned_routes import OrphanedRoutes
from certmill.upkeep.ticks import Ticks


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """The parts that a process of certmill works with."""

    settings: Settings
    ports: Ports
    engine: Engine
    reconciler: Reconciler
    issuers: IssuerReconciler
    shims: Shims
    orphaned_routes: OrphanedRoutes
    requests: RequestHandler
    ticks: Ticks
    redis: Redis
    home_answers: Callable[[], bool]
    """Whether the API server answers, for a probe; always True for a directory."""
    close_home: Callable[[], None]
    """Writes what the home has not written yet."""

    @classmethod
    def open(cls, settings: Settings) -> Runtime:
        """Build all parts. This sends no request and creates nothing in the home."""
        client = connect(
            settings.redis_url.get_secret_value(),
            ca_file=settings.redis_ca_file,
            max_connections=settings.worker_concurrency + 16,
            url_file=settings.redis_url_file,
        )
        clock = FleetClock(client)
        place = _place(settings, clock)
        ports = _ports(settings, client, place, clock)
        return cls.build(
            settings,
            ports,
            redis=client,
            shims=place.shims,
            home_answers=place.answers,
            close_home=place.close,
        )

    @classmethod
    def build(
        cls,
        settings: Settings,
        ports: Ports,
        *,
        redis: Redis,
        shims: Shims | None = None,
        home_answers: Callable[[], bool] = lambda: True,
        close_home: Callable[[], None] = lambda: None,
    ) -> Runtime:
        """Build all parts, which then work with `ports` (from `default_ports`, or of a test)."""
        steps, ports = _with_cache(ports)
        if isinstance(ports.providers, SolverProviders):
            ports.providers.ports = steps
        reconciler = Reconciler(ports)
        return cls(
            settings=settings,
            ports=ports,
            engine=Engine(steps, reconciler),
            reconciler=reconciler,
            issuers=IssuerReconciler(ports, reconciler),
            shims=shims or _NoShims(),
            orphaned_routes=OrphanedRoutes(ports),
            requests=RequestHandler(ports, reconciler),
            ticks=Ticks(ports, reconciler),
            redis=redis,
            home_answers=home_answers,
            close_home=close_home,
        )

    def with_ports(self, ports: Ports) -> Runtime:
        """Return a runtime whose parts work with `ports`. It shares the connections of this one."""
        return self.build(
            self.settings,
            ports,
            redis=self.redis,
            shims=self.shims,
            home_answers=self.home_answers,
            close_home=self.close_home,
        )

    @property
    def key_authorizations(self) -> KeyAuthorizations:
        """Return the key authorizations that the HTTP-01 responder serves."""
        return self.ports.key_authorizations

    def reject(self, request_id: str, certificate: str, reason: str) -> None:
        """Store a request that the guard refused."""
        self.requests.reject(request_id, certificate, reason)

    def require_own_redis(self) -> None:
        """Raises OtherInstallation if another installation uses this Redis, and StateUnavailable."""
        if self.ports.installation is not None:
            self.ports.installation.require()

    def installation_in_redis(self) -> str:
        """Return the id of the installation that uses this Redis, or "". Raises StateUnavailable."""
        return InstallationRecord(self.redis).read()

    def close(self) -> None:
        """Write the events that wait in this process, and close the connections."""
        self.close_home()
        self.redis.close()


def default_ports(settings: Settings, client: Redis, clock: Clock) -> Ports:
    """Return the ports of a process. This sends no request and creates nothing in the home."""
    return _ports(settings, client, _place(settings, clock), clock)


class Shims(Protocol):
    """Creates and updates the Certificates of annotated Ingresses and VirtualServers, where there are any
    (controller.shims)."""

    def reconcile(self, kind: str, reference: str, left: Sequence[str] = ()) -> None: ...


class _NoShims:
    """Shims for a home that has neither Ingresses nor VirtualServers."""

    def reconcile(self, kind: str, reference: str, left: Sequence[str] = ()) -> None:
        """Does nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """The home of the manifests, and the parts that depend on the kind of home."""

    home: Home
    identity: Callable[[], str]
    events: Events = field(default_factory=NoEvents)
    routes: Routes = field(default_factory=NoRoutes)
    shims: Shims = field(default_factory=_NoShims)
    answers: Callable[[], bool] = lambda: True
    close: Callable[[], None] = lambda: None


def _place(settings: Settings, clock: Clock) -> _Place:
    if settings.home_kind == "directory":
        return _Place(
            home=open_home(settings, clock), identity=partial(installation.of_directory, settings.home)
        )
    from certmill.controller.ingress import DefaultIssuer
    from certmill.controller.shims import ShimReconciler
    from certmill.home.kubernetes.event_queue import EventQueue
    from certmill.home.kubernetes.events import KubernetesEvents
    from certmill.http01.kubernetes_routes import KubernetesRoutes, ResponderAddresses

    kube = kube_client(settings)
    queue = EventQueue()
    events = KubernetesEvents(kube, clock, queue.put)
    addresses = ResponderAddresses(kube, settings.namespace, settings.responder_service)
    default = DefaultIssuer(name=settings.default_issuer_name or "", kind=settings.default_issuer_kind)
    return _Place(
        home=kubernetes_home(settings, clock, kube),
        identity=partial(installation.of_cluster, kube, settings.namespace, settings.lease_name),
        events=events,
        routes=KubernetesRoutes(kube, addresses, settings.responder_port),
        shims=ShimReconciler(kube, events, default),
        answers=kube.answers,
        close=queue.close,
    )


def _with_cache(ports: Ports) -> tuple[Ports, Ports]:
    """Return (the ports of the steps, the ports of all other parts). In a cluster, the home of the steps
    caches what both read and write."""
    if not ports.home.watched:
        return ports, ports
    home = ports.home if isinstance(ports.home, CachedHome) else CachedHome(ports.home, ports.clock)
    return replace(ports, home=home.cached()), replace(ports, home=home.uncached())


def _ports(settings: Settings, client: Redis, place: _Place, clock: Clock) -> Ports:
    return Ports(
        home=place.home,
        events=place.events,
        routes=place.routes,
        records=Records(client),
        due=DueTimes(client),
        fleet=Fleet(client),
        gauges=Gauges(client),
        locks=Locks(client),
        buckets=Buckets(client),
        journal=Journal(client),
        requests=Requests(client),
        planned_renewals=PlannedRenewals(client),
        snapshots=Snapshots(client),
        issuer_records=IssuerRecords(client),
        key_authorizations=KeyAuthorizations(client),
        ari_checks=AriChecks(client),
        # Configured keys are checked now, so that a wrong one ends the process at its start.
        seal=Seal(seal_keys(settings)) if settings.seal_keys else LazySeal(lambda: seal_keys(settings)),
        clients=AcmeClients(settings),
        providers=SolverProviders(settings, clock),
        checks=SelfChecks(settings, clock),
        clock=clock,
        jitter=random.SystemRandom().random,
        limits=_limits(settings),
        slow_lookups=SlowLookups(settings.worker_concurrency // 2),
        namespace_limit=NamespaceLimit(settings.worker_concurrency),
        installation=Installation(place.identity, InstallationRecord(client), clock),
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        lease=settings.step_lease_seconds,
        grace=settings.step_grace_seconds,
        max_attempts=settings.max_step_attempts,
        propagation_timeout=settings.propagation_timeout_seconds,
        validation_timeout=settings.validation_timeout_seconds,
        renewal_jitter=settings.renewal_jitter_seconds,
        fallback_after=settings.fallback_after_seconds,
        high_water=settings.high_water,
    )
