"""The environment in memory with the engine's parts. It executes chains without a worker and without beat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from redis import Redis

from certmill.acme.client import AcmeClient
from certmill.certificates.reconcile import Reconciler
from certmill.contract import STEP_NAMES
from certmill.crypto import chain
from certmill.home.base import Events
from certmill.model.certificate import Certificate
from certmill.model.issuer import Issuer
from certmill.model.manifests.parse import certificate_document, dump_yaml
from certmill.model.status import CertificateStatus
from certmill.runs.engine import Engine
from certmill.runs.outcomes import Drop, Fail, Proceed, StepResult
from certmill.runs.ports import Limits, Ports
from certmill.state.record import Record
from certmill.state.records import Records
from certmill.testing.memory_ca import MemoryCA
from tests.support.builders import NOW, a_certificate, an_issuer
from tests.support.memory import MemoryWorld

Wrap = Callable[[Any], Any]
"""Returns the client that is called instead of a client of the CA."""


class _Wrapped:
    def __init__(self, ca: MemoryCA, wrap: Wrap) -> None:
        self._ca, self._wrap = ca, wrap

    def client(self, issuer: Issuer, key_pem: bytes, account: str | None) -> AcmeClient:
        return cast("AcmeClient", self._wrap(self._ca.client(issuer, key_pem, account)))


class Mill:
    """The environment with the parts of a process. It executes the steps of a chain in order."""

    def __init__(
        self,
        redis: Redis,
        *,
        certificate: Certificate | None = None,
        issuer: Issuer | None = None,
        limits: Limits | None = None,
        events: Events | None = None,
    ) -> None:
        certificate = certificate or a_certificate()
        self.world = MemoryWorld(redis, certificate, issuer or an_issuer(), records=Records(redis), now=NOW)
        self.certificate = certificate
        self._build(self.world.ports)
        self.use(limits=limits or Limits(), events=events or self.ports.events)

    def use(self, **changes: Any) -> None:
        """Build the parts again; these ports replace the ports with the same names."""
        self._build(replace(self.ports, **changes))

    def use_in_steps(self, **changes: Any) -> None:
        """Replace ports for the steps only: ticks, requests and issuers keep their ports."""
        self.engine = Engine(replace(self.ports, **changes), self.reconciler)

    def wrap_clients(self, wrap: Wrap) -> None:
        """From now on, `wrap(client)` is called instead of each client of the CA."""
        self.use(clients=_Wrapped(self.world.ca, wrap))

    def _build(self, ports: Ports) -> None:
        built = self.world.runtime(ports)
        self.ports, self.engine, self.ticks = built.ports, built.engine, built.ticks
        self.handler, self.issuers = built.requests, built.issuers
        self.reconciler: Reconciler = built.reconciler

    def step(self, name: str) -> StepResult:
        """Execute one step."""
        return self.engine.run(name, self.certificate.id, task_id="t", root_id="r")

    def run(self, step: str = STEP_NAMES[0]) -> StepResult | None:
        """Execute the chain from a step on. Returns the last result and its step."""
        result: StepResult | None = None
        while step:
            result, ran = self.step(step), step
            step = ""
            if isinstance(result, Proceed) and ran != STEP_NAMES[-1]:
                step = STEP_NAMES[STEP_NAMES.index(ran) + 1]
            if isinstance(result, Fail) or (isinstance(result, Drop) and result.publish_run):
                step = self.ports.records.wake_ups([self.certificate.id])[0].step
                if isinstance(result, Fail):
                    self.failed = result.message
        return result

    def wake(self, seconds: float = 600) -> StepResult | None:
        """Advance the clock, and execute what the tick publishes."""
        self.world.clock.advance(seconds)
        (wake_up,) = self.ticks.wake().wake_ups
        return self.run(wake_up.step)

    def issue(self) -> chain.Leaf:
        assert self.reconciler.reconcile(self.certificate.id).publish_run
        self.run()
        return self.world.leaf(self.certificate)

    def record(self) -> Record:
        record = self.ports.records.read(self.certificate.id)
        assert record is not None, f"{self.certificate.id} has no record"
        return record

    def has_record(self) -> bool:
        return self.ports.records.read(self.certificate.id) is not None

    def status(self) -> CertificateStatus:
        return self.ports.home.certificate_status(self.certificate.id)

    def apply(self, certificate: Certificate) -> None:
        self.certificate = certificate
        self.ports.home.apply(certificate, dump_yaml(certificate_document(certificate)))
