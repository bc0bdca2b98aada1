"""A test environment in memory around a real Redis. Home, CA, provider, checks and clock are fakes. For
tests of the engine alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from redis import Redis

from certmill.acme import challenges
from certmill.acme.jws import AccountKey
from certmill.certificates.digest import digest
from certmill.clock import Clock
from certmill.crypto import chain
from certmill.crypto.seal import Seal
from certmill.dns01.base import Provider
from certmill.dns01.propagation import Visibility
from certmill.http01.base import NoRoutes
from certmill.http01.selfcheck import Probe
from certmill.model.certificate import Certificate
from certmill.model.issuer import Dns01Solver, Http01Solver, Issuer
from certmill.model.manifests.parse import certificate_document, dump_yaml
from certmill.model.secret import Secret
from certmill.runs.ports import Ports
from certmill.runtime import Runtime, default_ports
from certmill.settings import Settings
from certmill.state.key_authorizations import KeyAuthorizations
from certmill.state.records import Records
from certmill.testing.clock import FakeClock
from certmill.testing.home import MemoryHome
from certmill.testing.memory_ca import MemoryCA
from certmill.testing.provider import MemoryProvider

SETTINGS = Settings(home=Path("unused"))
"""Settings of the environment in memory. Nothing is read from or written to this home."""


class SkewedClock:
    """The clock of another machine, which differs from ours by this many seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.skew = 0.0

    def now(self) -> float:
        return self._clock.now() + self.skew

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def pause(self, seconds: float) -> None:
        self._clock.pause(seconds)


class OneProvider:
    """Every solver has the same provider."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def provider(self, issuer: Issuer, solver: Dns01Solver) -> Provider:
        return self._provider


class MemoryRoutes(NoRoutes):
    """Routes that all have the name that the environment sets."""

    def __init__(self, world: MemoryWorld) -> None:
        self._world = world

    def route_name(self, certificate: Certificate, solver: Http01Solver) -> str:
        return self._world.way


class MemoryWorld:
    """All parts that a run uses, and functions to read their state."""

    def __init__(
        self, redis: Redis, certificate: Certificate, issuer: Issuer, *, records: Records, now: float
    ) -> None:
        self._redis = redis
        self.clock = FakeClock(now)
        self.home = MemoryHome(cluster_resource_namespace="cert-manager")
        self.home.apply(issuer, "kind: ClusterIssuer\n")
        self.home.apply(certificate, dump_yaml(certificate_document(certificate)))
        self.provider = MemoryProvider()
        self.tokens = KeyAuthorizations(redis)
        self.validates: Callable[[str, str, str], bool] = self._validates
        self.seen: Callable[[], Probe] | None = None  # replaces the HTTP-01 self check
        self.way = ""  # the name of the HTTP-01 route; "" if the operator configured the route
        self.looked: list[object] = []  # the names that self checks requested, in order
        self.cnames: dict[str, str] = {}  # name → the target of its CNAME
        self.ca_clock = SkewedClock(self.clock)
        self.ca = MemoryCA(clock=self.ca_clock, validates=lambda *challenge: self.validates(*challenge))  # noqa: PLW0108 - tests change it
        self.spec = digest(certificate, issuer)
        self.ports = replace(
            default_ports(SETTINGS, redis, self.clock),
            home=self.home,
            records=records,
            routes=MemoryRoutes(self),
            seal=Seal([b"k" * 32]),
            clients=self.ca,
            providers=OneProvider(self.provider),
            checks=self,
            jitter=lambda: 0.0,
            installation=None,
        )

    def runtime(self, ports: Ports | None = None) -> Runtime:
        """The parts of a process, connected to these ports. Default: the ports of this environment."""
        return Runtime.build(SETTINGS, ports or self.ports, redis=self._redis)

    def leaf(self, certificate: Certificate) -> chain.Leaf:
        """The stored leaf."""
        return chain.leaf(self.secret(certificate.namespace, certificate.secret_name).data["tls.crt"])

    def secret(self, namespace: str, name: str) -> Secret:
        """The stored Secret."""
        secret = self.home.secret(namespace, name)
        assert secret is not None, f"Secret {namespace}/{name} is not stored"
        return secret

    def zones(self, solver: Dns01Solver) -> Any:
        return self

    def zone_of(self, name: str, *, within_seconds: float | None = None) -> str:
        return ".".join(name.split(".")[-2:])

    def follow_cnames(self, name: str, *, within_seconds: float | None = None) -> str:
        while name in self.cnames:
            name = self.cnames[name]
        return name

    def visible(
        self, record_name: str, value: str, zone: str, solver: Dns01Solver, *, timeout_seconds: float
    ) -> Visibility:
        self.looked.append(record_name)
        seen = value in self.provider.values.get(record_name, ())
        return Visibility(visible=seen, reason="" if seen else f"ns1.{zone} does not have it yet")

    def probe(self, host: str, token: str, key_authorization: str, *, timeout_seconds: float) -> Probe:
        self.looked.append(host)
        if self.seen is not None:
            return self.seen()
        served = self.tokens.get(token)
        seen = served is not None and served.text == key_authorization and served.is_for(host)
        return Probe(ok=seen, reason="" if seen else f"{host} answered 404")

    def _validates(self, type_: str, name: str, token: str) -> bool:
        if type_ == "http-01":
            served = self.tokens.get(token)
            return served is not None and served.is_for(name)
        thumbprint = self._thumbprint()
        record_name = self.follow_cnames(challenges.dns01_record_name(name))
        return challenges.dns01_value(token, thumbprint) in self.provider.values.get(record_name, ())

    def _thumbprint(self) -> str:
        return AccountKey.from_pem(self.secret("cert-manager", "prod-account").data["tls.key"]).thumbprint
