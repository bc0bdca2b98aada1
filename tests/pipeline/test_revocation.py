"""`certmill revoke` against a real Pebble: what the CA says of the certificate, and what follows."""

from __future__ import annotations

from dataclasses import replace

from certmill.certificates import statuses
from certmill.crypto import chain
from certmill.model.certificate import RotationPolicy
from certmill.model.revocation import Revocation, RevocationReason
from tests.support.builders import ECDSA, a_certificate
from tests.support.mill import Mill


def state_at_ca(lab, leaf):
    return lab.pebble.status_of(int(leaf.serial, 16))


def test_a_compromised_key_is_revoked_and_replaced_even_if_never_rotated(lab, certmill):
    before = lab.issue(
        "stolen", "stolen.other.test", private_key={"algorithm": "ECDSA", "rotationPolicy": "Never"}
    )

    code, out, err = certmill("revoke", "stolen", "--reason", "keyCompromise", "--yes")

    assert code == 0, err
    assert f"revoked: serial {before.serial}, keyCompromise, at ClusterIssuer/prod" in out
    assert '"event": "certificate.revoked"' in err
    assert state_at_ca(lab, before) == "Revoked"
    lab.until(lambda: lab.leaf("stolen").serial != before.serial)
    assert lab.leaf("stolen").public_key != before.public_key
    lab.until(lambda: lab.status("stolen").revoked is None)
    assert lab.status("stolen").condition("Ready").status is True


def test_a_superseded_certificate_is_revoked_and_its_secret_stays(lab, certmill):
    before = lab.issue("old", "old.other.test")

    code, out, _ = certmill("revoke", "old", "--reason", "superseded", "--yes")

    assert (code, state_at_ca(lab, before)) == (0, "Revoked")
    assert "Secret default/old still has the revoked certificate; for a new one: certmill renew old" in out
    assert lab.leaf("old").serial == before.serial
    described = certmill("describe", "certificate", "old")[1]
    assert f"superseded, serial {before.serial}" in described


def test_a_second_revocation_succeeds_and_keeps_the_first_reason(lab, certmill):
    before = lab.issue("twice", "twice.other.test")
    certmill("revoke", "twice", "--reason", "superseded", "--yes")

    code, out, _ = certmill("revoke", "twice", "--yes")

    assert code == 0
    assert f"was revoked already: serial {before.serial}, superseded" in out


def test_the_key_of_the_certificate_revokes_without_the_account(lab, certmill):
    before = lab.issue("bykey", "bykey.other.test")
    home = lab.runtime.ports.home
    account = home.secret("cert-manager", "prod-account")
    home.write_secret(replace(account, data={}))
    try:
        refused = certmill("revoke", "bykey", "--yes")
        code = certmill("revoke", "bykey", "--key", "certificate", "--yes")[0]
    finally:
        home.write_secret(account)

    assert refused[0] != 0
    assert (code, state_at_ca(lab, before)) == (0, "Revoked")


def test_without_a_terminal_and_without_yes_nothing_is_revoked(lab, certmill):
    before = lab.issue("asked", "asked.other.test")

    code, _, err = certmill("revoke", "asked")

    assert code == 2
    assert "--yes: is needed where there is no terminal to ask: Revoke the certificate" in err
    assert state_at_ca(lab, before) == "Valid"


def test_what_is_not_there_cannot_be_revoked(lab, certmill):
    assert certmill("revoke", "nothing", "--yes")[0] == 3


def test_a_key_that_a_run_stores_again_is_replaced_by_the_next_reconcile(redis):
    """A run with rotationPolicy Never is under way while the certificate is revoked, and stores the
    compromised key once more."""
    never = a_certificate(private_key=replace(ECDSA, rotation_policy=RotationPolicy.NEVER))
    mill = Mill(redis, certificate=never)
    leaf = mill.issue()
    revoked = Revocation(
        serial="1",
        public_key=leaf.public_key,
        reason=RevocationReason.KEY_COMPROMISE,
        at=mill.world.clock.now(),
    )
    statuses.update(mill.ports.home, never.id, lambda status: replace(status, revoked=revoked))

    after = mill.issue()

    assert after.public_key != leaf.public_key
    assert chain.key_of(mill.ports.home.secret("default", "web-tls").data["tls.key"]) == after.public_key
    assert mill.status().revoked is None
    assert mill.reconciler.reconcile(never.id).right
