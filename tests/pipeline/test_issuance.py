"""Certificates end to end, from a real Pebble, by real processes."""

from __future__ import annotations

import time

import pytest
from cryptography import x509

from certmill.client import IssuanceFailed, RequestRejected
from certmill.crypto import chain
from certmill.model.names import certificate_id
from certmill.state import keys
from tests.support.lab import EAB_SECRET


def annotations_of(secret):
    return {
        key.removeprefix("cert-manager.io/"): value
        for key, value in secret.annotations.items()
        if key.startswith("cert-manager.io/")
    }


def test_http01_single_name(lab):
    leaf = lab.issue("http", "www.other.test")

    assert leaf.dns_names == ("www.other.test",)
    assert lab.secret("http").type == "kubernetes.io/tls"
    assert chain.key_of(lab.secret("http").data["tls.key"]) == leaf.public_key


def test_the_secret_carries_the_eight_annotations(lab):
    lab.issue("eight", "eight.other.test", commonName="eight.other.test")

    assert annotations_of(lab.secret("eight")) == {
        "alt-names": "eight.other.test",
        "certificate-name": "eight",
        "common-name": lab.leaf("eight").common_name,
        "ip-sans": "",
        "issuer-group": "",
        "issuer-kind": "ClusterIssuer",
        "issuer-name": "prod",
        "uri-sans": "",
    }


def test_dns01_wildcard_and_apex_with_two_values_at_one_name(lab):
    leaf = lab.issue("wild", "*.example.test", "example.test")

    assert set(leaf.dns_names) == {"*.example.test", "example.test"}
    assert lab.bind.txt("_acme-challenge.example.test") == set()


def test_twenty_five_names_of_mixed_solvers(lab):
    names = [f"n{number}.example.test" for number in range(12)] + [
        f"n{number}.other.test" for number in range(13)
    ]

    assert set(lab.issue("many", *names).dns_names) == set(names)


def test_an_ip_address(lab):
    lab.certmill.client().request(name="address", ip_addresses=["127.0.0.1"], issuer="prod").wait(60)

    assert lab.leaf("address").ip_addresses == ("127.0.0.1",)


@pytest.mark.parametrize(
    ("name", "key", "begins"),
    [
        ("rsa", {"algorithm": "RSA", "size": 2048}, b"-----BEGIN RSA PRIVATE KEY-----"),
        (
            "rsa-pkcs8",
            {"algorithm": "RSA", "size": 3072, "encoding": "PKCS8"},
            b"-----BEGIN PRIVATE KEY-----",
        ),
        ("p384", {"algorithm": "ECDSA", "size": 384}, b"-----BEGIN EC PRIVATE KEY-----"),
        ("p521", {"algorithm": "ECDSA", "size": 521, "encoding": "PKCS8"}, b"-----BEGIN PRIVATE KEY-----"),
    ],
)
def test_keys_of_each_kind_and_encoding(lab, name, key, begins):
    lab.issue(name, f"{name}.other.test", private_key=key)

    assert lab.secret(name).data["tls.key"].startswith(begins)


def test_a_key_is_kept_or_made_anew_as_the_rotation_policy_says(lab):
    lab.issue("kept", "kept.other.test", private_key={"algorithm": "ECDSA", "rotationPolicy": "Never"})
    lab.issue("anew", "anew.other.test")
    before = {name: lab.secret(name).data["tls.key"] for name in ("kept", "anew")}
    serials = {name: lab.leaf(name).serial for name in before}

    for name in before:
        lab.certmill.client().renew(name).wait(60)

    assert lab.leaf("kept").serial != serials["kept"]
    assert lab.secret("kept").data["tls.key"] == before["kept"]
    assert lab.secret("anew").data["tls.key"] != before["anew"]


def test_a_profile_of_the_issuer_is_sent_to_the_ca(lab):
    lab.apply_issuer("short", profile="shortlived")

    leaf = lab.issue("short", "short.other.test", issuer="short")

    assert leaf.not_after - leaf.not_before < 7 * 86_400


def test_a_certificate_of_three_minutes_is_renewed_long_before_it_expires(lab):
    lab.apply_issuer("minutes", profile="threeminutes")
    first = lab.issue("minutes", "minutes.other.test", issuer="minutes", renewBeforePercentage=90)

    def is_renewed():
        lab.runtime.ticks.renew()  # beat does so once a minute
        return lab.leaf("minutes").serial != first.serial

    lab.until(is_renewed, seconds=120, what="the renewal after a tenth of the lifetime")

    assert first.not_after - first.not_before <= 181
    assert time.time() < first.not_after - 90


def test_a_profile_that_the_ca_does_not_have_fails_with_its_reason(lab):
    lab.apply_issuer("odd", profile="nonsense")

    with pytest.raises(IssuanceFailed, match="profile"):
        lab.request("odd", "odd.other.test", issuer="odd").wait(60)


def test_the_preferred_chain_is_stored_end_to_end(lab):
    roots = [
        x509.load_pem_x509_certificate(root).subject.rfc4514_string().removeprefix("CN=")
        for root in lab.pebble.roots()
    ]
    for number, root in enumerate(roots):
        lab.apply_issuer(f"chain{number}", preferredChain=root)
        lab.issue(f"chain{number}", f"chain{number}.other.test", issuer=f"chain{number}")

    tops = [chain.top_issuer_common_name(lab.secret(f"chain{number}").data["tls.crt"]) for number in range(2)]

    assert tops == roots


def test_a_refused_name_fails_with_one_clean_line_and_waits_for_hours(lab):
    with pytest.raises(IssuanceFailed, match=r"blocked\.test"):
        lab.request("refused", "www.blocked.test").wait(60)

    status = lab.status("refused")
    assert status.failed_issuance_attempts == 1
    assert status.next_attempt - status.last_failure_time >= 12 * 60
    assert "\n" not in status.condition("Issuing").message


def test_a_request_without_an_issuer_is_refused_and_kept(lab):
    with pytest.raises(RequestRejected, match=r"spec\.issuerRef"):
        lab.request("nobody", "nobody.other.test", issuer="missing").wait(60)

    assert any("spec.issuerRef" in rejection.reason for rejection in lab.runtime.ports.requests.rejections())


def test_an_unchanged_manifest_is_never_issued_again_and_a_changed_one_is(lab):
    first = lab.issue("same", "same.other.test")

    assert lab.issue("same", "same.other.test").serial == first.serial
    assert set(lab.issue("same", "same.other.test", "more.other.test").dns_names) == {
        "same.other.test",
        "more.other.test",
    }


def test_the_account_is_found_after_redis_was_flushed_and_nothing_is_issued_again(lab):
    before = lab.issue("kept-account", "kept-account.other.test")
    issuer = next(issuer for issuer in lab.runtime.ports.home.issuers() if issuer.name == "prod")
    uri = lab.runtime.ports.home.issuer_status(issuer).uri

    lab.runtime.redis.flushall()
    lab.runtime.ports.snapshots.request_reread()
    adopted = certificate_id("default", "kept-account")
    lab.until(lambda: lab.runtime.redis.zscore(keys.RENEWALS, adopted) is not None, what="adopted")

    assert lab.leaf("kept-account").serial == before.serial
    assert lab.runtime.ports.home.issuer_status(issuer).uri == uri
    assert lab.issue("after-flush", "after-flush.other.test").dns_names == ("after-flush.other.test",)


def test_a_key_that_is_already_registered_gives_its_account(lab):
    issuer = next(issuer for issuer in lab.runtime.ports.home.issuers() if issuer.name == "prod")
    uri = lab.runtime.ports.home.issuer_status(issuer).uri
    account = lab.runtime.ports.home.secret("cert-manager", "prod-account")

    lab.apply_issuer("again", privateKeySecretRef={"name": account.name})
    lab.issue("again", "again.other.test", issuer="again")

    again = next(issuer for issuer in lab.runtime.ports.home.issuers() if issuer.name == "again")
    assert lab.runtime.ports.home.issuer_status(again).uri == uri


def test_an_ecdsa_account_key(lab):
    lab.apply_issuer("ec", annotations={"certmill.io/account-key-algorithm": "ECDSA-384"})

    lab.issue("ec", "ec.other.test", issuer="ec")

    account = lab.runtime.ports.home.secret("cert-manager", "ec-account")
    assert account.data["tls.key"].startswith(b"-----BEGIN EC PRIVATE KEY-----")


def test_a_ca_that_requires_an_external_account_issues(lab, tmp_path):
    with lab.another_pebble(tmp_path, eab={"kid-1": EAB_SECRET}) as pebble:
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "eab", "namespace": "cert-manager"},
            "stringData": {"secret": EAB_SECRET},
        }
        lab.apply(secret)
        lab.apply_issuer("noeab", **lab.at(pebble))
        lab.apply_issuer(
            "eab",
            **lab.at(pebble),
            externalAccountBinding={"keyID": "kid-1", "keySecretRef": {"name": "eab", "key": "secret"}},
        )

        assert lab.issue("eab", "eab.other.test", issuer="eab").dns_names == ("eab.other.test",)
        waiting = lab.request("noeab", "noeab.other.test", issuer="noeab")
        lab.until(
            lambda: "ClusterIssuer/noeab is not ready" in waiting.status().reason,
            what=lambda: str(waiting.status()),
        )
        assert "external" in waiting.status().reason.lower()
        assert lab.status("noeab").failed_issuance_attempts == 0


def test_a_valid_authorization_is_not_validated_again(lab, tmp_path):
    with lab.another_pebble(tmp_path, authz_reuse=100) as pebble:
        lab.apply_issuer("reuse", **lab.at(pebble))
        lab.issue("reuse1", "reuse.example.test", issuer="reuse")
        lab.bind.stop()
        try:
            lab.issue("reuse2", "reuse.example.test", issuer="reuse")
        finally:
            lab.bind.start()

    assert lab.leaf("reuse2").serial != lab.leaf("reuse1").serial


def test_half_of_all_nonces_rejected(lab, tmp_path):
    with lab.another_pebble(tmp_path, nonce_reject=50) as pebble:
        lab.apply_issuer("nonces", **lab.at(pebble))

        assert lab.issue(
            "nonces", "nonces.example.test", "*.nonces.example.test", issuer="nonces", timeout=90
        ).dns_names


def test_nothing_is_left_behind(lab):
    lab.until(lambda: not lab.runtime.redis.exists(keys.JOURNAL), what="the journal is empty")

    assert list(lab.runtime.redis.scan_iter("certmill:http01:*")) == []
    lab.until(
        lambda: list(lab.runtime.redis.scan_iter("certmill:lock:order:*")) == [], what="no order holds a lock"
    )
