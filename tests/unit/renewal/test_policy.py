"""Must this certificate be issued? Each reason, and the times."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.crypto import chain, keys
from certmill.model.certificate import IssuerRef, KeyAlgorithm, PrivateKeySpec
from certmill.model.revocation import Revocation, RevocationReason
from certmill.model.secret import Secret
from certmill.model.status import CertificateStatus
from certmill.renewal.decision import BackingOff, Issue, Keep, decide
from certmill.renewal.observation import observe
from certmill.renewal.plan import RenewalRule, plan
from tests.support.builders import DAY, NOW, a_certificate, a_pair

WEB = a_certificate()
PAIR = a_pair(WEB)
HEALTHY = CertificateStatus()


def decided(certificate=WEB, secret=PAIR, status=HEALTHY, *, now=NOW + DAY, specs=("abc",)):
    return decide(observe(certificate, secret, status, specs), now)


def reason(**kwargs):
    return decided(**kwargs).violation.reason


def revoked(reason, secret=PAIR):
    """The status after the pair's certificate was revoked."""
    leaf = chain.leaf(secret.data["tls.crt"])
    return CertificateStatus(
        revoked=Revocation(serial=leaf.serial, public_key=leaf.public_key, reason=reason, at=NOW)
    )


def test_a_pair_whose_key_is_compromised_is_issued_again_as_revoked():
    status = revoked(RevocationReason.KEY_COMPROMISE)

    assert told(status=status)[0] == "Revoked"
    assert "its private key is compromised" in told(status=status)[1]


@pytest.mark.parametrize("reason", sorted(set(RevocationReason) - {RevocationReason.KEY_COMPROMISE}))
def test_a_pair_that_is_revoked_for_another_reason_is_kept(reason):
    assert isinstance(decided(status=revoked(reason)), Keep)


def test_a_pair_with_another_key_than_the_compromised_one_is_kept():
    status = revoked(RevocationReason.KEY_COMPROMISE, a_pair(WEB))

    assert isinstance(decided(status=status), Keep)


def with_data(**data):
    return replace(PAIR, data={**PAIR.data, **{key.replace("_", "."): value for key, value in data.items()}})


def test_a_pair_that_is_right_is_kept_until_two_thirds_of_its_life():
    decision = decided()

    assert isinstance(decision, Keep)
    assert decision.renewal.instant == pytest.approx(NOW + 60 * DAY)


def told(**kwargs):
    """(reason, message) of what is wrong."""
    violation = decided(**kwargs).violation
    return violation.reason, violation.message


def test_no_secret_is_issued_as_does_not_exist():
    assert told(secret=None) == ("DoesNotExist", "Issuing certificate as Secret does not exist")


@pytest.mark.parametrize(
    ("data", "missing"),
    [
        ({}, "any data"),
        ({"tls.crt": b"x"}, "a private key"),
        ({"tls.crt": b"x", "tls.key": b""}, "a private key"),
        ({"tls.key": b"x"}, "a certificate"),
        ({"tls.key": b"x", "tls.crt": b""}, "a certificate"),
    ],
)
def test_a_secret_without_key_or_certificate_is_issued_as_missing_data(data, missing):
    secret = Secret(namespace="default", name="web-tls", data=data)

    assert told(secret=secret) == ("MissingData", f"Issuing certificate as Secret does not contain {missing}")


def test_an_unreadable_key_is_issued_as_an_invalid_key_pair_and_is_reconciled_first():
    message = (
        "Issuing certificate as Secret contains invalid private key data: the private key is not readable PEM"
    )

    assert told(secret=with_data(tls_key=b"junk")) == ("InvalidKeyPair", message)
    assert told(secret=with_data(tls_key=b"junk", tls_crt=b"junk")) == ("InvalidKeyPair", message)


def test_an_unreadable_certificate_is_issued_as_an_invalid_certificate():
    message = (
        "Issuing certificate as Secret contains an invalid certificate: the certificate chain is not "
        "readable PEM"
    )

    assert told(secret=with_data(tls_crt=b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")) == (
        "InvalidCertificate",
        message,
    )


def test_a_megabyte_of_crafted_pem_is_just_invalid():
    crafted = b"-----BEGIN CERTIFICATE-----\n" * 40_000

    assert reason(secret=with_data(tls_crt=crafted)) == "InvalidCertificate"


def test_a_key_of_another_certificate_is_issued_as_an_invalid_key_pair():
    message = "Issuing certificate as Secret contains a private key that does not match the certificate"

    assert told(secret=with_data(tls_key=keys.generate(WEB.private_key))) == ("InvalidKeyPair", message)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (PrivateKeySpec(algorithm=KeyAlgorithm.ECDSA, size=384), "size"),
        (PrivateKeySpec(algorithm=KeyAlgorithm.RSA, size=2048), "algorithm"),
    ],
)
def test_another_kind_of_key_is_issued_as_a_secret_mismatch_that_names_the_field(spec, field):
    message = f"Observed private key is not up to date for spec: [spec.privateKey.{field}]"

    assert told(certificate=replace(WEB, private_key=spec)) == ("SecretMismatch", message)


@pytest.mark.parametrize(
    "ref", [IssuerRef(name="staging", kind="ClusterIssuer"), IssuerRef(name="prod", kind="Issuer")]
)
def test_another_issuer_is_issued_as_an_incorrect_issuer_that_names_the_former(ref):
    message = 'Issuing certificate as Secret was previously issued by "ClusterIssuer.cert-manager.io/prod"'

    assert told(certificate=replace(WEB, issuer_ref=ref)) == ("IncorrectIssuer", message)


def test_another_issuer_comes_before_another_kind_of_key_and_that_before_other_names():
    other_key = PrivateKeySpec(algorithm=KeyAlgorithm.ECDSA, size=384)
    changed = replace(WEB, private_key=other_key, dns_names=("new.example.test",))

    assert reason(certificate=changed) == "SecretMismatch"
    assert (
        reason(certificate=replace(changed, issuer_ref=IssuerRef(name="staging", kind="ClusterIssuer")))
        == "IncorrectIssuer"
    )


def test_an_issuer_group_that_is_written_out_is_the_same_issuer():
    written_out = replace(
        WEB, issuer_ref=IssuerRef(name="prod", kind="ClusterIssuer", group="cert-manager.io")
    )

    assert isinstance(decided(certificate=written_out), Keep)


def test_changed_names_are_a_changed_request_and_another_order_of_them_is_not():
    two = a_certificate(dns_names=("a.example.test", "b.example.test"))
    pair = a_pair(two)

    changed = replace(two, dns_names=("a.example.test",), common_name="a.example.test")

    message = "Fields on existing certificate not up to date: [spec.dnsNames]"
    assert told(certificate=changed, secret=pair) == ("RequestChanged", message)
    assert isinstance(decided(certificate=replace(two, dns_names=two.dns_names[::-1]), secret=pair), Keep)


def test_a_common_name_that_the_ca_left_out_is_no_change():
    named = a_certificate(common_name="web.example.test")

    assert isinstance(decided(certificate=named, secret=a_pair(named, common_name="")), Keep)
    assert reason(certificate=named, secret=a_pair(named, common_name="other.test")) == "RequestChanged"


def test_an_expired_pair_is_issued_as_expired():
    assert told(now=NOW + 90 * DAY) == ("Expired", "Certificate expired on Thu, 15 Apr 2027 08:00:00 UTC")


def test_a_pair_whose_renewal_is_due_is_issued_as_renewing():
    message = "Renewing certificate as renewal was scheduled at 2027-03-16 08:00:00 +0000 UTC"

    assert told(now=NOW + 61 * DAY) == ("Renewing", message)


def test_a_failure_is_held_until_its_next_attempt():
    failing = CertificateStatus(next_attempt=NOW + 2 * DAY, failed_spec="abc", failed_issuance_attempts=1)

    decision = decided(secret=None, status=failing)

    assert isinstance(decision, BackingOff)
    assert decision.until == NOW + 2 * DAY
    assert isinstance(decided(secret=None, status=failing, now=NOW + 3 * DAY), Issue)


def test_a_changed_spec_does_not_wait_for_the_back_off_of_the_old_one():
    failing = CertificateStatus(next_attempt=NOW + 2 * DAY, failed_spec="before", failed_issuance_attempts=1)

    assert isinstance(decided(secret=None, status=failing), Issue)


def test_a_failure_with_another_candidate_issuer_keeps_its_back_off():
    failing = CertificateStatus(next_attempt=NOW + 2 * DAY, failed_spec="second", failed_issuance_attempts=1)

    assert isinstance(decided(secret=None, status=failing, specs=("first", "second")), BackingOff)
    assert isinstance(decided(secret=None, status=failing, specs=("first", "third")), Issue)


def test_a_failure_that_another_program_noted_holds_for_whatever_is_wanted():
    failing = CertificateStatus(next_attempt=NOW + 2 * DAY, failed_issuance_attempts=1)

    assert isinstance(decided(secret=None, status=failing), BackingOff)


@given(
    days=st.floats(0.1, 400),
    percentage=st.integers(1, 99) | st.none(),
    before_days=st.floats(0.01, 500) | st.none(),
)
def test_renewal_is_always_within_the_life_of_the_certificate(days, percentage, before_days):
    wanted = a_certificate(
        renew_before=None if before_days is None else timedelta(days=before_days),
        renew_before_percentage=percentage,
    )
    leaf = replace(chain.leaf(PAIR.data["tls.crt"]), not_before=NOW, not_after=NOW + days * DAY)

    at = plan(wanted, leaf, jitter_seconds=0).instant

    assert NOW <= at <= NOW + days * DAY
    assert NOW - 4 * DAY <= plan(wanted, leaf, jitter_seconds=3600).instant <= at


def test_renew_before_and_its_percentage_are_taken_from_the_end():
    assert decided(
        certificate=replace(WEB, renew_before=timedelta(days=10))
    ).renewal.instant == pytest.approx(NOW + 80 * DAY)
    assert decided(certificate=replace(WEB, renew_before_percentage=10)).renewal.instant == pytest.approx(
        NOW + 81 * DAY
    )


@pytest.mark.parametrize(
    ("spec", "reason", "days"),
    [
        ({}, RenewalRule.TWO_THIRDS, 60),
        ({"renew_before": timedelta(days=10)}, RenewalRule.RENEW_BEFORE, 80),
        ({"renew_before_percentage": 10}, RenewalRule.RENEW_BEFORE_PERCENTAGE, 81),
        ({"renew_before": timedelta(days=100)}, RenewalRule.TWO_THIRDS, 60),
        ({"renew_before": timedelta(days=89)}, RenewalRule.FIRST_TENTH, 9),
    ],
)
def test_a_renewal_plan_names_the_rule_that_decided(spec, reason, days):
    found = plan(replace(WEB, **spec), chain.leaf(PAIR.data["tls.crt"]), jitter_seconds=0)

    assert found.reason is reason
    assert found.instant == pytest.approx(NOW + days * DAY)


def test_the_decision_and_the_due_time_have_the_same_jitter():
    observation = observe(WEB, PAIR, CertificateStatus(), ("abc",), jitter_seconds=3600)

    assert isinstance(decide(observation, observation.renewal.instant - 1), Keep)
    assert isinstance(decide(observation, observation.renewal.instant), Issue)
    assert NOW + 60 * DAY - 3600 <= observation.renewal.instant <= NOW + 60 * DAY


def test_a_secret_that_cannot_be_read_is_issued():
    assert (
        decide(observe(WEB, None, CertificateStatus(), ("abc",), unusable="too large"), NOW).violation.reason
        == "InvalidCertificate"
    )


def test_a_renew_before_longer_than_the_life_does_not_renew_without_end():
    assert isinstance(decided(certificate=replace(WEB, renew_before=timedelta(days=200))), Keep)
