"""In a cluster, only one of two Certificates of a namespace for the same host has a challenge at a time.
Certificates of other namespaces do not block it."""

from __future__ import annotations

from certmill.http01.base import NoRoutes
from certmill.runs.outcomes import Proceed, Wait
from certmill.state.journal import Presented
from certmill.upkeep.orphaned_routes import OrphanedRoutes
from certmill.upkeep.sweep import SWEEP_AFTER_SECONDS
from tests.support.builders import a_certificate
from tests.support.mill import Mill

HOST = "web.example.test"
VICTIM = a_certificate(namespace="victim", dns_names=(HOST,))
TWIN = a_certificate(
    namespace="victim",
    name="twin",
    secret_name="twin-tls",
    dns_names=("a.example.test", HOST, "z.example.test"),
)
ATTACKER = a_certificate(namespace="attacker", dns_names=("a.example.test", HOST, "z.example.test"))
BEFORE = ("register_account", "create_order")


class Ingresses(NoRoutes):
    """The present HTTP-01 routes, by Certificate."""

    def __init__(self):
        self.open_for = set()

    def route_name(self, certificate, solver):
        return "own"

    def present(self, certificate, host, token, solver):
        self.open_for.add((certificate.id, host))

    def collect_orphans(self, namespace, ingress, is_over):
        self.open_for = {
            one for one in self.open_for if not one[0].startswith(f"{namespace}/") or not is_over(one[0])
        }

    def cleanup(self, certificate, host, route):
        self.open_for.discard((certificate, host))


class Tenant(Mill):
    """A tenant's Certificate with its own issuer and CA, on the cluster's one Redis."""

    def __init__(self, redis, certificate, ingresses):
        super().__init__(redis, certificate=certificate)
        self.world.home.apply(certificate, "kind: Certificate\n")
        self.use(routes=ingresses)
        assert self.reconciler.reconcile(certificate.id).publish_run

    def again(self, step):
        """Execute the same step again, a moment later."""
        self.world.clock.advance(5)
        return self.step(step)


def test_while_one_is_validated_no_other_of_its_namespace_has_a_route_for_its_host(redis):
    """An ingress controller uses only one of two Ingresses for the same host."""
    ingresses = Ingresses()
    victim, twin = (Tenant(redis, certificate, ingresses) for certificate in (VICTIM, TWIN))
    assert all(isinstance(tenant.step(step), Proceed) for tenant in (victim, twin) for step in BEFORE)
    assert isinstance(victim.step("set_up_challenge"), Proceed)

    result = twin.step("set_up_challenge")

    assert isinstance(result, Wait)
    assert result.reason == f"another Certificate of the namespace has a challenge for {HOST} under way"
    assert ingresses.open_for == {(VICTIM.id, HOST)}
    assert len(redis.keys("certmill:http01:*")) == 1

    victim.run("wait_for_propagation")
    assert ingresses.open_for == set()
    assert isinstance(twin.again("set_up_challenge"), Proceed)
    assert ingresses.open_for == {(TWIN.id, host) for host in TWIN.dns_names}


def test_another_namespace_cannot_block_a_host(redis):
    ingresses = Ingresses()
    victim, attacker = (Tenant(redis, certificate, ingresses) for certificate in (VICTIM, ATTACKER))
    assert all(
        isinstance(tenant.step(step), Proceed)
        for tenant in (attacker, victim)
        for step in (*BEFORE, "set_up_challenge")
    )

    assert isinstance(victim.run("wait_for_propagation"), Proceed)
    assert {certificate for certificate, _ in ingresses.open_for} == {ATTACKER.id}


def test_a_deleted_certificate_leaves_the_host_to_others(redis):
    ingresses = Ingresses()
    victim, twin = (Tenant(redis, certificate, ingresses) for certificate in (VICTIM, TWIN))
    assert all(isinstance(tenant.step(step), Proceed) for tenant in (victim, twin) for step in BEFORE)
    assert isinstance(twin.step("set_up_challenge"), Proceed)
    assert isinstance(victim.step("set_up_challenge"), Wait)

    twin.world.home.delete("Certificate", "victim", "twin")
    twin.run("wait_for_propagation")

    assert redis.keys("certmill:http01:*") == []
    assert isinstance(victim.again("set_up_challenge"), Proceed)


def test_the_sweep_of_a_former_run_does_not_remove_the_route_of_the_current_run(redis):
    ingresses = Ingresses()
    victim = Tenant(redis, VICTIM, ingresses)
    left = Presented(
        certificate=VICTIM.id, issuer_kind="ClusterIssuer", issuer_namespace="", issuer_name="prod",
        identifier=HOST, record_name="", zone="", value="a-former-token", route="own",
    )  # fmt: skip
    victim.ports.journal.add([left], now=victim.world.clock.now() - 2 * SWEEP_AFTER_SECONDS)
    victim.ports.key_authorizations.put(
        "a-former-token", "a-former-token.thumbprint", host="web.example.test"
    )
    assert all(isinstance(victim.step(step), Proceed) for step in (*BEFORE, "set_up_challenge"))

    assert victim.ticks.sweep("sweep") == 1
    assert ingresses.open_for == {(VICTIM.id, HOST)}
    assert victim.ports.key_authorizations.get("a-former-token") is None

    victim.run("wait_for_propagation")
    assert ingresses.open_for == set()


def test_a_route_without_a_run_is_removed(redis):
    ingresses = Ingresses()
    victim = Tenant(redis, VICTIM, ingresses)
    assert all(isinstance(victim.step(step), Proceed) for step in (*BEFORE, "set_up_challenge"))

    OrphanedRoutes(victim.ports).collect("victim/cafe")
    assert ingresses.open_for == {(VICTIM.id, HOST)}

    redis.flushdb()
    OrphanedRoutes(victim.ports).collect("victim/cafe")
    assert ingresses.open_for == set()


def test_a_route_that_a_run_has_left_is_removed(redis):
    ingresses = Ingresses()
    victim = Tenant(redis, VICTIM, ingresses)
    assert all(isinstance(victim.step(step), Proceed) for step in (*BEFORE, "set_up_challenge"))
    victim.run("wait_for_propagation")
    ingresses.present(VICTIM, HOST, "token", None)

    OrphanedRoutes(victim.ports).collect("victim/cafe")

    assert ingresses.open_for == set()
