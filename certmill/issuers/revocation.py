"""Revokes the stored certificate of a Certificate at the CA that issued it (RFC 8555 §7.6), and notes it in
the Certificate's status.

The process that revokes needs the account key or the certificate's key, so it works on the home itself and
no message asks for a revocation: a producer of requests must not be able to revoke a certificate. Redis is
not used, so a certificate can be revoked while Redis does not answer."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, replace

from certmill.acme.client import AcmeClient
from certmill.certificates import secret_contract, statuses
from certmill.crypto import chain
from certmill.errors import NotFound, SecretUnusable
from certmill.issuers import account
from certmill.model.annotations import ISSUER_KIND, ISSUER_NAME
from certmill.model.certificate import Certificate
from certmill.model.issuer import Issuer
from certmill.model.object_ref import ObjectRef
from certmill.model.revocation import Revocation, RevocationReason, SigningKey
from certmill.model.secret import TLS_CERTIFICATE, TLS_PRIVATE_KEY, Secret
from certmill.model.status import CertificateStatus
from certmill.observe import certificates
from certmill.runs.ports import Ports


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """The result: `is_new` is False if the CA says that the certificate was revoked before."""

    revocation: Revocation
    issuer: Issuer
    is_new: bool


def stored_leaf(ports: Ports, certificate: Certificate) -> chain.Leaf:
    """The certificate that `revoke` revokes. Raises NotFound, SecretUnusable."""
    return chain.leaf(_issued_pair(ports, certificate).data[TLS_CERTIFICATE])


def revoke(
    ports: Ports, certificate: Certificate, *, reason: RevocationReason, signed_by: SigningKey
) -> Revoked:
    """Revoke the stored certificate, and note it in the status. The Secret stays.

    A call for a certificate that is revoked already succeeds. A status that has the compromised key of an
    earlier call keeps that reason. Raises NotFound (no certificate, no issuer), SecretUnusable,
    AccountRefused, OrderRefused, NameRefused, CAUnavailable, RateLimited and the errors of the home."""
    secret = _issued_pair(ports, certificate)
    issuer = _issuer_of(ports, certificate, secret)
    leaf = chain.leaf(secret.data[TLS_CERTIFICATE])
    by_key = signed_by is SigningKey.CERTIFICATE
    acme = _by_certificate_key(ports, issuer, secret) if by_key else account.client(ports, issuer)
    der = ssl.PEM_cert_to_DER_cert(chain.split(secret.data[TLS_CERTIFICATE])[0].decode())
    is_new = acme.revoke(der, reason=reason.code, by_key=by_key)
    found = Revocation(serial=leaf.serial, public_key=leaf.public_key, reason=reason, at=ports.clock.now())

    def noted(status: CertificateStatus) -> CertificateStatus:
        return replace(status, revoked=_kept(status.revoked, found))

    revocation = _kept(statuses.update(ports.home, certificate.id, noted).revoked, found)
    _tell(ports, certificate, revocation, signed_by=signed_by, is_new=is_new)
    return Revoked(revocation=revocation, issuer=issuer, is_new=is_new)


def _kept(before: Revocation | None, now: Revocation) -> Revocation:
    """The earlier revocation of the same certificate, unless the new one says that the key is compromised."""
    if before is None or before.serial != now.serial:
        return now
    return now if now.is_key_compromised and not before.is_key_compromised else before


def _tell(
    ports: Ports, certificate: Certificate, revocation: Revocation, *, signed_by: SigningKey, is_new: bool
) -> None:
    certificates.revoked(
        certificate.id,
        serial=revocation.serial,
        reason=revocation.reason.value,
        signed_by=signed_by.value,
        is_new=is_new,
    )
    if is_new:
        message = f"The certificate with serial {revocation.serial} was revoked ({revocation.reason.value})"
        ports.events.record_event(certificate, "Revoked", message, warning=True)


def _issued_pair(ports: Ports, certificate: Certificate) -> Secret:
    """The Secret with the certificate of a CA. Raises NotFound if there is none, SecretUnusable."""
    where = f"Secret {certificate.namespace}/{certificate.secret_name}"
    secret = ports.home.secret(certificate.namespace, certificate.secret_name)
    if secret is None or not secret.data.get(TLS_CERTIFICATE):
        raise NotFound(f"{where} has no certificate, so there is nothing to revoke")
    if secret_contract.is_temporary(secret):
        raise NotFound(f"{where} has a temporary certificate, which no CA issued: nothing to revoke")
    return secret


def _issuer_of(ports: Ports, certificate: Certificate, secret: Secret) -> Issuer:
    """The issuer that the Secret names: the manifest may name another one since. Raises NotFound."""
    ref = certificate.issuer
    if name := secret.annotations.get(ISSUER_NAME):
        kind = secret.annotations.get(ISSUER_KIND) or "Issuer"
        ref = ObjectRef.of(kind, certificate.namespace, name)
    issuer = ports.home.issuer(ref)
    if issuer is None:
        raise NotFound(f"{ref}, which issued the certificate, is not there; apply it, and revoke again")
    return issuer


def _by_certificate_key(ports: Ports, issuer: Issuer, secret: Secret) -> AcmeClient:
    """A client that signs with the certificate's private key. Raises SecretUnusable."""
    try:
        return ports.clients.client(issuer, secret.data.get(TLS_PRIVATE_KEY, b""), None)
    except SecretUnusable:
        raise SecretUnusable(
            f"the private key in Secret {secret.namespace}/{secret.name} cannot sign the request (ACME needs "
            "RSA or ECDSA); revoke by the key of the account"
        ) from None
