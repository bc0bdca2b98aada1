"""A temporary certificate and key for the same names, so that a server can start TLS before the CA has issued
the real certificate. No client trusts its issuer."""

from __future__ import annotations

from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from certmill.clock import instant
from certmill.crypto import csr, keys
from certmill.model.certificate import Certificate

ISSUER = "cert-manager.local"
"""The issuer's common name, as in cert-manager: people and monitoring recognise a temporary certificate by
it."""

_LIFETIME = timedelta(days=90)
_BEFORE = timedelta(minutes=5)


def temporary_pair(certificate: Certificate, *, now: float) -> tuple[bytes, bytes]:
    """(certificate, key), PEM, with a new key of the type in the manifest. Raises InvalidManifest for a field
    that cannot be encoded."""
    key_pem = keys.generate(certificate.private_key)
    request = x509.load_der_x509_csr(csr.build(certificate, key_pem))
    began = instant(now) - _BEFORE
    builder = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ISSUER)]))
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(began)
        .not_valid_after(began + _LIFETIME)
    )
    for extension in request.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), SHA256()).public_bytes(Encoding.PEM), key_pem
