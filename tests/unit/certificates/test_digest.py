"""The digest of a manifest is computed once for the same values, and again for every value that it covers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from certmill.certificates.digest import digest
from certmill.model.certificate import IssuerRef, PrivateKeySpec, Subject
from tests.support.builders import a_certificate, an_issuer

WEB = replace(a_certificate(), duration=timedelta(days=30))
PROD = replace(an_issuer(), enable_duration=True)

CHANGED = {
    "common_name": "other.example.test",
    "dns_names": ("other.example.test",),
    "duration": timedelta(days=31),
    "encode_usages_in_request": False,
    "ip_addresses": ("192.0.2.1",),
    "is_ca": True,
    "literal_subject": "CN=other.example.test",
    "private_key": PrivateKeySpec(size=4096),
    "secret_name": "other",
    "signature_algorithm": "SHA512WithRSA",
    "subject": Subject(organizations=("Other",)),
    "usages": ("server auth",),
}


@pytest.mark.parametrize("field", CHANGED)
def test_a_change_of_the_certificate_changes_the_digest(field):
    assert digest(replace(WEB, **{field: CHANGED[field]}), PROD) != digest(WEB, PROD)


@pytest.mark.parametrize(
    ("field", "value"),
    [("server", "https://other.test/dir"), ("profile", "short"), ("enable_duration", False), ("name", "b")],
)
def test_a_change_of_the_issuer_changes_the_digest(field, value):
    assert digest(WEB, replace(PROD, **{field: value})) != digest(WEB, PROD)


def test_another_reference_changes_the_digest_while_no_issuer_exists():
    assert digest(replace(WEB, issuer_ref=IssuerRef(name="other")), None) != digest(WEB, None)


def test_no_other_field_of_the_certificate_changes_the_digest():
    others = {"namespace": "other", "name": "other", "renew_before": timedelta(days=1), "uid": "u"}
    others |= {"labels": {"a": "b"}, "annotations": {"a": "b"}, "created": 1.0, "deleting": True}

    assert {digest(replace(WEB, **{field: others[field]}), PROD) for field in others} == {digest(WEB, PROD)}
