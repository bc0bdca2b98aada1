"""Rules of the design that only a run shows: what is stored, which run waits for which, what is requested
from the CA, and where a value is written."""

from __future__ import annotations

import datetime
from dataclasses import fields, replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from certmill.crypto import chain, keys
from certmill.dns01.providers.cloudflare import Cloudflare
from certmill.model.certificate import IssuerRef
from certmill.model.issuer import Dns01Solver, Http01Solver, Issuer, SecretKeyRef, Solver
from certmill.model.secret import OPAQUE_TYPE, Secret
from certmill.runs.outcomes import Wait
from tests.support.builders import NOW, a_certificate, an_issuer
from tests.support.mill import Mill

WEB = a_certificate()
CHALLENGE = "_acme-challenge.web.example.test"


def dns01(**fields):
    """An issuer with one DNS-01 solver."""
    provider = Cloudflare(api_token=SecretKeyRef(name="cf", key="token"))
    return an_issuer(solvers=(Solver(dns01=Dns01Solver(provider=provider, **fields)),))


def kept_key(mill):
    """The public key of the private key that the run stores, sealed."""
    return chain.key_of(mill.ports.seal.open(mill.record().sealed_key, context=mill.certificate.id))


def run_until(mill, last):
    """Execute the chain up to a step, without that step."""
    for step in (
        "register_account",
        "create_order",
        "set_up_challenge",
        "wait_for_propagation",
        "validate",
        "finalize",
    ):
        if step == last:
            return
        mill.step(step)


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        pytest.param({"other_key": True}, "its key is not the key of the request", id="another key"),
        pytest.param(
            {"other_names": ("evil.example.test",)}, "its DNS names lack web.example.test", id="other names"
        ),
        pytest.param(
            {"other_names": ("web.example.test", "evil.example.test")},
            "its DNS names have evil.example.test too",
            id="one name more",
        ),
    ],
)
def test_a_wrong_certificate_is_not_stored_and_the_next_run_makes_a_new_key(redis, trouble, reason):
    mill = Mill(redis)
    for name, value in trouble.items():
        setattr(mill.world.ca.trouble, name, value)
    mill.reconciler.reconcile(WEB.id)
    run_until(mill, "set_up_challenge")
    before = kept_key(mill)

    mill.run("set_up_challenge")

    assert mill.ports.home.secret("default", "web-tls") is None
    assert reason in mill.failed
    assert mill.status().condition("Ready").status is False
    assert mill.failed in mill.status().condition("Issuing").message
    mill.world.ca.trouble.other_key, mill.world.ca.trouble.other_names = False, ()
    mill.world.clock.advance(mill.status().next_attempt - mill.world.clock.now())
    leaf = mill.issue()
    assert leaf.dns_names == WEB.dns_names
    assert leaf.public_key != before
    assert len(mill.world.ca.ordered) == 2


def test_two_certificates_with_the_same_names_are_issued_one_after_the_other(redis):
    mill = Mill(redis)
    other = a_certificate(name="twin", secret_name="twin-tls")
    mill.reconciler.reconcile(WEB.id)
    run_until(mill, "set_up_challenge")
    mill.apply(other)
    mill.reconciler.reconcile(other.id)

    waiting = mill.run()

    assert isinstance(waiting, Wait)
    assert waiting.reason == "default/web has an order for the same names under way"
    assert mill.record().step == "create_order"
    assert len(mill.world.ca.ordered) == 1
    mill.certificate = WEB
    mill.run("set_up_challenge")
    first = mill.world.leaf(WEB)
    assert len(mill.world.ca.ordered) == 1
    mill.certificate = other
    mill.wake(waiting.seconds)
    assert mill.world.leaf(other).serial != first.serial
    assert len(mill.world.ca.ordered) == 2


@pytest.mark.parametrize(
    "solver", [Solver(http01=Http01Solver()), dns01().solvers[0]], ids=["http-01", "dns-01"]
)
def test_a_solver_that_waits_instead_of_a_self_check_waits_and_checks_nothing(redis, solver):
    wait = timedelta(hours=1)
    mill = Mill(
        redis,
        issuer=an_issuer(
            solvers=(Solver(http01=solver.http01, dns01=solver.dns01, wait_instead_of_self_check=wait),)
        ),
    )
    mill.reconciler.reconcile(WEB.id)

    first, just_before = mill.run(), mill.wake(3599)

    assert isinstance(first, Wait)
    assert isinstance(just_before, Wait)
    assert just_before.reason == "web.example.test: the solver waits 1:00:00 instead of a self check"
    assert mill.record().step == "wait_for_propagation"
    mill.wake(60)
    assert mill.world.leaf(WEB).dns_names == WEB.dns_names
    assert mill.world.looked == []


@pytest.mark.parametrize(
    "solver", [Solver(http01=Http01Solver()), dns01().solvers[0]], ids=["http-01", "dns-01"]
)
def test_a_solver_with_a_wait_of_zero_continues_at_once_without_a_check(redis, solver):
    mill = Mill(redis, issuer=an_issuer(solvers=(replace(solver, wait_instead_of_self_check=timedelta()),)))

    assert mill.issue().dns_names == WEB.dns_names
    assert mill.world.looked == []


def test_a_solver_that_does_not_wait_checks(redis):
    mill = Mill(redis)
    mill.issue()

    assert mill.world.looked == ["web.example.test"]


def test_a_solver_that_follows_cnames_presents_and_removes_the_value_at_their_end(redis):
    mill = Mill(redis, issuer=dns01(follow_cname=True))
    mill.world.cnames = {CHALLENGE: "web.alias.test", "web.alias.test": "web.acme.other.test"}
    mill.reconciler.reconcile(WEB.id)
    run_until(mill, "wait_for_propagation")

    assert list(mill.world.provider.values) == ["web.acme.other.test"]
    (noted,) = mill.ports.journal.older_than(NOW + 1, 10).entries
    assert (noted.record_name, noted.zone) == ("web.acme.other.test", "other.test")
    mill.run("wait_for_propagation")
    assert mill.world.leaf(WEB).dns_names == WEB.dns_names
    assert mill.world.looked == ["web.acme.other.test"]
    assert mill.world.provider.values == {}


def test_a_solver_that_does_not_follow_cnames_presents_the_value_at_the_name_itself(redis):
    mill = Mill(redis, issuer=dns01())
    mill.world.cnames = {CHALLENGE: "web.acme.other.test"}
    mill.reconciler.reconcile(WEB.id)
    run_until(mill, "wait_for_propagation")

    assert list(mill.world.provider.values) == [CHALLENGE]


@pytest.mark.parametrize(
    ("enabled", "duration", "days"),
    [
        pytest.param(True, timedelta(days=30), 30, id="enabled, 30 days"),
        pytest.param(True, None, 90, id="enabled, nothing said"),
        pytest.param(False, timedelta(days=30), None, id="off, 30 days"),
        pytest.param(False, None, None, id="off, nothing said"),
    ],
)
def test_the_duration_is_asked_for_only_where_the_issuer_enables_it(redis, enabled, duration, days):
    mill = Mill(
        redis, certificate=a_certificate(duration=duration), issuer=an_issuer(enable_duration=enabled)
    )
    mill.issue()

    (asked,) = mill.world.ca.ordered
    wanted = datetime.datetime.fromtimestamp(NOW, datetime.UTC) + timedelta(days=days) if days else None
    assert asked.not_after == wanted


def test_a_missing_account_key_is_made_as_rsa_2048_under_the_key_the_issuer_names(redis):
    algorithm = next(one.default for one in fields(Issuer) if one.name == "account_key_algorithm")
    own = SecretKeyRef(name="own-account", key="account.pem")
    issuer = an_issuer(private_key=own, account_key_algorithm=algorithm)
    mill = Mill(redis, issuer=issuer)
    mill.issue()

    made = mill.world.secret("cert-manager", "own-account")
    assert list(made.data) == ["account.pem"]
    key = load_pem_private_key(made.data["account.pem"], None)
    assert (type(key).__name__.startswith("RSA"), key.key_size) == (True, 2048)
    assert mill.ports.home.issuer_status(issuer).last_private_key_hash


@pytest.mark.parametrize(
    ("kind", "namespace", "where"), [("ClusterIssuer", "", "cert-manager"), ("Issuer", "default", "default")]
)
def test_secrets_of_a_cluster_issuer_are_in_the_cluster_resource_namespace(redis, kind, namespace, where):
    elsewhere = {"cert-manager", "default"} - {where}
    issuer = replace(dns01(), kind=kind, namespace=namespace)
    certificate = a_certificate(issuer_ref=IssuerRef(name="prod", kind=kind))
    mill = Mill(redis, issuer=issuer, certificate=certificate)
    (ref,) = issuer.solver_credentials
    for other in elsewhere:
        mill.ports.home.write_secret(
            Secret(namespace=other, name=ref.name, type=OPAQUE_TYPE, data={ref.key: b"x"})
        )
    mill.ticks.reread("tick")

    ready = mill.ports.home.issuer_status(issuer).condition("Ready")
    assert (ready.reason, f"the Secret {where}/{ref.name} " in ready.message) == ("InvalidSolver", True)
    assert mill.world.secret(where, "prod-account") is not None


def test_a_missing_account_key_that_must_exist_is_in_the_issuers_status(redis):
    issuer = an_issuer(disable_account_key_generation=True)
    mill = Mill(redis, issuer=issuer)
    mill.reconciler.reconcile(WEB.id)
    mill.run()

    ready = mill.ports.home.issuer_status(issuer).condition("Ready")
    assert mill.ports.home.secret("cert-manager", "prod-account") is None
    assert mill.world.ca.accounts == {}
    assert (ready.status, ready.reason, ready.message) == (
        False,
        "ErrVerifyACMEAccount",
        (
            "the account key Secret cert-manager/prod-account of ClusterIssuer/prod is not there, and "
            "disableAccountKeyGeneration is set"
        ),
    )
    given = keys.generate_account_key("ECDSA-256")
    mill.ports.home.write_secret(
        Secret(namespace="cert-manager", name="prod-account", type=OPAQUE_TYPE, data={"tls.key": given})
    )
    mill.ticks.reread("tick")
    assert mill.ports.home.issuer_status(issuer).condition("Ready").status is True
    assert mill.record().step == "register_account"
    mill.run()
    assert mill.world.leaf(WEB).dns_names == WEB.dns_names
    assert mill.world.secret("cert-manager", "prod-account").data["tls.key"] == given
