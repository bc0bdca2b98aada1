"""Values for tests, each with sensible defaults: a Certificate, an Issuer, a stored pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cryptography.x509 import GeneralName, ObjectIdentifier

from certmill.certificates.secret_contract import secret_of
from certmill.crypto import keys
from certmill.model.certificate import Certificate, IssuerRef, KeyAlgorithm, PrivateKeySpec
from certmill.model.issuer import Http01Solver, Issuer, SecretKeyRef, Solver
from certmill.model.secret import Secret
from tests.support.certificates import a_leaf, alternative_names, as_pem, private_key, x509_name

NOW = 1_800_000_000.0
DAY = 86_400.0
ECDSA = PrivateKeySpec(algorithm=KeyAlgorithm.ECDSA, size=256)


def a_certificate(**fields: Any) -> Certificate:
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


def an_issuer(**fields: Any) -> Issuer:
    """ClusterIssuer/prod with one HTTP-01 solver. Its account has an ECDSA key, because an RSA key takes
    0.1 s of CPU."""
    issuer = Issuer(
        kind="ClusterIssuer",
        namespace="",
        name="prod",
        server="https://ca.test/dir",
        private_key=SecretKeyRef(name="prod-account", key="tls.key"),
        account_key_algorithm="ECDSA-256",
        solvers=(Solver(http01=Http01Solver()),),
    )
    return replace(issuer, **fields)


def a_chain(
    key_pem: bytes,
    *,
    dns_names: Sequence[str] = ("web.example.test",),
    ip_addresses: Sequence[str] = (),
    email_addresses: Sequence[str] = (),
    common_name: str = "",
    not_before: float = NOW,
    days: float = 90.0,
    issuer: str = "Test Root",
    attributes: Sequence[tuple[ObjectIdentifier, str]] = (),
    others: Sequence[GeneralName] = (),
) -> bytes:
    """A leaf certificate for a key, as PEM. `attributes`: more (identifier, value) pairs of its subject;
    `others`: more names."""
    names = [*alternative_names(dns_names, ip_addresses, email_addresses), *others]
    leaf = a_leaf(
        private_key(key_pem),
        subject=x509_name(common_name, attributes),
        issuer=issuer,
        names=names,
        not_before=not_before,
        days=days,
    )
    return as_pem(leaf)


def a_pair(certificate: Certificate, **leaf: Any) -> Secret:
    """The Secret of an issued pair for a Certificate."""
    key_pem = keys.generate(certificate.private_key)
    names: dict[str, Any] = {
        "dns_names": certificate.dns_names,
        "ip_addresses": certificate.ip_addresses,
        "common_name": certificate.common_name,
    } | leaf
    return secret_of(certificate, a_chain(key_pem, **names), key_pem, issuer=certificate.issuer_ref)
