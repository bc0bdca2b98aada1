"""Stores a temporary, self-signed pair in a Secret, so that a server can start TLS before the CA issues the
real pair.

A Certificate asks for it by an annotation. A challenge needs it where requests are redirected to HTTPS and
the server has no pair yet: the server then refuses the TLS handshake, and the CA cannot follow the redirect.
A temporary pair never replaces a pair that a server could use."""

from __future__ import annotations

from certmill.certificates import secret_contract
from certmill.crypto import keys
from certmill.crypto.temporary import temporary_pair
from certmill.errors import SecretUnusable
from certmill.home.base import Events, Home
from certmill.model.annotations import ISSUE_TEMPORARY_CERTIFICATE
from certmill.model.certificate import Certificate, RotationPolicy
from certmill.model.reason import UNSERVABLE
from certmill.model.secret import TLS_PRIVATE_KEY, Secret
from certmill.model.status import CertificateStatus
from certmill.renewal.observation import Observation, observe
from certmill.renewal.policy import violated

MESSAGE = "Issued temporary certificate"


def is_asked_for(certificate: Certificate) -> bool:
    """Whether the Certificate asks for a temporary pair. Then the Certificate is Ready with it, as in
    cert-manager."""
    return certificate.annotations.get(ISSUE_TEMPORARY_CERTIFICATE) == "true"


def is_ready(observation: Observation) -> bool:
    """Whether the Secret has a temporary pair that the Certificate asked for."""
    return (
        is_asked_for(observation.certificate)
        and observation.secret is not None
        and secret_contract.is_temporary(observation.secret)
    )


def read(home: Home, certificate: Certificate) -> tuple[Secret | None, str]:
    """(the Certificate's Secret or None, why it exists but cannot be used or "")."""
    try:
        return home.secret(certificate.namespace, certificate.secret_name), ""
    except SecretUnusable as error:
        return None, str(error)


def store_if_unservable(home: Home, events: Events, certificate: Certificate, *, now: float) -> bool:
    """Store a temporary pair if the Secret has no pair that a server could use. Returns whether it was
    stored."""
    secret, unusable = read(home, certificate)
    return store(
        home, events, observe(certificate, secret, CertificateStatus(), ("",), unusable=unusable), now=now
    )


def store(home: Home, events: Events, observation: Observation, *, now: float) -> bool:
    """Store a temporary pair as `store_if_unservable` does, from an earlier observation. Returns whether it
    was stored. If the Secret has changed since, for example because a run has ended, nothing is written."""
    certificate, violation = observation.certificate, violated(observation, now)
    if violation is None or violation.reason not in UNSERVABLE or _has_usable_key(observation):
        return False
    pem, key_pem = temporary_pair(certificate, now=now)
    secret, made = secret_contract.secret_of(certificate, pem, key_pem, issuer=None), True
    if observation.secret is None and not observation.unusable:
        made = home.create_secret(secret)
    elif read(home, certificate)[0] == observation.secret:
        home.write_secret(secret)
    else:
        made = False
    if made:
        events.record_event(certificate, "Issuing", MESSAGE)
    return made


def _has_usable_key(observation: Observation) -> bool:
    """Whether the Secret has a key without a certificate and rotationPolicy is Never. The user may have put
    the key there, so it must not be replaced."""
    if (
        observation.certificate.private_key.rotation_policy is not RotationPolicy.NEVER
        or observation.secret is None
    ):
        return False
    try:
        keys.load(observation.secret.data.get(TLS_PRIVATE_KEY, b""))
    except SecretUnusable:
        return False
    return True
