"""Builds X.509 certificates for tests."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID

_NOT_BEFORE = 1_800_000_000.0  # builders.NOW

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


def private_key(pem: bytes) -> PrivateKey:
    """The private key in a PEM text."""
    key = load_pem_private_key(pem, None)
    assert isinstance(key, PrivateKey)
    return key


def x509_name(
    common_name: str = "", attributes: Sequence[tuple[x509.ObjectIdentifier, str]] = ()
) -> x509.Name:
    """A subject or an issuer: the common name if it is not empty, then the attributes."""
    parts = [*([(NameOID.COMMON_NAME, common_name)] if common_name else ()), *attributes]
    return x509.Name([x509.NameAttribute(identifier, value) for identifier, value in parts])


def alternative_names(
    dns_names: Sequence[str] = (),
    ip_addresses: Sequence[str] = (),
    email_addresses: Sequence[str] = (),
    uris: Sequence[str] = (),
) -> list[x509.GeneralName]:
    """Subject alternative names, in this order."""
    return [
        *(x509.DNSName(name) for name in dns_names),
        *(x509.IPAddress(ip_address(address)) for address in ip_addresses),
        *(x509.RFC822Name(address) for address in email_addresses),
        *(x509.UniformResourceIdentifier(uri) for uri in uris),
    ]


def a_leaf(
    key: PrivateKey,
    *,
    public_key: PublicKey | None = None,
    subject: x509.Name | None = None,
    issuer: str = "Test Root",
    names: Sequence[x509.GeneralName] = (),
    not_before: float = _NOT_BEFORE,
    days: float = 90.0,
    serial: int | None = None,
    extensions: Sequence[x509.ExtensionType] = (),
) -> x509.Certificate:
    """A certificate for `public_key`, signed with `key`; without a public key it is for `key` itself.

    `not_before` is seconds since the epoch. No extension is critical. Without a serial number it is random.
    """
    begins = datetime.datetime.fromtimestamp(not_before, datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject or x509_name())
        .issuer_name(x509_name(issuer))
        .public_key(public_key or key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + datetime.timedelta(days=days))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())


def as_pem(certificate: x509.Certificate) -> bytes:
    """The PEM text of a certificate."""
    return certificate.public_bytes(Encoding.PEM)
