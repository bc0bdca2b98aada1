"""A server that redirects challenges to HTTPS needs a pair before the CA can follow. It gets a temporary
one until the issued one is stored."""

from __future__ import annotations

from dataclasses import replace

import pytest

from certmill.certificates import ownership, secret_contract
from certmill.contract import STEP_NAMES
from certmill.crypto import keys
from certmill.http01.base import NoRoutes
from certmill.http01.selfcheck import Probe
from certmill.model.certificate import RotationPolicy
from certmill.model.manifests.parse import certificate_document, dump_yaml
from certmill.model.secret import TLS_TYPE, Secret
from certmill.runs.outcomes import Wait
from certmill.state.keys import record
from tests.support.builders import DAY, ECDSA, a_certificate
from tests.support.mill import Mill

WEB = a_certificate()
REFUSED = Probe(ok=False, reason="web.example.test answered with a redirect", handshake_failed=True)


def refusing(mill):
    """From now on, the host refuses the handshake while its Secret has no pair, and serves the key
    authorization when it has one."""

    def reconcile_path():
        return (
            Probe(ok=True, reason="") if mill.ports.home.secret("default", "web-tls") is not None else REFUSED
        )

    mill.world.seen = reconcile_path


def temporary(mill):
    secret = mill.ports.home.secret("default", "web-tls")
    return secret is not None and secret_contract.is_temporary(secret)


def until_propagation(mill):
    mill.reconciler.reconcile(WEB.id)
    for name in STEP_NAMES[: STEP_NAMES.index("wait_for_propagation")]:
        mill.step(name)


def test_a_refused_handshake_gets_a_temporary_pair_and_then_the_real_one(redis):
    mill = Mill(redis)
    refusing(mill)

    assert mill.issue().issuer_common_name == "Memory CA"
    assert not temporary(mill)
    assert mill.world.looked.count("web.example.test") == 2


def test_the_certificate_is_not_ready_with_a_temporary_pair_that_it_did_not_ask_for(redis):
    mill = Mill(redis)
    until_propagation(mill)
    mill.world.seen = lambda: REFUSED

    assert isinstance(mill.step("wait_for_propagation"), Wait)
    assert temporary(mill)
    assert mill.world.leaf(WEB).dns_names == WEB.dns_names
    assert mill.status().condition("Ready").status is False

    redis.delete(record(WEB.id))
    mill.reconciler.reconcile(WEB.id)
    assert mill.status().condition("Ready").status is False
    assert mill.status().condition("Issuing").status is True


def test_another_certificates_secret_gets_no_temporary_pair_of_ours(redis):
    mill = Mill(redis)
    older = a_certificate(name="older", dns_names=("older.example.test",))
    mill.ports.home.created = lambda ref: {"web": 2.0, "older": 1.0}.get(ref.name)
    until_propagation(mill)
    mill.ports.home.apply(older, dump_yaml(certificate_document(older)))
    mill.reconciler.reconcile(older.id)
    mill.world.seen = lambda: REFUSED

    mill.step("wait_for_propagation")

    assert not temporary(mill)
    secret = mill.ports.home.secret("default", "web-tls")
    contested = ownership.claim(mill.ports, older)
    assert ownership.other_owner(mill.ports, older, secret, is_contested=contested) == ""


def test_a_certificate_that_is_being_deleted_gets_no_temporary_pair(redis):
    mill = Mill(redis)
    until_propagation(mill)
    mill.ports.home.begin_deletion("Certificate", WEB.namespace, WEB.name)

    assert not mill.reconciler.store_temporary(WEB)
    assert not temporary(mill)


def test_a_pair_that_can_be_served_stays_while_the_handshake_is_refused(redis):
    mill = Mill(redis)
    issued = mill.issue()
    mill.world.clock.advance(60 * DAY)
    until_propagation(mill)
    mill.world.seen = lambda: REFUSED

    assert isinstance(mill.step("wait_for_propagation"), Wait)
    assert mill.world.leaf(WEB).serial == issued.serial


def test_a_key_that_rotation_policy_never_keeps_is_not_replaced(redis):
    mine = keys.generate(ECDSA)
    never = replace(WEB, private_key=replace(ECDSA, rotation_policy=RotationPolicy.NEVER))
    mill = Mill(redis, certificate=never)
    mill.ports.home.write_secret(
        Secret(namespace="default", name="web-tls", type=TLS_TYPE, data={"tls.key": mine, "tls.crt": b""})
    )
    until_propagation(mill)
    mill.world.seen = lambda: REFUSED
    mill.step("wait_for_propagation")

    assert mill.ports.home.secret("default", "web-tls").data["tls.key"] == mine


class OfAVirtualServer(NoRoutes):
    """A route to the responder for a Certificate whose owner redirects, or does not."""

    def __init__(self, redirects):
        self._redirects = redirects

    def route_name(self, certificate, solver):
        return "own"

    def redirects(self, certificate):
        return self._redirects


@pytest.mark.parametrize("redirects", [True, False])
def test_where_the_owner_redirects_the_temporary_pair_is_there_before_the_self_check(redis, redirects):
    """The solver may wait instead of a self check."""
    mill = Mill(redis)
    mill.use(routes=OfAVirtualServer(redirects))

    until_propagation(mill)

    assert temporary(mill) is redirects
    assert mill.status().condition("Ready").status is False
