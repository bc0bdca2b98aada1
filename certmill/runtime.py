"""The composition root: from Settings to everything a process needs. Built once per process, passed in, closed at its end."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import redis

from certmill.acme.client import AcmeClient, DirectoryCache
from certmill.acme.jws import AccountKey
from certmill.acme.nonces import NoncePools
from certmill.acme.transport import Connections, TlsTrust
from certmill.clock import Clock, SystemClock
from certmill.crypto import seal
from certmill.crypto.seal import Seal
from certmill.dns01.base import Provider
from certmill.dns01.cloudflare import CloudflareProvider
from certmill.dns01.propagation import Visibility, is_visible
from certmill.dns01.resolver import Resolver
from certmill.dns01.rfc2136 import Rfc2136Provider
from certmill.dns01.zones import Zones
from certmill.errors import HomeUnavailable, InvalidManifest
from certmill.home.base import Events, Home, NoEvents
from certmill.home.directory import DirectoryHome
from certmill.home.recent import RecentHome
from certmill.http01.base import Exposure, NoExposure
from certmill.http01.selfcheck import Probe, probe
from certmill.model.issuer import Cloudflare, Dns01Solver, Issuer
from certmill.pipeline.context import Limits, Ports
from certmill.pipeline.engine import Engine
from certmill.pipeline.issuer_secrets import secret_value
from certmill.pipeline.issuers import IssuerReconciler
from certmill.pipeline.lanes import Lanes, Shares
from certmill.pipeline.reconcile import Reconciler
from certmill.pipeline.requests import RequestDesk
from certmill.pipeline.ticks import Ticks
from certmill.pipeline.ways import Ways
from certmill.settings import Settings
from certmill.state.connection import connect
from certmill.state.due import DueTimes
from certmill.state.journal import Journal
from certmill.state.locks import Locks
from certmill.state.records import Records
from certmill.state.requests import Requests
from certmill.state.sightings import Sightings
from certmill.state.tokens import KeyAuthorizations

SEAL_KEY_FILE = "seal-key"

_MOST_KEPT = 256
"""Of what is kept for the next use by what an issuer says (clients, providers, resolvers): who may change an issuer may do so for ever."""


class LazySeal(Seal):
    """A Seal whose keys are asked for when it is first used: who only looks leaves no key in the home."""

    __slots__ = ("_guard", "_keys", "_made")

    def __init__(self, keys: Callable[[], list[bytes]]) -> None:
        self._keys = keys
        self._guard = threading.Lock()
        self._made: Seal | None = None

    def seal(self, plaintext: bytes, *, context: str) -> str:
        """As Seal.seal. Raises HomeUnavailable when there is no key, and none can be made."""
        return self._built().seal(plaintext, context=context)

    def open(self, sealed: str, *, context: str) -> bytes:
        """As Seal.open. Raises HomeUnavailable when there is no key, and none can be made."""
        return self._built().open(sealed, context=context)

    def _built(self) -> Seal:
        with self._guard:
            if self._made is None:
                self._made = Seal(self._keys())
            return self._made


class AcmeClients:
    """ACME clients of this process: one per thread and account; nonces, directories and connections are shared."""

    def __init__(self, settings: Settings) -> None:
        self._timeout = settings.acme_timeout_seconds
        self._nonces = NoncePools()
        self._directories = DirectoryCache()
        self._connections = Connections()
        self._local = threading.local()

    def client(self, issuer: Issuer, key_pem: bytes, account_uri: str | None) -> AcmeClient:
        """This thread's client for the account."""
        clients: dict[tuple[object, ...], AcmeClient] = self._local.__dict__.setdefault("clients", {})
        fingerprint = hashlib.sha256(key_pem).digest()
        which = (issuer.server, fingerprint, account_uri, issuer.ca_bundle, issuer.skip_tls_verify)
        if which not in clients:
            if len(clients) >= _MOST_KEPT:
                clients.clear()
            clients[which] = AcmeClient(
                server=issuer.server,
                key=AccountKey.from_pem(key_pem),
                account_uri=account_uri,
                trust=TlsTrust(ca_bundle=issuer.ca_bundle, skip_verify=issuer.skip_tls_verify),
                nonces=self._nonces.pool(issuer.server),
                directories=self._directories,
                connections=self._connections,
                timeout_seconds=self._timeout,
            )
        return clients[which]


class SolverProviders:
    """DNS-01 providers by solver and credentials; a changed Secret is a new provider."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._providers: dict[tuple[object, ...], Provider] = {}
        self._guard = threading.Lock()
        self.ports: Ports | None = None

    def provider(self, issuer: Issuer, solver: Dns01Solver) -> Provider:
        """The provider of a solver. Raises NotFound or SecretUnusable naming the Secret."""
        credential = self._credential(issuer, solver)
        which = (solver.provider, hashlib.sha256(credential.encode()).digest())
        with self._guard:
            if which not in self._providers:
                if len(self._providers) >= _MOST_KEPT:
                    self._providers.clear()
                self._providers[which] = self._made(solver, credential)
            return self._providers[which]

    def _credential(self, issuer: Issuer, solver: Dns01Solver) -> str:
        assert self.ports is not None
        config = solver.provider
        if isinstance(config, Cloudflare):
            ref, purpose = config.api_token or config.api_key, "Cloudflare credential"
        else:
            ref, purpose = config.tsig_secret, "TSIG secret"
        return secret_value(self.ports, issuer, ref, purpose).decode("utf-8", "replace").strip() if ref else ""

    def _made(self, solver: Dns01Solver, credential: str) -> Provider:
        config = solver.provider
        if isinstance(config, Cloudflare):
            return CloudflareProvider(
                api_url=self._settings.cloudflare_api_url,
                token=credential if config.api_token else None,
                email=config.email,
                key=credential if config.api_key else None,
                clock=self._clock,
            )
        return Rfc2136Provider(config, tsig_secret=credential or None)


class SelfChecks:
    """The self checks, with the resolvers of the settings or of the solver."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._guard = threading.Lock()
        self._resolvers: dict[tuple[str, ...], tuple[Resolver, Zones]] = {}

    def zones(self, solver: Dns01Solver) -> Zones:
        """Zone look-ups through the solver's name servers, else the settings'."""
        return self._of(solver.nameservers)[1]

    def visible(self, record_name: str, value: str, zone: str, solver: Dns01Solver, *, timeout_seconds: float) -> Visibility:
        """One look at every authoritative server (or at the solver's own)."""
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
        """One HTTP-01 look, as the CA would."""
        resolver = self._of(())[0]
        return probe(
            host,
            token,
            key_authorization,
            port=self._settings.http01_port,
            tls_port=self._settings.http01_tls_port,
            addresses=resolver.addresses,
            timeout_seconds=timeout_seconds,
        )

    def _of(self, nameservers: tuple[str, ...]) -> tuple[Resolver, Zones]:
        servers = nameservers or self._settings.recursive_nameservers
        with self._guard:
            if servers not in self._resolvers:
                if len(self._resolvers) >= _MOST_KEPT:
                    self._resolvers.clear()
                resolver = Resolver(servers)
                self._resolvers[servers] = (resolver, Zones(resolver, self._clock))
            return self._resolvers[servers]


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What a process of certmill works with."""

    settings: Settings
    ports: Ports
    engine: Engine
    reconciler: Reconciler
    issuers: IssuerReconciler
    shims: Shims
    ways: Ways
    requests: RequestDesk
    ticks: Ticks
    redis: redis.Redis

    @classmethod
    def open(cls, settings: Settings) -> Runtime:
        """Build everything. Nothing is sent to anybody yet, and nothing is made in the home."""
        clock = SystemClock()
        client = connect(
            settings.redis_url.get_secret_value(), ca_file=settings.redis_ca_file, max_connections=settings.worker_concurrency + 16
        )
        place = _place(settings, clock)
        providers = SolverProviders(settings, clock)
        ports = _ports(settings, client, place, clock, providers)
        steps = _for_steps(ports)
        providers.ports = steps
        reconciler = Reconciler(ports)
        return cls(
            settings=settings,
            ports=ports,
            engine=Engine(steps, reconciler),
            reconciler=reconciler,
            issuers=IssuerReconciler(ports, reconciler),
            shims=place.shims,
            ways=Ways(ports),
            requests=RequestDesk(ports, reconciler),
            ticks=Ticks(ports, reconciler),
            redis=client,
        )

    @property
    def key_authorizations(self) -> KeyAuthorizations:
        """What the HTTP-01 responder serves."""
        return self.ports.key_authorizations

    def reject(self, request_id: str, certificate: str, reason: str) -> None:
        """Keep a request that the guard refused."""
        self.requests.reject(request_id, certificate, reason)

    def close(self) -> None:
        """Close the connections."""
        self.redis.close()


class Shims(Protocol):
    """Keeps the Certificates of annotated Ingresses and VirtualServers, where there are any (controller.shims)."""

    def reconcile(self, kind: str, reference: str, left: Sequence[str] = ()) -> None: ...


class _NoShims:
    """Of a home that has neither Ingresses nor VirtualServers."""

    def reconcile(self, kind: str, reference: str, left: Sequence[str] = ()) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where manifests are, and what goes with that place."""

    home: Home
    events: Events = field(default_factory=NoEvents)
    exposure: Exposure = field(default_factory=NoExposure)
    shims: Shims = field(default_factory=_NoShims)


def _place(settings: Settings, clock: Clock) -> _Place:
    if settings.home_kind == "directory":
        return _Place(home=DirectoryHome(settings.home, cluster_resource_namespace=settings.cluster_resource_namespace))
    # The Kubernetes client takes 40 MB and a second: only where it is wanted.
    from certmill.controller.ingress import DefaultIssuer
    from certmill.controller.shims import ShimReconciler
    from certmill.home.kubernetes import KubernetesHome
    from certmill.home.kubernetes_events import KubernetesEvents
    from certmill.http01.exposure import KubernetesExposure, ResponderAddresses
    from certmill.kube.client import KubeClient
    from certmill.kube.connection import connect as connect_kube

    kube = KubeClient(connect_kube(kubeconfig=settings.kubeconfig, connections=settings.worker_concurrency + 16))
    events = KubernetesEvents(kube, clock)
    addresses = ResponderAddresses(kube, settings.namespace, settings.responder_service)
    default = DefaultIssuer(name=settings.default_issuer_name or "", kind=settings.default_issuer_kind)
    return _Place(
        home=KubernetesHome(kube, cluster_resource_namespace=settings.cluster_resource_namespace, clock=clock),
        events=events,
        exposure=KubernetesExposure(kube, addresses, settings.responder_port),
        shims=ShimReconciler(kube, events, default),
    )


def _for_steps(ports: Ports) -> Ports:
    """A step's reads of an API server may be a moment old."""
    return replace(ports, home=RecentHome(ports.home, ports.clock)) if ports.home.watched else ports


def _ports(settings: Settings, client: redis.Redis, place: _Place, clock: Clock, providers: SolverProviders) -> Ports:
    return Ports(
        home=place.home,
        events=place.events,
        exposure=place.exposure,
        records=Records(client),
        due=DueTimes(client),
        locks=Locks(client),
        journal=Journal(client),
        requests=Requests(client),
        sightings=Sightings(client),
        key_authorizations=KeyAuthorizations(client),
        # Configured keys are looked at now, so that a wrong one ends the process at its start.
        seal=Seal(seal_keys(settings)) if settings.seal_keys else LazySeal(lambda: seal_keys(settings)),
        clients=AcmeClients(settings),
        providers=providers,
        checks=SelfChecks(settings, clock),
        clock=clock,
        jitter=random.SystemRandom().random,
        limits=Limits(
            lease=settings.step_lease_seconds,
            grace=settings.step_grace_seconds,
            max_attempts=settings.max_step_attempts,
            propagation_timeout=settings.propagation_timeout_seconds,
            validation_timeout=settings.validation_timeout_seconds,
            renewal_jitter=settings.renewal_jitter_seconds,
            high_water=settings.high_water,
        ),
        lanes=Lanes(settings.worker_concurrency // 2),
        shares=Shares(settings.worker_concurrency),
    )


def seal_keys(settings: Settings) -> list[bytes]:
    """The keys of the settings, or the one that is kept in the home (made now, 0600, if there is none)."""
    texts = [key.get_secret_value() for key in settings.seal_keys] or [_kept_seal_key(settings.home)]
    try:
        return [base64.b64decode(text, validate=True) for text in texts]
    except binascii.Error:
        raise InvalidManifest("is not base64 of 32 bytes", path="CERTMILL_SEAL_KEYS") from None


def _kept_seal_key(home: Path) -> str:
    """Read `<home>/seal-key`; made whole in a file of its own first, so that of two processes only one's is ever seen."""
    file = home / SEAL_KEY_FILE
    try:
        if not file.exists():
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            made = home / f".{SEAL_KEY_FILE}.{os.getpid()}.{threading.get_ident()}"
            with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
                stream.write(seal.new_key())
                stream.flush()
                os.fsync(stream.fileno())
            try:
                os.link(made, file)
            except FileExistsError:
                pass
            finally:
                made.unlink()
        return file.read_text(encoding="ascii").strip()
    except OSError as error:
        raise HomeUnavailable(
            f"cannot read or make {SEAL_KEY_FILE} in the home: {error.strerror}; see that the home is writable"
        ) from error
