from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, SignatureAlgorithmOID

from certmill.crypto import csr, keys
from certmill.errors import InvalidManifest
from certmill.model.certificate import Certificate, IssuerRef, KeyAlgorithm, PrivateKeySpec, Subject

WEB = Certificate(
    namespace="default",
    name="web",
    secret_name="web",
    issuer_ref=IssuerRef(name="prod"),
    dns_names=("example.com", "*.example.com"),
    ip_addresses=("192.0.2.1", "2001:db8::1"),
)


def ecdsa(size=256):
    return keys.generate(PrivateKeySpec(algorithm=KeyAlgorithm.ECDSA, size=size))


def built(certificate, key_pem=None):
    request = x509.load_der_x509_csr(csr.build(certificate, key_pem or ecdsa()))
    assert request.is_signature_valid
    return request


def extension(request, type_):
    return request.extensions.get_extension_for_class(type_)


def test_all_names_are_in_the_request_once_and_in_order():
    names = extension(
        built(replace(WEB, dns_names=(*WEB.dns_names, "example.com"))), x509.SubjectAlternativeName
    ).value

    assert names.get_values_for_type(x509.DNSName) == ["example.com", "*.example.com"]
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("192.0.2.1"),
        ipaddress.ip_address("2001:db8::1"),
    ]


def test_without_a_subject_the_names_are_critical():
    """RFC 5280 §4.2.1.6."""
    assert extension(built(WEB), x509.SubjectAlternativeName).critical
    assert not extension(built(replace(WEB, common_name="example.com")), x509.SubjectAlternativeName).critical


def test_no_common_name_is_made_up():
    assert list(built(WEB).subject) == []


def test_the_subject_is_encoded_in_the_order_of_cert_manager():
    subject = Subject(
        organizations=("Example", "Other"),
        countries=("AT",),
        organizational_units=("Web",),
        localities=("Vienna",),
        provinces=("W",),
        street_addresses=("Ring 1",),
        postal_codes=("1010",),
        serial_number="42",
    )

    request = built(replace(WEB, subject=subject, common_name="example.com"))

    assert [sorted(attribute.value for attribute in rdn) for rdn in request.subject.rdns] == [
        ["AT"],
        ["Example", "Other"],
        ["Web"],
        ["Vienna"],
        ["W"],
        ["Ring 1"],
        ["1010"],
        ["example.com"],
        ["42"],
    ]
    assert request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "example.com"


def test_a_literal_subject_is_encoded_in_its_own_order():
    """The text is written from the last RDN to the first (RFC 4514 §2.1)."""
    request = built(
        replace(
            WEB,
            literal_subject="CN=example.com,OU=b+OU=a,O=Example,C=AT,2.5.4.42=John",
            common_name="example.com",
        )
    )

    found = [sorted((one.oid.dotted_string, one.value) for one in rdn) for rdn in request.subject.rdns]
    assert found == [
        [("2.5.4.42", "John")],
        [("2.5.4.6", "AT")],
        [("2.5.4.10", "Example")],
        [("2.5.4.11", "a"), ("2.5.4.11", "b")],
        [("2.5.4.3", "example.com")],
    ]


def test_default_usages_are_digital_signature_and_key_encipherment():
    request = built(WEB)

    usage = extension(request, x509.KeyUsage)
    assert usage.critical
    assert (usage.value.digital_signature, usage.value.key_encipherment, usage.value.key_cert_sign) == (
        True,
        True,
        False,
    )
    with pytest.raises(x509.ExtensionNotFound):
        extension(request, x509.ExtendedKeyUsage)


def test_extended_usages_are_distinguished_from_key_usages():
    request = built(
        replace(WEB, usages=("signing", "server auth", "client auth", "s/mime", "email protection"))
    )

    assert not extension(request, x509.KeyUsage).value.key_encipherment
    assert list(extension(request, x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
        ExtendedKeyUsageOID.EMAIL_PROTECTION,
    ]


@pytest.mark.parametrize("usage", [*csr._KEY_USAGES, *csr._EXTENDED_KEY_USAGES])
def test_every_usage_of_cert_manager_can_be_encoded(usage):
    request = built(replace(WEB, usages=("key agreement", usage)))

    if usage in csr._KEY_USAGES:
        assert getattr(extension(request, x509.KeyUsage).value, csr._KEY_USAGES[usage])
    else:
        assert list(extension(request, x509.ExtendedKeyUsage).value) == [csr._EXTENDED_KEY_USAGES[usage]]


def test_usages_can_be_left_out_of_the_request():
    with pytest.raises(x509.ExtensionNotFound):
        extension(built(replace(WEB, encode_usages_in_request=False)), x509.KeyUsage)


@pytest.mark.parametrize(("size", "expected"), [(256, "sha256"), (384, "sha384"), (521, "sha512")])
def test_the_hash_suits_the_curve(size, expected):
    assert built(WEB, ecdsa(size)).signature_hash_algorithm.name == expected


def test_the_hash_of_an_rsa_request_follows_its_size():
    assert built(WEB, keys.generate(PrivateKeySpec(size=2048))).signature_hash_algorithm.name == "sha256"
    assert built(WEB, keys.generate(PrivateKeySpec(size=3072))).signature_hash_algorithm.name == "sha384"


def test_the_signature_algorithm_of_the_manifest_is_used():
    assert (
        built(replace(WEB, signature_algorithm="ECDSAWithSHA512")).signature_hash_algorithm.name == "sha512"
    )


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"subject": Subject(countries=("Austria",))}, "spec.subject.countries"),
        ({"common_name": "x" * 65}, "spec.commonName"),
        ({"dns_names": ("exämple.com",)}, "spec.dnsNames"),
        ({"ip_addresses": ("192.0.2.300",)}, "spec.ipAddresses"),
        ({"usages": ("teleport",)}, "spec.usages"),
        ({"usages": ("encipher only",)}, "spec.usages"),
        ({"signature_algorithm": "SHA256WithRSA"}, "spec.signatureAlgorithm"),
        ({"signature_algorithm": "MD5"}, "spec.signatureAlgorithm"),
    ],
)
def test_what_cannot_be_encoded_is_refused_by_its_field(change, path):
    with pytest.raises(InvalidManifest) as caught:
        csr.build(replace(WEB, **change), ecdsa())

    assert caught.value.path == path


def test_a_request_with_an_ed25519_key_is_signed_with_it():
    pem = keys.generate(PrivateKeySpec(algorithm=KeyAlgorithm.ED25519, size=0))

    for algorithm in ("", "PureEd25519"):
        request = built(replace(WEB, signature_algorithm=algorithm), pem)
        assert request.signature_algorithm_oid == SignatureAlgorithmOID.ED25519
    with pytest.raises(InvalidManifest, match=r"spec\.signatureAlgorithm"):
        built(replace(WEB, signature_algorithm="ECDSAWithSHA256"), pem)
    with pytest.raises(InvalidManifest, match=r"spec\.signatureAlgorithm"):
        built(replace(WEB, signature_algorithm="PureEd25519"))


def test_is_ca_asks_for_cert_sign_as_cert_manager_does():
    request = built(replace(WEB, is_ca=True))

    assert extension(request, x509.KeyUsage).value.key_cert_sign
    assert not extension(built(WEB), x509.KeyUsage).value.key_cert_sign
    with pytest.raises(x509.ExtensionNotFound):
        extension(built(replace(WEB, is_ca=True, encode_usages_in_request=False)), x509.KeyUsage)
