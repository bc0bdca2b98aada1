"""Redis loses its data (FLUSHALL) in the middle of a run: at most one additional order, and every TXT
value is removed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from certmill.acme.resources import AuthorizationStatus
from certmill.contract import STEP_NAMES
from certmill.dns01.providers.cloudflare import Cloudflare
from certmill.errors import CAUnavailable, Forbidden
from certmill.model.issuer import Dns01Solver, SecretKeyRef, Solver
from certmill.model.manifests.parse import certificate_document, dump_yaml
from certmill.model.trigger import ReconcileOptions
from certmill.state import keys
from certmill.state.journal import LostOrder
from certmill.upkeep.sweep import SWEEP_AFTER_SECONDS, SWEEP_SECONDS
from tests.support.builders import a_certificate, an_issuer
from tests.support.mill import Mill

DNS01 = an_issuer(
    solvers=(Solver(dns01=Dns01Solver(provider=Cloudflare(api_token=SecretKeyRef(name="cf", key="token")))),)
)
TWO = a_certificate(dns_names=("a.example.test", "b.example.test"))
OURS = "_acme-challenge.a.example.test"


def a_mill(redis, **options):
    return Mill(redis, issuer=DNS01, certificate=TWO, **options)


def played_to(mill, step):
    mill.reconciler.reconcile(mill.certificate.id)
    for name in STEP_NAMES[: STEP_NAMES.index(step)]:
        mill.step(name)


def values(mill):
    return {value for at in mill.world.provider.values.values() for value in at}


def swept(mill):
    """Run the hourly sweep."""
    mill.world.clock.advance(SWEEP_AFTER_SECONDS + 1)
    return mill.ticks.sweep("sweep")


@pytest.mark.parametrize("step", STEP_NAMES)
def test_a_lost_run_costs_an_order_only_if_its_key_was_certified_and_leaves_no_value(redis, step):
    mill = a_mill(redis)
    played_to(mill, step)
    redis.flushdb()

    mill.reconciler.reconcile(mill.certificate.id)
    mill.run()
    swept(mill)

    known = step in ("wait_for_propagation", "validate", "finalize")
    assert mill.reconciler.reconcile(mill.certificate.id).right
    assert len(mill.world.ca.orders) == (
        1 if known or step in ("register_account", "create_order", "clean_up") else 2
    )
    assert values(mill) == set()
    assert mill.status().order == ""
    assert redis.exists(keys.JOURNAL, keys.LOST_ORDERS, keys.LOST_ORDER_ISSUERS) == 0


def test_a_pair_stored_before_redis_was_lost_is_adopted_and_its_values_are_swept(redis):
    mill = a_mill(redis)
    played_to(mill, "clean_up")
    assert len(values(mill)) == 2
    redis.flushdb()

    assert mill.reconciler.reconcile(mill.certificate.id).right
    assert swept(mill) == 2
    assert values(mill) == set()
    assert len(mill.world.ca.orders) == 1


def test_only_the_values_of_the_lost_order_are_removed_at_a_name(redis):
    mill = a_mill(redis)
    mill.world.provider.values[OURS] = {"of another client"}
    played_to(mill, "store_secret")
    redis.flushdb()

    mill.reconciler.reconcile(mill.certificate.id)
    mill.run()
    swept(mill)

    assert values(mill) == {"of another client"}


def test_a_value_whose_authorization_is_valid_is_swept_after_the_run_that_continues(redis):
    mill = a_mill(redis)
    played_to(mill, "finalize")  # both are valid: the continued run presents nothing
    redis.flushdb()

    mill.reconciler.reconcile(mill.certificate.id)
    assert swept(mill) == 0  # the run is in progress, and has precedence
    mill.run()

    assert swept(mill) == 2
    assert values(mill) == set()


def test_an_order_for_another_spec_is_not_continued_and_its_values_are_swept(redis):
    mill = a_mill(redis)
    played_to(mill, "validate")
    redis.flushdb()
    mill.apply(replace(TWO, dns_names=("a.example.test",)))

    mill.reconciler.reconcile(mill.certificate.id)
    mill.run()
    swept(mill)

    assert len(mill.world.ca.orders) == 2
    assert OURS not in {name for name, at in mill.world.provider.values.items() if at}


def test_a_lost_order_whose_authorization_has_ended_is_tried_once_and_then_replaced(redis):
    mill = a_mill(redis)
    played_to(mill, "validate")
    redis.flushdb()
    ca = mill.world.ca
    for url, authorization in ca.authorizations.items():
        ca.authorizations[url] = replace(authorization, status=AuthorizationStatus.DEACTIVATED)

    mill.reconciler.reconcile(mill.certificate.id)
    mill.run()

    assert mill.record().result == "issued"
    assert len(ca.orders) == 2


def test_a_ca_that_is_away_leaves_the_lost_order_to_a_later_sweep(redis):
    mill = a_mill(redis)
    played_to(mill, "clean_up")
    redis.flushdb()
    mill.reconciler.reconcile(mill.certificate.id)
    clients = mill.ports.clients

    class Away:
        def client(self, *_):
            raise CAUnavailable("the CA does not answer")

    object.__setattr__(mill.ports, "clients", Away())
    assert swept(mill) == 0
    object.__setattr__(mill.ports, "clients", clients)

    assert swept(mill) == 2
    assert values(mill) == set()


def test_lost_orders_of_a_silent_ca_leave_time_for_known_challenges(redis):
    mill = a_mill(redis)
    played_to(mill, "clean_up")
    for name in ("one", "two"):
        lost = a_certificate(name=name, secret_name=f"{name}-tls", dns_names=(f"{name}.example.test",))
        mill.ports.home.apply(lost, dump_yaml(certificate_document(lost)))
        mill.ports.journal.note_lost_order(LostOrder(certificate=lost.id, url="https://ca.example/order/1"))
    redis.delete(keys.record(mill.certificate.id))

    class Silent:
        def client(self, *_):
            mill.world.clock.advance(SWEEP_SECONDS * 2 / 3)
            raise CAUnavailable("the CA does not answer")

    object.__setattr__(mill.ports, "clients", Silent())

    assert swept(mill) == 2
    assert values(mill) == set()
    assert redis.hlen(keys.LOST_ORDERS) == 2


def test_the_lost_order_of_a_deleted_certificate_is_given_up(redis):
    mill = a_mill(redis)
    played_to(mill, "clean_up")
    redis.flushdb()
    mill.reconciler.reconcile(mill.certificate.id)
    mill.ports.home.delete("Certificate", TWO.namespace, TWO.name)

    assert swept(mill) == 0
    assert redis.hlen(keys.LOST_ORDERS) == 0


def test_a_status_that_cannot_be_written_does_not_delay_a_challenge(redis):
    mill = a_mill(redis)
    played_to(mill, "set_up_challenge")
    write, refused = mill.ports.home.write_certificate_status, []

    def refuse(certificate_id, status):
        if status.order:
            refused.append(status.order)
            raise Forbidden("certificates/status is forbidden")
        write(certificate_id, status)

    mill.ports.home.write_certificate_status = refuse

    mill.run("set_up_challenge")

    assert refused
    assert mill.record().result == "issued"


def test_no_order_is_noted_for_http_01(redis):
    mill = Mill(redis)
    played_to(mill, "validate")

    assert mill.status().order == ""


def test_a_run_that_succeeds_leaves_no_order_in_the_status(redis):
    mill = a_mill(redis)
    mill.issue()
    assert (mill.status().order, redis.hlen(keys.LOST_ORDERS)) == ("", 0)

    assert mill.reconciler.reconcile(mill.certificate.id, ReconcileOptions(force=True)).run == 2
    mill.run()

    assert len(mill.world.ca.orders) == 2


def test_forty_runs_at_every_step_cost_one_order_more_at_most(redis):
    mill, others = a_mill(redis), []
    for number in range(40):
        certificate = a_certificate(
            name=f"w{number}", secret_name=f"w{number}-tls", dns_names=(f"w{number}.example.test",)
        )
        mill.ports.home.apply(certificate, dump_yaml(certificate_document(certificate)))
        mill.certificate = certificate
        others.append(certificate)
        played_to(mill, STEP_NAMES[number % len(STEP_NAMES)])
    redis.flushdb()

    for certificate in others:
        mill.certificate = certificate
        mill.reconciler.reconcile(certificate.id)
        mill.run()
    swept(mill)

    per_name = [
        sum(i.value == c.dns_names[0] for o in mill.world.ca.orders.values() for i in o.identifiers)
        for c in others
    ]
    assert max(per_name) == 2
    assert (
        sum(per_name) == 50
    )  # 40, and one more where an order had no value yet, or a certificate was issued and not stored
    assert values(mill) == set()
