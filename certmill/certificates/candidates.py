"""The candidate issuers of a Certificate, in order of preference: today one, the issuer in spec.issuerRef.

A run uses one candidate and records which one. A stored pair is right if any candidate issued it, and a
manifest is unchanged if its digest with any candidate is the recorded one. So a further candidate is added
here, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

from certmill.home.base import Manifests
from certmill.model.certificate import Certificate, IssuerRef
from certmill.model.issuer import Issuer
from certmill.model.object_ref import ObjectRef


def candidate_refs(certificate: Certificate) -> tuple[IssuerRef, ...]:
    """The candidates as the manifest names them; some may not exist. Pure."""
    return (certificate.issuer_ref,)


def issuers_for(home: Manifests, certificate: Certificate) -> tuple[Issuer, ...]:
    """The candidates that exist. Raises InvalidManifest if one is not valid, and HomeUnavailable."""
    found = (home.issuer(ref.within(certificate.namespace)) for ref in candidate_refs(certificate))
    return tuple(issuer for issuer in found if issuer is not None)


def issuer_of_run(issuers: Sequence[Issuer], begun_with: ObjectRef) -> Issuer | None:
    """The candidate with which a run goes on: the one that it began with, else the first. None if there is no
    candidate. Pure."""
    return next((issuer for issuer in issuers if issuer.ref == begun_with), next(iter(issuers), None))
