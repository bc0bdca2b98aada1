"""Certificates: what is read, by which rules, and what is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given

from certmill.errors import InvalidManifest
from certmill.model.certificate import (
    Certificate,
    IssuerRef,
    KeyAlgorithm,
    KeyEncoding,
    OutputFormat,
    PrivateKeySpec,
    RotationPolicy,
    SecretTemplate,
    Subject,
)
from certmill.model.manifests.certificate.schema import USAGES
from certmill.model.manifests.parse import certificate_document, dump_yaml, parse_certificate, parse_documents
from tests.support.certificate_bodies import WRONG_SPECS
from tests.support.certificate_strategies import certificates
from tests.support.manifest_bodies import a_certificate_body, without


def read(body):
    return parse_certificate(body, source="web.yaml")


def refusal(body):
    with pytest.raises(InvalidManifest) as caught:
        read(body)
    assert caught.value.source == "web.yaml"
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_small_certificate_gets_cert_managers_defaults():
    assert read(a_certificate_body()) == Certificate(
        namespace="prod",
        name="web",
        secret_name="web-tls",
        issuer_ref=IssuerRef(name="ca", kind="ClusterIssuer", group=""),
        dns_names=("web.example.com",),
        private_key=PrivateKeySpec(
            algorithm=KeyAlgorithm.RSA,
            size=2048,
            encoding=KeyEncoding.PKCS1,
            rotation_policy=RotationPolicy.ALWAYS,
        ),
        usages=("digital signature", "key encipherment"),
        encode_usages_in_request=True,
    )


def test_every_field_that_is_acted_on_is_read():
    body = a_certificate_body(
        issuerRef={"name": "ca", "group": "cert-manager.io"},
        commonName="Web.example.com",
        dnsNames=["web.example.com", "*.Example.com", "WEB.example.com", "bücher.example"],
        ipAddresses=["192.0.2.1", "2001:DB8::1", "::ffff:192.0.2.1"],
        duration="720h",
        renewBefore="240h30m",
        privateKey={"algorithm": "ECDSA", "size": 384, "encoding": "PKCS8", "rotationPolicy": "Never"},
        signatureAlgorithm="ECDSAWithSHA384",
        subject={
            "organizations": ["Example"],
            "countries": ["DE"],
            "organizationalUnits": ["Ops"],
            "localities": ["Berlin"],
            "provinces": ["BE"],
            "streetAddresses": ["Street 1"],
            "postalCodes": ["10115"],
            "serialNumber": "7",
        },
        usages=["server auth", "digital signature", "server auth"],
        encodeUsagesInRequest=False,
        secretTemplate={
            "labels": {"team": "web"},
            "annotations": {"example.com/copy": "x y", "cert-manager.io/allow-direct-injection": "true"},
        },
        additionalOutputFormats=[{"type": "CombinedPEM"}, {"type": "DER"}],
        revisionHistoryLimit=3,
        isCA=False,
    )
    body["metadata"] |= {"labels": {"app": "web"}, "annotations": {"note": "hello"}}

    assert read(body) == Certificate(
        namespace="prod",
        name="web",
        secret_name="web-tls",
        issuer_ref=IssuerRef(name="ca", kind="Issuer", group="cert-manager.io"),
        common_name="web.example.com",
        dns_names=("web.example.com", "*.example.com", "xn--bcher-kva.example"),
        ip_addresses=("192.0.2.1", "2001:db8::1"),
        duration=timedelta(days=30),
        renew_before=timedelta(hours=240, minutes=30),
        private_key=PrivateKeySpec(
            algorithm=KeyAlgorithm.ECDSA,
            size=384,
            encoding=KeyEncoding.PKCS8,
            rotation_policy=RotationPolicy.NEVER,
        ),
        signature_algorithm="ECDSAWithSHA384",
        subject=Subject(
            organizations=("Example",),
            countries=("DE",),
            organizational_units=("Ops",),
            localities=("Berlin",),
            provinces=("BE",),
            street_addresses=("Street 1",),
            postal_codes=("10115",),
            serial_number="7",
        ),
        usages=("server auth", "digital signature"),
        encode_usages_in_request=False,
        secret_template=SecretTemplate(
            labels={"team": "web"},
            annotations={"example.com/copy": "x y", "cert-manager.io/allow-direct-injection": "true"},
        ),
        additional_output_formats=(OutputFormat.COMBINED_PEM, OutputFormat.DER),
        labels={"app": "web"},
        annotations={"note": "hello"},
    )


def test_an_ecdsa_key_is_256_bits_by_default():
    assert read(a_certificate_body(privateKey={"algorithm": "ECDSA"})).private_key.size == 256


@pytest.mark.parametrize(
    "spec",
    [
        {"privateKey": {"size": 8192}},
        {"privateKey": {"algorithm": "ECDSA", "size": 521}},
        {"privateKey": {"size": 0}},
        {"privateKey": {}},
        {"privateKey": None, "usages": None, "subject": None, "commonName": None, "secretTemplate": None},
        {"usages": []},
        {"commonName": ""},
        {"renewBeforePercentage": 33},
        {"duration": "1h", "renewBefore": "5m"},
        {"duration": "1h", "renewBeforePercentage": 9},
        {"dnsNames": [], "ipAddresses": ["192.0.2.1"], "commonName": "192.0.2.1"},
        {"dnsNames": [f"n{n}.example.com" for n in range(100)]},
        {"dnsNames": [f"n{n}.example.com" for n in range(100)] * 2},
        {"signatureAlgorithm": "SHA512WithRSA"},
        {"usages": list(USAGES)},
        {"uris": [], "emailAddresses": [], "otherNames": [], "literalSubject": ""},
        {"keystores": {}},
        {
            "keystores": {
                "jks": {"create": False, "passwordSecretRef": {"name": "a", "key": "b"}},
                "pkcs12": None,
            }
        },
        {"renewal": {"policy": "RenewBefore"}},
        {"renewal": {"policy": "RenewBefore", "windows": []}},
        {"renewal": {"policy": "Disabled"}},
        {
            "renewal": {
                "policy": "RenewBefore",
                "windows": [{"cron": "0 0 ? JAN mon-fri", "windowDuration": "4h", "timezone": ""}],
            }
        },
    ],
)
def test_what_cert_manager_takes_is_taken(spec):
    assert isinstance(read(a_certificate_body(**spec)), Certificate)


def test_a_literal_subject_keeps_its_order_and_its_common_name_is_one_of_the_names():
    text = "O=jetstack, CN=WEB.example.com, 2.5.4.42=John"
    certificate = read(a_certificate_body(literalSubject=text))

    assert (certificate.literal_subject, certificate.common_name) == (text, "web.example.com")
    assert certificate_document(certificate)["spec"]["literalSubject"] == text
    assert read(certificate_document(certificate)) == certificate


def test_names_come_in_a_stable_order_whatever_the_manifests():
    one = read(a_certificate_body(dnsNames=["b.example", "a.example"], ipAddresses=["192.0.2.1"]))
    other = read(a_certificate_body(dnsNames=["a.example", "b.example"], ipAddresses=["192.0.2.1"]))

    assert one.identifiers == other.identifiers


@pytest.mark.parametrize(("spec", "path", "says"), WRONG_SPECS.values(), ids=WRONG_SPECS.keys())
def test_a_wrong_spec_is_refused_with_its_path(spec, path, says):
    error = refusal(a_certificate_body(**spec))

    assert (error.path, says in error.reason) == (path, True), str(error)
    assert "hunter2" not in str(error)


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"keystores": {"jks": {"create": True, "password": "hunter2", "alias": "web"}}}, "spec.keystores"),
        (
            {
                "keystores": {
                    "pkcs12": {
                        "create": True,
                        "passwordSecretRef": {"name": "a", "key": "b"},
                        "profile": "Modern2023",
                    }
                }
            },
            "spec.keystores",
        ),
        (
            {"issuerRef": {"name": "a", "kind": "AWSPCAIssuer", "group": "awspca.cert-manager.io"}},
            "spec.issuerRef.group",
        ),
    ],
)
def test_a_field_that_certmill_does_not_act_on_is_refused_and_never_ignored(spec, path):
    error = refusal(a_certificate_body(**spec))

    assert error.path == path
    assert error.reason.startswith("certmill does not act on this yet; ")
    assert "hunter2" not in str(error)


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"uris": ["spiffe://example.com/web"]}, "spec.uris"),
        ({"dnsNames": [], "uris": ["spiffe://example.com/web"]}, "spec.uris"),
        ({"emailAddresses": ["ops@example.com"]}, "spec.emailAddresses"),
        (
            {"otherNames": [{"oid": "1.3.6.1.4.1.311.20.2.3", "utf8Value": "upn@example.com"}]},
            "spec.otherNames",
        ),
        (
            {"isCA": True, "nameConstraints": {"permitted": {"dnsDomains": ["example.com"]}}},
            "spec.nameConstraints",
        ),
        ({"dnsNames": [], "commonName": "example.com"}, "spec.commonName"),
        ({"commonName": "other.example.com"}, "spec.commonName"),
    ],
)
def test_what_no_acme_ca_can_issue_is_refused_with_that_reason_and_what_to_do(spec, path):
    error = refusal(a_certificate_body(**spec))

    assert error.path == path
    assert "an ACME CA " in error.reason
    assert "remove it" in error.reason
    assert "yet" not in error.reason


@pytest.mark.parametrize(
    ("spec", "signature"),
    [({}, ""), ({"size": 7, "encoding": "PKCS1"}, "PureEd25519")],
)
def test_an_ed25519_key_is_accepted_and_its_size_means_nothing(spec, signature):
    body = a_certificate_body(
        privateKey={"algorithm": "Ed25519", **spec},
        **({"signatureAlgorithm": signature} if signature else {}),
    )

    certificate = parse_certificate(body, source="web.yaml")

    assert (certificate.private_key.algorithm, certificate.private_key.size) == (KeyAlgorithm.ED25519, 0)
    assert parse_certificate(certificate_document(certificate), source="again.yaml") == certificate


@pytest.mark.parametrize("value", [True, False])
def test_a_certificate_of_a_ca_is_accepted_as_acme_cas_ignore_the_flag(value):
    certificate = parse_certificate(a_certificate_body(isCA=value), source="web.yaml")

    assert certificate.is_ca is value
    assert parse_certificate(certificate_document(certificate), source="again.yaml") == certificate


@pytest.mark.parametrize(
    ("metadata", "path", "says"),
    [
        (None, "metadata", "must be a mapping"),
        ({}, "metadata.name", "required"),
        ({"name": ""}, "metadata.name", "required"),
        ({"name": "Web"}, "metadata.name", "not a valid object name"),
        ({"name": "a" * 254}, "metadata.name", "not a valid object name"),
        ({"name": "../web"}, "metadata.name", "not a valid object name"),
        ({"name": "web", "namespace": "a.b"}, "metadata.namespace", "not a valid namespace"),
        ({"name": "web", "namespace": ""}, "metadata.namespace", "not a valid namespace"),
        ({"generateName": "web-"}, "metadata.name", "is required"),
        ({"name": "web", "labels": {"a": "b c"}}, "metadata.labels", "label"),
        ({"name": "web", "labels": ["a"]}, "metadata.labels", "must be a mapping"),
        ({"name": "web", "annotations": {"a": True}}, "metadata.annotations.a", "must be a string"),
        ({"name": "web", "label": {}}, "metadata.label", "not a known field"),
    ],
)
def test_wrong_metadata_is_refused_with_its_path(metadata, path, says):
    error = refusal(a_certificate_body() | {"metadata": metadata})

    assert (error.path, says in error.reason) == (path, True), str(error)


def test_what_only_an_api_server_sets_is_dropped():
    body = a_certificate_body()
    body["metadata"] |= {
        "uid": "7",
        "resourceVersion": "9",
        "generation": 1,
        "creationTimestamp": None,
        "managedFields": [{"manager": "kubectl"}],
        "ownerReferences": [],
        "finalizers": ["x"],
        "selfLink": "/a",
    }
    body["status"] = {"conditions": [{"type": "Ready"}]}

    assert read(body) == read(a_certificate_body())
    (document,), _ = parse_documents(dump_yaml(body), source="web.yaml")
    assert document.text == dump_yaml(a_certificate_body())


@pytest.mark.parametrize(
    "missing",
    [("spec",), ("metadata",), ("kind",), ("apiVersion",), ("spec", "secretName"), ("spec", "issuerRef")],
)
def test_what_is_required_is_named(missing):
    error = refusal(without(a_certificate_body(), *missing))

    assert (error.path, error.reason) == (".".join(missing), "is required")


def test_the_namespace_is_the_one_given_if_the_manifest_has_none():
    body = without(a_certificate_body(), "metadata", "namespace")

    assert parse_certificate(body, source="x").namespace == "default"
    assert parse_certificate(body, source="x", default_namespace="blue").namespace == "blue"
    with pytest.raises(InvalidManifest, match=r"metadata\.namespace"):
        parse_certificate(body, source="x", default_namespace="../x")


@given(certificates())
def test_a_certificate_written_as_a_manifest_reads_the_same(certificate):
    (document,), wrong = parse_documents(dump_yaml(certificate_document(certificate)), source="x")

    assert wrong == []
    assert document.value == certificate
    assert document.text == dump_yaml(certificate_document(certificate))


def test_only_what_is_no_default_is_written():
    body = certificate_document(read(a_certificate_body()))

    assert body == a_certificate_body()
