"""Build the certificate signing request (PKCS #10, RFC 2986) of a Certificate: names, subject and usages."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from certmill.crypto import keys
from certmill.errors import InvalidManifest
from certmill.model.certificate import Certificate, Subject
from certmill.model.distinguished_names import parse_name

_HASHES: dict[str, SHA256 | SHA384 | SHA512] = {
    "SHA256WithRSA": SHA256(),
    "SHA384WithRSA": SHA384(),
    "SHA512WithRSA": SHA512(),
    "ECDSAWithSHA256": SHA256(),
    "ECDSAWithSHA384": SHA384(),
    "ECDSAWithSHA512": SHA512(),
}
_PURE_ED25519 = "PureEd25519"
_KEY_USAGES = {
    "signing": "digital_signature",
    "digital signature": "digital_signature",
    "content commitment": "content_commitment",
    "key encipherment": "key_encipherment",
    "key agreement": "key_agreement",
    "data encipherment": "data_encipherment",
    "cert sign": "key_cert_sign",
    "crl sign": "crl_sign",
    "encipher only": "encipher_only",
    "decipher only": "decipher_only",
}
_EXTENDED_KEY_USAGES = {
    "any": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "code signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "s/mime": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "ipsec end system": ObjectIdentifier("1.3.6.1.5.5.7.3.5"),
    "ipsec tunnel": ObjectIdentifier("1.3.6.1.5.5.7.3.6"),
    "ipsec user": ObjectIdentifier("1.3.6.1.5.5.7.3.7"),
    "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
    "ocsp signing": ExtendedKeyUsageOID.OCSP_SIGNING,
    "microsoft sgc": ObjectIdentifier("1.3.6.1.4.1.311.10.3.3"),
    "netscape sgc": ObjectIdentifier("2.16.840.1.113730.4.1"),
}


def build(certificate: Certificate, key_pem: bytes) -> bytes:
    """Build the request, DER. Raises InvalidManifest with the path of a field that cannot be encoded, and
    SecretUnusable."""
    key = keys.load(key_pem)
    subject = (
        _literal_subject(certificate.literal_subject)
        if certificate.literal_subject
        else _subject(certificate)
    )
    names = _alternative_names(certificate)
    # RFC 5280 §4.2.1.6: "If the subject field contains an empty sequence, then the issuing CA MUST include a
    # subjectAltName extension that is marked as critical."
    builder = x509.CertificateSigningRequestBuilder(subject).add_extension(names, critical=not list(subject))
    if certificate.encode_usages_in_request:
        # isCA adds "cert sign", as in cert-manager. cert-manager omits the CA flag itself (basicConstraints)
        # by default, and so does this.
        builder = _with_usages(builder, (*certificate.usages, *(("cert sign",) if certificate.is_ca else ())))
    return builder.sign(key, _hash(certificate.signature_algorithm, key)).public_bytes(Encoding.DER)


def _alternative_names(certificate: Certificate) -> x509.SubjectAlternativeName:
    try:
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in dict.fromkeys(certificate.dns_names)]
    except ValueError:
        raise InvalidManifest(
            "a name is not ASCII: write it as an A-label (xn--…)", path="spec.dnsNames"
        ) from None
    try:
        names += [
            x509.IPAddress(ipaddress.ip_address(address))
            for address in dict.fromkeys(certificate.ip_addresses)
        ]
    except ValueError:
        raise InvalidManifest("a value is not a valid IP address", path="spec.ipAddresses") from None
    return x509.SubjectAlternativeName(names)


def _subject(certificate: Certificate) -> x509.Name:
    """One RDN for each type of attribute, in the order of Go's pkix.Name, as in cert-manager."""
    attributes = []
    for field, oid, values in _attributes(certificate.common_name, certificate.subject):
        try:
            unique = [x509.NameAttribute(oid, value) for value in dict.fromkeys(values)]
        except ValueError:
            raise InvalidManifest(
                "a value is of a length that X.509 does not allow for it", path=field
            ) from None
        if unique:
            attributes.append(x509.RelativeDistinguishedName(unique))
    return x509.Name(attributes)


def _literal_subject(text: str) -> x509.Name:
    """The RDNs in the order of spec.literalSubject."""
    try:
        return x509.Name(
            [
                x509.RelativeDistinguishedName(
                    [
                        x509.NameAttribute(ObjectIdentifier(identifier), value)
                        for identifier, value in relative
                    ]
                )
                for relative in parse_name(text)
            ]
        )
    except ValueError:
        raise InvalidManifest(
            "a value is of a length that X.509 does not allow for it", path="spec.literalSubject"
        ) from None


def _attributes(
    common_name: str, subject: Subject
) -> Iterator[tuple[str, ObjectIdentifier, tuple[str, ...]]]:
    yield "spec.subject.countries", NameOID.COUNTRY_NAME, subject.countries
    yield "spec.subject.organizations", NameOID.ORGANIZATION_NAME, subject.organizations
    yield "spec.subject.organizationalUnits", NameOID.ORGANIZATIONAL_UNIT_NAME, subject.organizational_units
    yield "spec.subject.localities", NameOID.LOCALITY_NAME, subject.localities
    yield "spec.subject.provinces", NameOID.STATE_OR_PROVINCE_NAME, subject.provinces
    yield "spec.subject.streetAddresses", NameOID.STREET_ADDRESS, subject.street_addresses
    yield "spec.subject.postalCodes", NameOID.POSTAL_CODE, subject.postal_codes
    yield "spec.commonName", NameOID.COMMON_NAME, (common_name,) if common_name else ()
    yield (
        "spec.subject.serialNumber",
        NameOID.SERIAL_NUMBER,
        (subject.serial_number,) if subject.serial_number else (),
    )


def _with_usages(
    builder: x509.CertificateSigningRequestBuilder, usages: tuple[str, ...]
) -> x509.CertificateSigningRequestBuilder:
    unknown = [usage for usage in usages if usage not in _KEY_USAGES and usage not in _EXTENDED_KEY_USAGES]
    if unknown:
        raise InvalidManifest(f"{unknown[0][:40]!r} is not a valid usage", path="spec.usages")
    wanted = {_KEY_USAGES[usage] for usage in usages if usage in _KEY_USAGES}
    if wanted:
        try:
            key_usage = x509.KeyUsage(
                **{name: name in wanted for name in dict.fromkeys(_KEY_USAGES.values())}
            )
        except ValueError:
            raise InvalidManifest(
                "'encipher only' and 'decipher only' need 'key agreement'", path="spec.usages"
            ) from None
        builder = builder.add_extension(key_usage, critical=True)
    extended = list(
        dict.fromkeys(_EXTENDED_KEY_USAGES[usage] for usage in usages if usage in _EXTENDED_KEY_USAGES)
    )
    return builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False) if extended else builder


def _hash(signature_algorithm: str, key: keys.PrivateKey) -> SHA256 | SHA384 | SHA512 | None:
    """The hash of spec.signatureAlgorithm; without one, the hash for the key's size, as in cert-manager. None
    for Ed25519 (RFC 8410 §3)."""
    is_ed25519 = isinstance(key, ed25519.Ed25519PrivateKey)
    if signature_algorithm and is_ed25519 is not (signature_algorithm == _PURE_ED25519):
        raise InvalidManifest(
            f"{signature_algorithm[:40]!r} does not suit the private key", path="spec.signatureAlgorithm"
        )
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return None
    if signature_algorithm:
        if signature_algorithm not in _HASHES or signature_algorithm.endswith("RSA") is not isinstance(
            key, rsa.RSAPrivateKey
        ):
            raise InvalidManifest(
                f"{signature_algorithm[:40]!r} does not suit the private key", path="spec.signatureAlgorithm"
            )
        return _HASHES[signature_algorithm]
    large, middle = (521, 384) if isinstance(key, ec.EllipticCurvePrivateKey) else (4096, 3072)
    return SHA512() if key.key_size >= large else SHA384() if key.key_size >= middle else SHA256()
