"""Computes the digest of the fields that a run depends on. Pure.

A run whose digest differs from the manifest's begins again. Checkpointed facts are valid only for the same
digest.

The issuer is one of these fields: an order cannot be continued with another account or at another server. The
digest of a run therefore also tells which candidate issuer it uses (candidates)."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Hashable
from dataclasses import asdict
from typing import Final

from cachetools import LRUCache, cached

from certmill.model.certificate import Certificate
from certmill.model.issuer import Issuer

_MOST: Final = 1024


def _parts(certificate: Certificate, issuer: Issuer | None) -> Hashable:
    """Every value that `digest` reads."""
    return (
        certificate.dns_names,
        certificate.ip_addresses,
        certificate.common_name,
        issuer.ref if issuer else certificate.issuer,
        certificate.private_key,
        certificate.literal_subject,
        certificate.subject,
        certificate.usages,
        certificate.encode_usages_in_request,
        certificate.signature_algorithm,
        certificate.secret_name,
        certificate.duration,
        certificate.is_ca,
        (issuer.server, issuer.profile, issuer.enable_duration) if issuer else None,
    )


@cached(LRUCache[Hashable, str](_MOST), key=_parts, lock=threading.Lock())  # each step of a run asks for it
def digest(certificate: Certificate, issuer: Issuer | None) -> str:
    """16 hex digits over everything that the order and its CSR depend on. `issuer` is None if the one in
    spec.issuerRef does not exist. Records and statuses store the digest, and other releases compare it: its
    text does not change."""
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
