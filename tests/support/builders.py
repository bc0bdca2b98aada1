"""Values for tests, each with sensible defaults: a Certificate, an Issuer, a stored pair."""

from __future__ import annotations

import datetime
from dataclasses import replace
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from certmill.certificates.secret_contract import secret_of
from certmill.crypto import keys
from certmill.model.certificate import Certificate, IssuerRef, KeyAlgorithm, PrivateKeySpec
from certmill.model.issuer import Http01Solver, Issuer, SecretKeyRef, Solver

NOW = 1_800_000_000.0
DAY = 86_400.0
ECDSA = PrivateKeySpec(algorithm=KeyAlgorithm.ECDSA, size=256)


def a_certificate(**fields):
    """A Certificate default/web for web.example.test."""
    certificate = Certificate(
        namespace="default",
        name="web",
        secret_name="web-tls",
        issuer_ref=IssuerRef(name="prod", kind="ClusterIssuer"),
        dns_names=("web.example.test",),
        private_key=ECDSA,
    )
    return replace(certificate, **fields)


def an_issuer(**fields):
    """ClusterIssuer/prod with one HTTP-01 solver."""
    issuer = Issuer(
        kind="ClusterIssuer",
        namespace="",
        name="prod",
        server="https://ca.test/dir",
        private_key=SecretKeyRef(name="prod-account", key="tls.key"),
        solvers=(Solver(http01=Http01Solver()),),
    )
    return replace(issuer, **fields)


def a_chain(
    key_pem,
    *,
    dns_names=("web.example.test",),
    ip_addresses=(),
    email_addresses=(),
    common_name="",
    not_before=NOW,
    days=90.0,
    issuer="Test Root",
    attributes=(),
    others=(),
):
    """A self-made leaf for a key, PEM. `attributes`: (identifier, value) of its subject besides; `others`:
    more names."""
    key = keys.load(key_pem)
    at = datetime.datetime.fromtimestamp(not_before, datetime.UTC)
    names = [x509.DNSName(name) for name in dns_names] + [
        x509.IPAddress(ip_address(address)) for address in ip_addresses
    ]
    names += [*(x509.RFC822Name(address) for address in email_addresses), *others]
    subject = [*([(NameOID.COMMON_NAME, common_name)] if common_name else ()), *attributes]
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(identifier, value) for identifier, value in subject]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .not_valid_before(at)
        .not_valid_after(at + datetime.timedelta(days=days))
        .serial_number(x509.random_serial_number())
        .public_key(key.public_key())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, digest).public_bytes(Encoding.PEM)


def a_pair(certificate, **leaf):
    """The Secret of an issued pair for a Certificate."""
    key_pem = keys.generate(certificate.private_key)
    names = {
        "dns_names": certificate.dns_names,
        "ip_addresses": certificate.ip_addresses,
        "common_name": certificate.common_name,
    } | leaf
    return secret_of(certificate, a_chain(key_pem, **names), key_pem)
