"""`certmill account` against a real Pebble: another key, also after a kill half-way, and the end of an
account."""

from __future__ import annotations

import pytest

from certmill.acme.jws import AccountKey
from certmill.crypto import keys
from certmill.dns01.providers.rfc2136 import Rfc2136
from certmill.errors import CertmillError, InvalidManifest
from certmill.issuers import account, account_commands, account_key
from certmill.model.issuer import Dns01Solver, Http01Solver, Solver
from certmill.model.object_ref import ObjectRef
from certmill.runtime.acme_clients import AcmeClients
from tests.support.builders import an_issuer
from tests.support.mill import Mill


def registered(lab, name):
    """A ClusterIssuer of its own with a certificate, and its account."""
    lab.apply_issuer(name)
    lab.issue(f"{name}-first", f"{name}-first.other.test", issuer=name)
    issuer = issuer_of(lab, name)
    return issuer, account.require_registered(lab.runtime.ports, issuer)


def issuer_of(lab, name):
    return lab.runtime.ports.home.issuer(ObjectRef(kind="ClusterIssuer", namespace="", name=name))


def new_key():
    return keys.generate_account_key("ECDSA-256")


def is_accepted(lab, issuer, key_pem, uri):
    """Whether the CA takes a request that this key signs."""
    try:
        AcmeClients(lab.runtime.settings).client(issuer, key_pem, uri).account()
    except CertmillError:
        return False
    return True


def assert_rolled_over(lab, issuer, before, *, to=None):
    """The account is the same and has another key, which alone is stored."""
    current, following = account_key.stored_keys(lab.runtime.ports, issuer)
    after = account.require_registered(lab.runtime.ports, issuer)
    assert following == b""
    assert current == after.key_pem != before.key_pem
    assert to in (None, current)
    assert after.uri == before.uri
    assert is_accepted(lab, issuer, current, before.uri)
    assert not is_accepted(lab, issuer, before.key_pem, before.uri)


def test_a_rollover_gives_the_same_account_a_new_key(lab, certmill):
    issuer, before = registered(lab, "roll")

    code, out, err = certmill("account", "rollover", "roll")

    assert code == 0, err
    assert "clusterissuer.cert-manager.io/roll: the account has a new key" in out
    assert_rolled_over(lab, issuer, before)
    lab.issue("roll-second", "roll-second.other.test", issuer="roll")


def test_a_rollover_that_died_before_the_request_is_continued_with_its_key(lab, certmill):
    issuer, before = registered(lab, "early")
    following = new_key()
    account_key.write_keys(lab.runtime.ports, issuer, before.key_pem, following=following)
    lab.issue("early-second", "early-second.other.test", issuer="early")

    assert certmill("account", "rollover", "early")[0] == 0

    assert_rolled_over(lab, issuer, before, to=following)


def died_after_the_request(lab, issuer, before):
    following = new_key()
    account_key.write_keys(lab.runtime.ports, issuer, before.key_pem, following=following)
    client = AcmeClients(lab.runtime.settings).client(issuer, before.key_pem, before.uri)
    client.change_key(AccountKey.from_pem(following))
    return following


def test_a_rollover_that_died_after_the_request_is_ended_by_the_next_run(lab):
    issuer, before = registered(lab, "late")
    following = died_after_the_request(lab, issuer, before)

    lab.issue("late-second", "late-second.other.test", issuer="late")

    assert_rolled_over(lab, issuer, before, to=following)


def test_a_rollover_that_died_after_the_request_is_ended_by_the_command(lab, certmill):
    issuer, before = registered(lab, "again")
    following = died_after_the_request(lab, issuer, before)

    assert certmill("account", "rollover", "again")[0] == 0

    assert_rolled_over(lab, issuer, before, to=following)


def test_a_deactivated_account_makes_the_issuer_not_ready_and_stays_so(lab, certmill):
    issuer, before = registered(lab, "ended")

    assert certmill("account", "deactivate", "ended")[0] == 2
    code, out, err = certmill("account", "deactivate", "ended", "--yes")

    assert code == 0, err
    assert f"the account {before.uri} is deactivated" in out
    ready = lab.runtime.ports.home.issuer_status(issuer).condition("Ready")
    assert (ready.status, ready.reason) == (False, "ErrRegisterACMEAccount")
    assert "was deactivated by `certmill account deactivate`; delete Secret cert-manager/ended-account" in (
        ready.message
    )
    waiting = lab.request("ended-second", "ended-second.other.test", issuer="ended")
    lab.until(lambda: waiting.status().phase == "waiting")
    assert lab.runtime.ports.home.issuer_status(issuer).condition("Ready").status is False
    assert account_key.stored_keys(lab.runtime.ports, issuer)[0] == before.key_pem


def test_an_issuer_that_is_not_there_has_no_account(certmill):
    assert certmill("account", "rollover", "nobody")[0] == 3


def test_a_key_that_is_the_users_own_is_not_changed(redis):
    mill = Mill(redis, issuer=an_issuer(disable_account_key_generation=True))
    issuer = mill.ports.home.issuer(ObjectRef(kind="ClusterIssuer", namespace="", name="prod"))

    with pytest.raises(InvalidManifest, match="disableAccountKeyGeneration"):
        account_commands.roll_over(mill.ports, issuer, owner="me")


BY_DNS = Solver(dns01=Dns01Solver(provider=Rfc2136(nameserver="192.0.2.1:53")))


@pytest.mark.parametrize("solver", [Solver(http01=Http01Solver()), BY_DNS], ids=["http-01", "dns-01"])
def test_a_run_with_challenges_of_the_former_key_creates_a_new_order(redis, solver):
    """RFC 8555 §8.1: the CA expects the thumbprint of the key that the account has."""
    mill = Mill(redis, issuer=an_issuer(solvers=(solver,)))
    mill.reconciler.reconcile(mill.certificate.id)
    for step in ("register_account", "create_order", "set_up_challenge", "wait_for_propagation"):
        mill.step(step)
    issuer = mill.ports.home.issuer(ObjectRef(kind="ClusterIssuer", namespace="", name="prod"))
    account_key.replace_key(mill.ports, issuer, new_key())

    mill.run("validate")

    assert len(mill.world.ca.ordered) == 2
    assert mill.world.leaf(mill.certificate).dns_names == mill.certificate.dns_names
