"""Computes the digest of the fields that a run depends on. Pure.

A run whose digest differs from the manifest's begins again. Checkpointed facts are valid only for the same
digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict

from certmill.model.certificate import Certificate
from certmill.model.issuer import Issuer


def digests(certificate: Certificate, issuers: Sequence[Issuer]) -> tuple[str, ...]:
    """The digest with each of these issuers, in their order; the digest without an issuer if there is none.
    A recorded digest that is one of these is that of an unchanged manifest."""
    return tuple(digest(certificate, issuer) for issuer in issuers) or (digest(certificate, None),)


def digest(certificate: Certificate, issuer: Issuer | None) -> str:
    """16 hex digits over everything that the order and its CSR depend on. Records and statuses store it, and
    other releases compare it: its text does not change."""
    ref = issuer.ref if issuer else certificate.issuer
    wanted = {
        "names": [str(identifier) for identifier in certificate.identifiers],
        "common_name": certificate.common_name,
        "issuer": [ref.kind, ref.name],
        "key": [certificate.private_key.algorithm, certificate.private_key.size],
        "subject": certificate.literal_subject or asdict(certificate.subject),
        "usages": sorted(certificate.usages) if certificate.encode_usages_in_request else [],
        "signature": certificate.signature_algorithm,
        "secret": certificate.secret_name,
        "server": issuer.server if issuer else "",
        "profile": issuer.profile if issuer else "",
        "duration": certificate.duration.total_seconds()
        if certificate.duration and issuer and issuer.enable_duration
        else None,
    }
    if certificate.is_ca:  # Added only if set, so that digests written by older releases stay valid.
        wanted["is_ca"] = True
    return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:16]
