"""The annotation certmill.io/fallback-issuers."""

from __future__ import annotations

import pytest

from certmill.model.annotations import FALLBACK_ISSUERS
from certmill.model.certificate import IssuerRef
from certmill.model.fallback import Fallback
from certmill.model.fallback_issuers import fallback_issuers_in
from certmill.model.manifests.parse import parse_documents

CERTIFICATE = """
apiVersion: cert-manager.io/v1
kind: Certificate
metadata:
  name: web
  annotations:
    certmill.io/fallback-issuers: "ClusterIssuer/zerossl, backup, Vault/x"
spec: {secretName: web-tls, dnsNames: [web.example.test], issuerRef: {name: prod}}
"""
ISSUER = """
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata:
  name: prod
  annotations: {certmill.io/fallback-issuers: "zerossl, Vault/x"}
spec: {acme: {server: "https://ca.test/dir", privateKeySecretRef: {name: key}}}
"""


def found(text, kind="Issuer"):
    return fallback_issuers_in({FALLBACK_ISSUERS: text}, default_kind=kind)


def test_the_annotation_lists_issuers_in_order():
    backup, zerossl = IssuerRef(kind="Issuer", name="backup"), IssuerRef(kind="ClusterIssuer", name="zerossl")

    assert found(" ClusterIssuer/zerossl ,backup,").refs == (zerossl, backup)
    assert found("zerossl", "ClusterIssuer").refs == (zerossl,)
    assert found("").refs == fallback_issuers_in({}, default_kind="Issuer").refs == ()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("good, Vault/x", "'Vault/x' is ignored: write Issuer/NAME, ClusterIssuer/NAME or NAME"),
        ("good, a/b/c", "'a/b/c' is ignored: write Issuer/NAME"),
        ("good, ../x", "'../x' is ignored: write Issuer/NAME"),
        ("good, UPPER", "'UPPER' is ignored: 'UPPER' is not a valid object name"),
        ("good, Issuer/", "'Issuer/' is ignored: is required"),
        ("good, Issuer/good", "Issuer/good is in it twice"),
    ],
)
def test_an_entry_with_an_error_is_left_out_and_named(text, fault):
    one = found(text)

    assert one.refs == (IssuerRef(kind="Issuer", name="good"),)
    assert len(one.faults) == 1
    assert one.faults[0].startswith(fault)


def test_a_list_that_is_too_long_is_cut():
    many = found(", ".join(f"issuer-{number}" for number in range(20)))

    assert len(many.refs) == 8
    assert many.faults == ("it has 20 issuers, and only the first 8 are used",)
    assert found("x" * 3000).faults == ("it is longer than 2000 characters, and is ignored",)


def test_a_fault_in_the_annotation_does_not_stop_the_object():
    (certificate, issuer) = (
        parse_documents(text, source="a test")[0][0].value for text in (CERTIFICATE, ISSUER)
    )

    assert [ref.name for ref in certificate.fallback_issuers] == ["zerossl", "backup"]
    assert issuer.name == "prod"


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"run":"x"}', '{"v":9,"run":2}'])
def test_a_fall_back_in_a_record_that_cannot_be_read_is_none(text):
    assert Fallback.read(text) is None


def test_a_fall_back_is_for_one_run_and_keeps_what_a_newer_release_wrote():
    stored = Fallback.read('{"run":3,"spec":"abc","reason":"why","at":5.0,"new":1}')

    assert stored.unknown == {"new": 1}
    assert stored.applies(last_run=2, is_under_way=False)
    assert stored.applies(last_run=3, is_under_way=True)
    assert not stored.applies(last_run=3, is_under_way=False)
    assert not stored.applies(last_run=2, is_under_way=True)
