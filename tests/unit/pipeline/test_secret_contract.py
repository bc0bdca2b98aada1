"""What is in a Secret with an issued pair, and in one with a temporary pair: cert-manager's contract (reference §0.2, §1.5)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from certmill.crypto import chain, keys
from certmill.crypto.temporary import temporary_pair
from certmill.model.certificate import IssuerRef, OutputFormat, SecretTemplate, Subject
from certmill.pipeline import secret_contract
from tests.builders import ECDSA, NOW, a_certificate, a_chain

WEB = a_certificate()
KEY = keys.generate(ECDSA)
EIGHT = {"alt-names", "certificate-name", "common-name", "ip-sans", "issuer-group", "issuer-kind", "issuer-name", "uri-sans"}


def stored(certificate=WEB, **leaf):
    return secret_contract.secret_of(certificate, a_chain(KEY, **leaf), KEY)


def annotated(secret):
    return {name.removeprefix("cert-manager.io/"): value for name, value in secret.annotations.items()}


def test_the_secret_of_an_issued_pair_has_exactly_the_eight_annotations():
    assert set(annotated(stored())) == EIGHT


def test_the_name_lists_are_those_of_the_issued_leaf_joined_with_commas_and_empty_when_there_is_nothing():
    names = ("a.example.test", "b.example.test")

    found = annotated(stored(dns_names=names, ip_addresses=("192.0.2.1", "2001:db8::1"), common_name="a.example.test"))
    nothing = annotated(stored())

    assert (found["alt-names"], found["common-name"]) == ("a.example.test,b.example.test", "a.example.test")
    assert (found["ip-sans"], found["uri-sans"]) == ("192.0.2.1,2001:db8::1", "")
    assert (nothing["common-name"], nothing["ip-sans"], nothing["uri-sans"]) == ("", "", "")


@pytest.mark.parametrize("group", ["", "cert-manager.io", "other.example"])
def test_the_issuers_group_is_copied_verbatim(group):
    ref = IssuerRef(name="prod", kind="ClusterIssuer", group=group)

    assert annotated(stored(replace(WEB, issuer_ref=ref)))["issuer-group"] == group


def test_the_issuers_kind_is_issuer_when_the_reference_has_none():
    assert annotated(stored(replace(WEB, issuer_ref=IssuerRef(name="prod", kind=""))))["issuer-kind"] == "Issuer"


def test_the_secret_of_a_temporary_pair_has_five_annotations_and_no_issuer():
    pem, key = temporary_pair(WEB, now=NOW)

    found = secret_contract.secret_of(WEB, pem, key, temporary=True)

    assert set(annotated(found)) == {name for name in EIGHT if not name.startswith("issuer")}
    assert annotated(found)["alt-names"] == "web.example.test"
    assert secret_contract.is_temporary(found)
    assert not secret_contract.is_temporary(stored())


def test_a_leaf_with_more_of_a_subject_gets_an_annotation_for_each_part_that_is_there():
    leaf = replace(
        chain.leaf(a_chain(KEY)),
        subject=Subject(organizations=("Tea, Coffee & Co", "Cakes"), countries=("DE",), serial_number="7"),
        email_addresses=("ops@example.test",),
    )

    found = secret_contract.of(WEB, leaf)

    assert {name.removeprefix("cert-manager.io/") for name in found} - EIGHT == {
        "email-sans",
        "subject-organizations",
        "subject-countries",
        "subject-serialnumber",
    }
    assert found["cert-manager.io/subject-organizations"] == '"Tea, Coffee & Co",Cakes'
    assert found["cert-manager.io/email-sans"] == "ops@example.test"


def test_the_subject_and_the_e_mail_addresses_of_a_leaf_are_read():
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tea"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Coffee"),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, "7"),
        ]
    )
    pem = a_chain(KEY, subject=subject, email_addresses=("ops@example.test",))

    leaf = chain.leaf(pem)

    assert leaf.subject == Subject(organizations=("Tea", "Coffee"), countries=("DE",), serial_number="7")
    assert leaf.email_addresses == ("ops@example.test",)


def test_it_is_a_tls_secret_with_the_chain_and_the_key_and_no_ca():
    leaf, root = a_chain(KEY), a_chain(KEY, dns_names=("ca.example.test",))

    found = secret_contract.secret_of(WEB, leaf + root, KEY)

    assert found.type == "kubernetes.io/tls"
    assert found.data == {"tls.crt": leaf + root, "tls.key": KEY}


def test_further_forms_have_cert_managers_keys():
    formats = (OutputFormat.DER, OutputFormat.COMBINED_PEM)

    found = stored(replace(WEB, additional_output_formats=formats))

    assert set(found.data) == {"tls.crt", "tls.key", "key.der", "tls-combined.pem"}
    assert found.data["tls-combined.pem"] == KEY + b"\n" + found.data["tls.crt"]


def test_the_template_adds_labels_and_annotations_and_our_label_is_always_there():
    template = SecretTemplate(labels={"team": "web"}, annotations={"note": "mine"})

    found = stored(replace(WEB, secret_template=template))

    assert found.labels == {"team": "web", "controller.cert-manager.io/fao": "true"}
    assert found.annotations["note"] == "mine"
    assert set(annotated(found)) == EIGHT | {"note"}


def test_the_former_issuer_is_named_as_cert_manager_names_it():
    assert secret_contract.issuer_of(stored()) == "ClusterIssuer.cert-manager.io/prod"
