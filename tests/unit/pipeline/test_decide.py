"""Must this certificate be issued? Each reason, and the times."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.crypto import chain, keys
from certmill.model.certificate import IssuerRef, KeyAlgorithm, PrivateKeySpec
from certmill.model.secret import Secret
from certmill.model.status import CertificateStatus
from certmill.pipeline.decide import Hold, Issue, Keep, decide, jittered, look, renewal_time
from tests.builders import DAY, NOW, a_certificate, a_pair

WEB = a_certificate()
PAIR = a_pair(WEB)


def decided(certificate=WEB, secret=PAIR, status=CertificateStatus(), *, now=NOW + DAY, spec="abc"):  # noqa: B008 - frozen
    return decide(look(certificate, secret, status, spec), now)


def reason(**kwargs):
    return decided(**kwargs).violation.reason


def with_data(**data):
    return replace(PAIR, data={**PAIR.data, **{key.replace("_", "."): value for key, value in data.items()}})


def test_a_pair_that_is_right_is_kept_until_two_thirds_of_its_life():
    decision = decided()

    assert isinstance(decision, Keep)
    assert decision.renew_at == pytest.approx(NOW + 60 * DAY)


def test_no_secret_is_issued():
    assert reason(secret=None) == "DoesNotExist"


def test_a_secret_without_key_or_certificate_is_issued():
    assert reason(secret=with_data(tls_key=b"")) == "MissingData"
    assert reason(secret=Secret(namespace="default", name="web-tls", data={})) == "MissingData"


def test_an_unreadable_certificate_or_key_is_issued():
    assert reason(secret=with_data(tls_crt=b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")) == "InvalidCertificate"
    assert reason(secret=with_data(tls_key=b"junk")) == "InvalidKeyPair"


def test_a_megabyte_of_crafted_pem_is_just_invalid():
    crafted = b"-----BEGIN CERTIFICATE-----\n" * 40_000

    assert reason(secret=with_data(tls_crt=crafted)) == "InvalidCertificate"


def test_a_key_of_another_certificate_is_issued():
    assert reason(secret=with_data(tls_key=keys.generate(WEB.private_key))) == "InvalidKeyPair"


def test_another_kind_of_key_is_issued():
    assert reason(certificate=replace(WEB, private_key=PrivateKeySpec(algorithm=KeyAlgorithm.ECDSA, size=384))) == "SecretMismatch"


def test_another_issuer_is_issued():
    assert reason(certificate=replace(WEB, issuer_ref=IssuerRef(name="staging", kind="ClusterIssuer"))) == "IncorrectIssuer"
    assert reason(certificate=replace(WEB, issuer_ref=IssuerRef(name="prod", kind="Issuer"))) == "IncorrectIssuer"


def test_an_issuer_group_that_is_written_out_is_the_same_issuer():
    written_out = replace(WEB, issuer_ref=IssuerRef(name="prod", kind="ClusterIssuer", group="cert-manager.io"))

    assert isinstance(decided(certificate=written_out), Keep)


def test_changed_names_are_issued_and_another_order_of_them_is_not():
    two = a_certificate(dns_names=("a.example.test", "b.example.test"))
    pair = a_pair(two)

    assert reason(certificate=replace(two, dns_names=("a.example.test",)), secret=pair) == "RequestChanged"
    assert isinstance(decided(certificate=replace(two, dns_names=two.dns_names[::-1]), secret=pair), Keep)


def test_a_common_name_that_the_ca_left_out_is_no_change():
    named = a_certificate(common_name="web.example.test")

    assert isinstance(decided(certificate=named, secret=a_pair(named, common_name="")), Keep)
    assert reason(certificate=named, secret=a_pair(named, common_name="other.test")) == "RequestChanged"


def test_an_expired_or_due_pair_is_issued():
    assert reason(now=NOW + 90 * DAY) == "Expired"
    assert reason(now=NOW + 61 * DAY) == "Renewing"


def test_a_failure_is_held_until_its_next_attempt():
    failing = CertificateStatus(next_attempt=NOW + 2 * DAY, failed_spec="abc", failed_issuance_attempts=1)

    decision = decided(secret=None, status=failing)

    assert isinstance(decision, Hold)
    assert decision.until == NOW + 2 * DAY
    assert isinstance(decided(secret=None, status=failing, now=NOW + 3 * DAY), Issue)


def test_a_changed_spec_does_not_wait_for_the_back_off_of_the_old_one():
    failing = CertificateStatus(next_attempt=NOW + 2 * DAY, failed_spec="before", failed_issuance_attempts=1)

    assert isinstance(decided(secret=None, status=failing), Issue)


def test_a_failure_that_another_program_noted_holds_for_whatever_is_wanted():
    failing = CertificateStatus(next_attempt=NOW + 2 * DAY, failed_issuance_attempts=1)

    assert isinstance(decided(secret=None, status=failing), Hold)


@given(days=st.floats(0.1, 400), percentage=st.integers(1, 99) | st.none(), before_days=st.floats(0.01, 500) | st.none())
def test_renewal_is_always_within_the_life_of_the_certificate(days, percentage, before_days):
    wanted = a_certificate(renew_before=None if before_days is None else timedelta(days=before_days), renew_before_percentage=percentage)
    leaf = replace(chain.leaf(PAIR.data["tls.crt"]), not_before=NOW, not_after=NOW + days * DAY)

    at = renewal_time(wanted, leaf)

    assert NOW <= at <= NOW + days * DAY
    assert NOW - 4 * DAY <= jittered(at, leaf, 3600) <= at


def test_renew_before_and_its_percentage_are_taken_from_the_end():
    assert decided(certificate=replace(WEB, renew_before=timedelta(days=10))).renew_at == pytest.approx(NOW + 80 * DAY)
    assert decided(certificate=replace(WEB, renew_before_percentage=10)).renew_at == pytest.approx(NOW + 81 * DAY)


def test_the_decision_and_the_due_time_have_the_same_jitter():
    seen = look(WEB, PAIR, CertificateStatus(), "abc", jitter_seconds=3600)

    assert isinstance(decide(seen, seen.renew_at - 1), Keep)
    assert isinstance(decide(seen, seen.renew_at), Issue)
    assert NOW + 60 * DAY - 3600 <= seen.renew_at <= NOW + 60 * DAY


def test_a_secret_that_cannot_be_read_is_issued():
    assert decide(look(WEB, None, CertificateStatus(), "abc", unusable="too large"), NOW).violation.reason == "InvalidCertificate"


def test_a_renew_before_longer_than_the_life_does_not_renew_without_end():
    assert isinstance(decided(certificate=replace(WEB, renew_before=timedelta(days=200))), Keep)
