"""The Secret of an issued pair, as cert-manager writes it (reference §0.1, §0.2, §1.2, §1.5)."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from certmill.certificates.secret_contract import issuer_of, secret_of
from certmill.crypto import keys
from certmill.model.certificate import IssuerRef, OutputFormat, SecretTemplate
from tests.support.builders import a_certificate, a_chain

WEB = a_certificate()
KEY = keys.generate(a_certificate().private_key)


def secret(certificate=WEB, *, temporary=False, **leaf):
    return secret_of(
        certificate, a_chain(KEY, **leaf), KEY, issuer=None if temporary else certificate.issuer_ref
    )


def annotated(found):
    return {name.removeprefix("cert-manager.io/"): value for name, value in found.annotations.items()}


def test_the_eight_annotations_are_of_the_leaf_and_empty_ones_are_kept():
    found = secret(
        dns_names=("b.example.test", "a.example.test"),
        ip_addresses=("192.0.2.1",),
        common_name="b.example.test",
    )

    assert annotated(found) == {
        "alt-names": "b.example.test,a.example.test",
        "certificate-name": WEB.name,
        "common-name": "b.example.test",
        "ip-sans": "192.0.2.1",
        "uri-sans": "",
        "issuer-name": WEB.issuer_ref.name,
        "issuer-kind": WEB.issuer_ref.kind,
        "issuer-group": "",
    }


def test_the_issuers_kind_falls_back_to_issuer_and_its_group_is_verbatim():
    found = annotated(secret(a_certificate(issuer_ref=IssuerRef(name="a", kind="", group="cert-manager.io"))))

    assert (found["issuer-kind"], found["issuer-group"]) == ("Issuer", "cert-manager.io")


def test_the_leafs_subject_and_e_mail_addresses_are_annotated_only_if_they_exist():
    found = annotated(
        secret(
            attributes=[
                (NameOID.ORGANIZATION_NAME, "Example, Inc."),
                (NameOID.ORGANIZATION_NAME, "Other"),
                (NameOID.ORGANIZATIONAL_UNIT_NAME, "Web"),
                (NameOID.COUNTRY_NAME, "AT"),
                (NameOID.LOCALITY_NAME, "Vienna"),
                (NameOID.STATE_OR_PROVINCE_NAME, "W"),
                (NameOID.STREET_ADDRESS, "Ring 1"),
                (NameOID.POSTAL_CODE, "1010"),
                (NameOID.SERIAL_NUMBER, "42"),
            ],
            others=[x509.RFC822Name("ops@example.test")],
        )
    )

    assert {name: value for name, value in found.items() if name not in annotated(secret())} == {
        "subject-organizations": '"Example, Inc.",Other',
        "subject-organizationalunits": "Web",
        "subject-countries": "AT",
        "subject-localities": "Vienna",
        "subject-provinces": "W",
        "subject-streetaddresses": "Ring 1",
        "subject-postalcodes": "1010",
        "subject-serialnumber": "42",
        "email-sans": "ops@example.test",
    }


def test_a_temporary_pairs_secret_has_five_annotations_and_none_of_an_issuer():
    assert set(annotated(secret(temporary=True))) == {
        "alt-names",
        "certificate-name",
        "common-name",
        "ip-sans",
        "uri-sans",
    }


@pytest.mark.parametrize(
    ("formats", "made"),
    [
        ((), set()),
        ((OutputFormat.DER,), {"key.der"}),
        ((OutputFormat.COMBINED_PEM,), {"tls-combined.pem"}),
        ((OutputFormat.DER, OutputFormat.COMBINED_PEM), {"key.der", "tls-combined.pem"}),
    ],
)
def test_additional_output_formats_are_keys_of_the_same_secret(formats, made):
    data = secret(a_certificate(additional_output_formats=formats)).data

    assert set(data) == {"tls.crt", "tls.key"} | made
    if "key.der" in made:
        assert data["key.der"] == keys.to_der(data["tls.key"])
    if "tls-combined.pem" in made:
        assert data["tls-combined.pem"] == data["tls.key"] + b"\n" + data["tls.crt"]


def test_there_is_no_ca_crt_as_acme_knows_no_ca():
    assert "ca.crt" not in secret().data


def test_secret_template_adds_labels_and_annotations_and_takes_none_of_ours():
    template = SecretTemplate(
        labels={"team": "web"},
        annotations={"example.com/note": "x", "cert-manager.io/allow-direct-injection": "true"},
    )
    found = secret(a_certificate(secret_template=template))

    assert found.labels == {"team": "web", "controller.cert-manager.io/fao": "true"}
    assert found.annotations.items() > template.annotations.items()
    assert annotated(found)["certificate-name"] == WEB.name


def test_the_secret_is_of_type_tls_in_the_certificates_namespace():
    found = secret()

    assert (found.type, found.namespace, found.name) == ("kubernetes.io/tls", WEB.namespace, WEB.secret_name)


def test_the_former_issuer_is_named_as_cert_manager_names_it():
    assert (
        issuer_of(secret(a_certificate(issuer_ref=IssuerRef(name="prod", kind="ClusterIssuer"))))
        == "ClusterIssuer.cert-manager.io/prod"
    )
