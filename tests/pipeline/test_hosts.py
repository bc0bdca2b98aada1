"""In a cluster one responder answers for all namespaces: of two Certificates for one host, one has its challenge at a time."""

from __future__ import annotations

from dataclasses import replace

from certmill.model.names import certificate_id
from certmill.pipeline.engine import Engine
from certmill.pipeline.outcome import Proceed, Wait
from certmill.pipeline.sweep import SWEEP_AFTER_SECONDS
from certmill.pipeline.ticks import Ticks
from certmill.pipeline.ways import Ways
from certmill.state.journal import Presented
from tests.builders import a_certificate
from tests.pipeline.mill import Mill

HOST = "web.example.test"
VICTIM = a_certificate(namespace="victim", dns_names=(HOST,))
ATTACKER = a_certificate(namespace="attacker", dns_names=("a.example.test", HOST, "z.example.test"))
BEFORE = ("register_account", "create_order")


class Ingresses:
    """The ways that are open, by namespace."""

    def __init__(self):
        self.open_for = set()

    def way(self, certificate, solver):
        return "own"

    def open(self, certificate, host, token, solver):
        self.open_for.add((certificate.namespace, host))

    def clear(self, namespace, ingress, is_over):
        self.open_for = {one for one in self.open_for if one[0] != namespace or not is_over(certificate_id(namespace, "web"))}

    def close(self, certificate, host, way):
        self.open_for.discard((certificate.split("/")[0], host))


class Tenant(Mill):
    """A tenant's Certificate, with an issuer and a CA of its own, and the cluster's one Redis."""

    def __init__(self, redis, certificate, ingresses):
        super().__init__(redis, certificate=certificate)
        self.world.home.apply(certificate, "kind: Certificate\n")
        self.ports = replace(self.ports, exposure=ingresses)
        self.engine, self.ticks = Engine(self.ports, self.reconciler), Ticks(self.ports, self.reconciler)
        assert self.reconciler.reconcile(certificate.id).ring

    def again(self, step):
        """The same step, a moment later."""
        self.world.clock.advance(5)
        return self.step(step)


def test_while_one_is_validated_no_other_has_a_key_authorization_for_its_host(redis):
    ingresses = Ingresses()
    victim, attacker = (Tenant(redis, certificate, ingresses) for certificate in (VICTIM, ATTACKER))
    assert all(isinstance(tenant.step(step), Proceed) for tenant in (victim, attacker) for step in BEFORE)
    assert isinstance(victim.step("set_up_challenge"), Proceed)

    result = attacker.step("set_up_challenge")

    assert isinstance(result, Wait)
    assert result.reason == f"another Certificate has a challenge for {HOST} under way"
    assert ingresses.open_for == {("victim", HOST)}
    assert len(redis.keys("certmill:http01:*")) == 1

    victim.run("wait_for_propagation")
    assert ingresses.open_for == set()
    assert isinstance(attacker.again("set_up_challenge"), Proceed)
    assert ingresses.open_for == {("attacker", host) for host in ATTACKER.dns_names}


def test_one_that_is_given_up_leaves_the_host_to_others(redis):
    ingresses = Ingresses()
    victim, attacker = (Tenant(redis, certificate, ingresses) for certificate in (VICTIM, ATTACKER))
    assert all(isinstance(tenant.step(step), Proceed) for tenant in (victim, attacker) for step in BEFORE)
    assert isinstance(attacker.step("set_up_challenge"), Proceed)
    assert isinstance(victim.step("set_up_challenge"), Wait)

    attacker.world.home.delete("Certificate", "attacker", "web")
    attacker.run("wait_for_propagation")

    assert redis.keys("certmill:http01:*") == []
    assert isinstance(victim.again("set_up_challenge"), Proceed)


def test_the_sweep_of_what_a_former_run_left_does_not_close_the_way_of_the_one_that_goes_on(redis):
    ingresses = Ingresses()
    victim = Tenant(redis, VICTIM, ingresses)
    left = Presented(
        certificate=VICTIM.id, issuer_kind="ClusterIssuer", issuer_namespace="", issuer_name="prod",
        identifier=HOST, record_name="", zone="", value="a-former-token", way="own",
    )  # fmt: skip
    victim.ports.journal.add([left], now=victim.world.clock.now() - 2 * SWEEP_AFTER_SECONDS)
    victim.ports.key_authorizations.put("a-former-token", "a-former-token.thumbprint")
    assert all(isinstance(victim.step(step), Proceed) for step in (*BEFORE, "set_up_challenge"))

    assert victim.ticks.sweep("sweep") == 1
    assert ingresses.open_for == {("victim", HOST)}
    assert victim.ports.key_authorizations.get("a-former-token") is None

    victim.run("wait_for_propagation")
    assert ingresses.open_for == set()


def test_a_way_is_closed_that_no_run_will_close(redis):
    ingresses = Ingresses()
    victim = Tenant(redis, VICTIM, ingresses)
    assert all(isinstance(victim.step(step), Proceed) for step in (*BEFORE, "set_up_challenge"))

    Ways(victim.ports).clear("victim/cafe")
    assert ingresses.open_for == {("victim", HOST)}

    redis.flushdb()
    Ways(victim.ports).clear("victim/cafe")
    assert ingresses.open_for == set()


def test_a_way_is_closed_that_a_run_has_left(redis):
    ingresses = Ingresses()
    victim = Tenant(redis, VICTIM, ingresses)
    assert all(isinstance(victim.step(step), Proceed) for step in (*BEFORE, "set_up_challenge"))
    victim.run("wait_for_propagation")
    ingresses.open(VICTIM, HOST, "token", None)

    Ways(victim.ports).clear("victim/cafe")

    assert ingresses.open_for == set()
