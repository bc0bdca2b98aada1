"""A test CA: certificates as an ACME CA issues them."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOT_BEFORE = datetime(2027, 1, 1, tzinfo=UTC)
NOT_AFTER = datetime(2027, 4, 1, tzinfo=UTC)


class CA:
    """Issues for any public key; `root` names the issuer of the chain's intermediate."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())

    def certificate(
        self, public_key, *, subject="", issuer="Test Intermediate", names=(), serial=0x1F, extensions=()
    ):
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, subject)] if subject else []
        builder = (
            x509.CertificateBuilder()
            .issuer_name(x509.Name(issuer_name(issuer)))
            .subject_name(x509.Name(attributes))
            .public_key(public_key)
            .serial_number(serial)
            .not_valid_before(NOT_BEFORE)
            .not_valid_after(NOT_AFTER)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def chain(self, key_pem, *, dns_names=(), ip_addresses=(), uris=(), common_name="", root="Test Root"):
        """Leaf and one intermediate."""
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in dns_names]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in ip_addresses]
        names += [x509.UniformResourceIdentifier(uri) for uri in uris]
        public_key = serialization.load_pem_private_key(key_pem, None).public_key()
        leaf = self.certificate(public_key, subject=common_name, names=names)
        return leaf + self.certificate(
            self.key.public_key(), subject="Test Intermediate", issuer=root, serial=2
        )


def issuer_name(common_name):
    return [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []


@pytest.fixture(scope="session")
def ca():
    return CA()
