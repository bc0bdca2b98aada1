"""A world in memory with the engine's parts, and chains played straight: what a worker and a beat would do,
without them."""

from __future__ import annotations

from dataclasses import replace

from certmill.contract import STEP_NAMES
from certmill.model.manifests.parse import certificate_document, dump_yaml
from certmill.runs.context import Limits
from certmill.runs.engine import Engine
from certmill.runs.outcomes import Drop, Fail, Proceed
from certmill.state.records import Records
from tests.support.builders import NOW, a_certificate, an_issuer
from tests.support.memory import MemoryWorld


class _Wrapped:
    def __init__(self, ca, wrap) -> None:
        self._ca, self._wrap = ca, wrap

    def client(self, issuer, key_pem, account):
        return self._wrap(self._ca.client(issuer, key_pem, account))


class Mill:
    """A world with the parts of a process, and the chain played straight."""

    def __init__(self, redis, *, certificate=None, issuer=None, limits=None, events=None) -> None:
        certificate = certificate or a_certificate()
        self.world = MemoryWorld(redis, certificate, issuer or an_issuer(), records=Records(redis), now=NOW)
        self.certificate = certificate
        self._build(self.world.ports)
        self.use(limits=limits or Limits(), events=events or self.ports.events)

    def use(self, **changes):
        """Build the parts again with these ports in place of the ones that have their names."""
        self._build(replace(self.ports, **changes))

    def use_in_steps(self, **changes):
        """The same for steps alone: ticks, requests and issuers keep the ports that they have."""
        self.engine = Engine(replace(self.ports, **changes), self.reconciler)

    def wrap_clients(self, wrap):
        """From now on `wrap(client)` is asked in place of each of the CA's clients."""
        self.use(clients=_Wrapped(self.world.ca, wrap))

    def _build(self, ports):
        built = self.world.runtime(ports)
        self.ports, self.engine, self.reconciler = built.ports, built.engine, built.reconciler
        self.ticks, self.handler, self.issuers = built.ticks, built.requests, built.issuers

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
