"""The candidate issuers of a Certificate, in order of preference: the issuer in spec.issuerRef, then those
that may take its place.

A run uses one candidate, and its record tells which one: `spec` is the digest of the Certificate with that
candidate. A manifest is unchanged if its digest with any candidate is the recorded one, and a stored pair is
right if any candidate issued it. So a further candidate is added here, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from certmill.certificates.digest import digest
from certmill.errors import InvalidManifest, Permanent
from certmill.model.certificate import Certificate, IssuerRef
from certmill.model.issuer import Issuer
from certmill.model.object_ref import CLUSTER_ISSUER, ISSUER, ObjectRef


class Issuers(Protocol):
    """Where the issuers are read: the part of a home that this module needs."""

    def issuer(self, ref: ObjectRef) -> Issuer | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An issuer that may issue a Certificate. `ref`: as the manifest names it; `identity`: the object that
    this means. `spec`: the digest of the Certificate with this issuer. `issuer` is None if it does not exist;
    only the first candidate may be missing."""

    ref: IssuerRef
    identity: ObjectRef
    spec: str
    issuer: Issuer | None = None


def candidate_refs(certificate: Certificate) -> tuple[IssuerRef, ...]:
    """The candidates as the manifest names them; some may not exist. Pure."""
    return (certificate.issuer_ref, *certificate.fallback_issuers)


def candidates_for(home: Issuers, certificate: Certificate) -> tuple[Candidate, ...]:
    """The candidates, at least one. The first is that of spec.issuerRef: if it does not exist, the run waits
    for it. Another one that does not exist, or is not valid, is left out.

    Raises InvalidManifest if the first is not valid, and HomeUnavailable."""
    first, *others = candidate_refs(certificate)
    found = [_candidate(home, certificate, first)]
    for ref in others:
        with suppress(InvalidManifest):
            found.append(_candidate(home, certificate, ref))
    return tuple(one for one in found if one is found[0] or one.issuer is not None)


def _candidate(home: Issuers, certificate: Certificate, ref: IssuerRef) -> Candidate:
    identity = ref.within(certificate.namespace)
    issuer = home.issuer(identity)
    return Candidate(ref=ref, identity=identity, spec=digest(certificate, issuer), issuer=issuer)


def candidate_of(candidates: Sequence[Candidate], spec: str) -> Candidate | None:
    """The candidate of a run whose record has this digest; None if the manifest has changed since the run
    began. Pure."""
    return next((candidate for candidate in candidates if candidate.spec == spec), None)


def run_first(candidates: Sequence[Candidate], spec: str) -> tuple[Candidate, ...]:
    """The candidates in their order, but first the one of the run under way, whose record has this digest.
    With "" there is no run. Pure."""
    return tuple(sorted(candidates, key=lambda candidate: candidate.spec != spec))


def ref_of(certificate: Certificate, issuer: ObjectRef) -> IssuerRef:
    """The candidate as the manifest names it: the Secret's annotations repeat its spelling. Pure."""
    refs = candidate_refs(certificate)
    return next((ref for ref in refs if ref.within(certificate.namespace) == issuer), refs[0])


def apply_it(home: Issuers, certificate: Certificate) -> str:
    """What to do if the issuer of a Certificate does not exist: apply it; or, if there is one of the same
    name and the other kind, name that kind. A manifest without `issuerRef.kind` means an Issuer."""
    wanted = certificate.issuer_ref.within(certificate.namespace)
    other = ISSUER if wanted.kind == CLUSTER_ISSUER else CLUSTER_ISSUER
    with suppress(Permanent):
        if home.issuer(ObjectRef.of(other, certificate.namespace, wanted.name)) is not None:
            return f"apply it, or set spec.issuerRef.kind to {other}, of which there is one of this name"
    return "apply it"
