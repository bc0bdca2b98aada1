"""A world in memory with the engine's parts, and chains played straight: what a worker and a beat would do,
without them."""

from __future__ import annotations

from dataclasses import replace

from certmill.certificates.reconcile import Reconciler
from certmill.certificates.requests import RequestHandler
from certmill.contract import STEP_NAMES
from certmill.model.manifests.parse import certificate_document, dump_yaml
from certmill.runs.context import Limits
from certmill.runs.engine import Engine
from certmill.runs.outcomes import Drop, Fail, Proceed
from certmill.state.records import Records
from certmill.upkeep.ticks import Ticks
from tests.support.builders import NOW, a_certificate, an_issuer
from tests.support.memory import MemoryWorld


class _Wrapped:
    def __init__(self, ca, wrap) -> None:
        self._ca, self._wrap = ca, wrap

    def client(self, issuer, key_pem, account):
        return self._wrap(self._ca.client(issuer, key_pem, account))


class Mill:
    """A world with the engine's parts, and the chain played straight."""

    def __init__(self, redis, *, certificate=None, issuer=None, limits=None, events=None) -> None:
        certificate = certificate or a_certificate()
        self.world = MemoryWorld(redis, certificate, issuer or an_issuer(), records=Records(redis), now=NOW)
        self.ports = replace(
            self.world.ports, limits=limits or Limits(), events=events or self.world.ports.events
        )
        self.reconciler = Reconciler(self.ports)
        self.engine, self.ticks = Engine(self.ports, self.reconciler), Ticks(self.ports, self.reconciler)
        self.handler = RequestHandler(self.ports, self.reconciler)
        self.certificate = certificate

    def use(self, ports):
        """From now on steps have these ports."""
        self.ports = ports
        self.engine = Engine(self.ports, Reconciler(self.ports))

    def wrap_clients(self, wrap):
        """From now on `wrap(client)` is asked in place of each of the CA's clients."""
        self.use(replace(self.ports, clients=_Wrapped(self.world.ca, wrap)))

    def use_routes(self, routes):
        """From now on challenges are led to the responder by this."""
        self.ports = replace(self.ports, routes=routes)
        self.reconciler = Reconciler(self.ports)
        self.engine = Engine(self.ports, self.reconciler)

    def step(self, name):
        """One step alone."""
        return self.engine.run(name, self.certificate.id, task_id="t", root_id="r")

    def run(self, step=STEP_NAMES[0]):
        """Play the chain from a step; the last result, and the step it came from."""
        result = None
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

    def wake(self, seconds=600):
        """Let time pass, and play what the tick rings."""
        self.world.clock.advance(seconds)
        (wake_up,) = self.ticks.wake().wake_ups
        return self.run(wake_up.step)

    def issue(self):
        assert self.reconciler.reconcile(self.certificate.id).publish_run
        self.run()
        return self.world.leaf(self.certificate)

    def record(self):
        return self.ports.records.read(self.certificate.id)

    def status(self):
        return self.ports.home.certificate_status(self.certificate.id)

    def apply(self, certificate):
        self.certificate = certificate
        self.ports.home.apply(certificate, dump_yaml(certificate_document(certificate)))
