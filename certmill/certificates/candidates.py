"""The candidate issuers of a Certificate, in order of preference: the issuer in spec.issuerRef, then those
that may take its place.

A run uses one candidate, and its record tells which one: `spec` is the digest of the Certificate with that
candidate. A manifest is unchanged if its digest with any candidate is the recorded one, and a stored pair is
right if any candidate issued it. So a further candidate is added here, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from certmill.certificates.digest import digest
from certmill.errors import InvalidManifest, Permanent
from certmill.model.annotations import FALLBACK_ISSUERS
from certmill.model.certificate import Certificate, IssuerRef
from certmill.model.fallback_issuers import fallback_issuers_in
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
    """The candidates as the manifest names them, without repetitions; some may not exist. Pure."""
    first = certificate.issuer_ref
    others = (
        ref for ref in certificate.fallback_issuers if _identity(certificate, ref) != certificate.issuer
    )
    return (first, *others)


def with_fallbacks(certificate: Certificate, candidates: Sequence[Candidate]) -> Certificate:
    """The Certificate with the fall-back issuers that apply to it: its own, or else those of the issuer in
    spec.issuerRef. `candidates`: in any order. Pure."""
    first = next((one.issuer for one in candidates if one.ref == certificate.issuer_ref), None)
    return _with_fallbacks(certificate, first)


def _with_fallbacks(certificate: Certificate, first: Issuer | None) -> Certificate:
    if first is None or certificate.fallback_issuers or FALLBACK_ISSUERS in certificate.annotations:
        return certificate
    refs = fallback_issuers_in(first.annotations, default_kind=first.kind).refs
    return replace(certificate, fallback_issuers=refs) if refs else certificate


def candidates_for(home: Issuers, certificate: Certificate) -> tuple[Candidate, ...]:
    """The candidates, at least one. The first is that of spec.issuerRef: if it does not exist, the run waits
    for it. Another one that does not exist, or is not valid, is left out.

    Raises InvalidManifest if the first is not valid, and HomeUnavailable."""
    first = _candidate(home, certificate, certificate.issuer_ref)
    found = [first]
    for ref in candidate_refs(_with_fallbacks(certificate, first.issuer))[1:]:
        with suppress(InvalidManifest):
            found.append(_candidate(home, certificate, ref))
    return tuple(one for one in found if one is first or one.issuer is not None)


def _candidate(home: Issuers, certificate: Certificate, ref: IssuerRef) -> Candidate:
    identity = _identity(certificate, ref)
    issuer = home.issuer(identity)
    return Candidate(ref=ref, identity=identity, spec=digest(certificate, issuer), issuer=issuer)


def _identity(certificate: Certificate, ref: IssuerRef) -> ObjectRef:
    return ref.within(certificate.namespace)


def candidate_of(candidates: Sequence[Candidate], spec: str) -> Candidate | None:
    """The candidate of a run whose record has this digest; None if the manifest has changed since the run
    began. Pure."""
    return next((candidate for candidate in candidates if candidate.spec == spec), None)


def run_first(candidates: Sequence[Candidate], spec: str) -> tuple[Candidate, ...]:
    """The candidates in their order, but first the one of the run under way, whose record has this digest.
    With "" there is no run. Pure."""
    return tuple(sorted(candidates, key=lambda candidate: candidate.spec != spec))


def next_candidate(candidates: Sequence[Candidate], spec: str) -> Candidate | None:
    """The candidate that comes after the one whose digest is `spec`; None if that is the last one, or none of
    them. `candidates`: in the order of preference. Pure."""
    specs = [candidate.spec for candidate in candidates]
    following = specs.index(spec) + 1 if spec in specs else len(specs)
    return candidates[following] if following < len(specs) else None


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
