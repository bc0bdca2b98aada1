"""Checks before they are needed whether the fall-back issuers of a Certificate could issue it. Only reads."""

from __future__ import annotations

from collections.abc import Iterator

from certmill.acme.challenges import DNS01, HTTP01
from certmill.certificates.candidates import candidates_for, with_fallbacks
from certmill.errors import CertmillError, InvalidManifest, SolverMisconfigured
from certmill.home.base import Home
from certmill.issuers.credentials import missing_solver_secrets
from certmill.model.annotations import FALLBACK_ISSUERS
from certmill.model.certificate import Certificate
from certmill.model.fallback_issuers import fallback_issuers_in
from certmill.model.issuer import Issuer
from certmill.model.names import Identifier, IdentifierType
from certmill.model.object_ref import ISSUER, ObjectRef
from certmill.steps import solvers


def fallback_faults(home: Home, certificate: Certificate) -> tuple[str, ...]:
    """What would keep the fall-back issuers from issuing this Certificate: one line for each fault. () if it
    has none. Raises HomeUnavailable."""
    try:
        candidates = candidates_for(home, certificate)
    except InvalidManifest:  # the first issuer: the Certificate's status says so
        return ()
    first = candidates[0].issuer
    resolved = with_fallbacks(certificate, candidates)
    found = [*_faults_of_annotation(certificate, first)]
    for ref in resolved.fallback_issuers:
        found += _faults(home, certificate, ref.within(certificate.namespace))
    return tuple(found)


def _faults_of_annotation(certificate: Certificate, first: Issuer | None) -> Iterator[str]:
    if FALLBACK_ISSUERS in certificate.annotations or first is None:
        where, annotations, kind = "", certificate.annotations, ISSUER
    else:
        where, annotations, kind = f" of {first.reference}", first.annotations, first.kind
    for fault in fallback_issuers_in(annotations, default_kind=kind).faults:
        yield f"the annotation {FALLBACK_ISSUERS}{where}: {fault}"


def _faults(home: Home, certificate: Certificate, ref: ObjectRef) -> Iterator[str]:
    if ref == certificate.issuer:
        yield f"{ref} is the issuer of the Certificate itself, so it is no fall-back issuer"
        return
    try:
        issuer = home.issuer(ref)
    except InvalidManifest as error:
        yield f"the fall-back issuer {ref} cannot be used: {error}"
        return
    if issuer is None:
        yield f"the fall-back issuer {ref} does not exist: apply it, or take it from the list"
        return
    if fault := _fault_of_account(home, issuer):
        yield f"the fall-back issuer {ref} {fault}"
    for identifier in certificate.identifiers:
        if not _has_solver(issuer, identifier, certificate):
            yield f"the fall-back issuer {ref} has no solver for {identifier}: add one to its spec"


def _fault_of_account(home: Home, issuer: Issuer) -> str:
    """Why the issuer cannot create an order now; "" if it can."""
    ready = home.issuer_status(issuer).condition("Ready")
    if ready is None:
        return "has no account yet: no worker has registered it"
    if not ready.status:
        return f"is not ready: {ready.message}"
    try:
        missing = missing_solver_secrets(home, issuer)
    except CertmillError as error:
        missing = str(error)
    return f"has a solver that cannot work: {missing}" if missing else ""


def _has_solver(issuer: Issuer, identifier: Identifier, certificate: Certificate) -> bool:
    """Whether a solver of the issuer is for this identifier. A wildcard needs dns-01 (RFC 8555 §8.4 and Let's
    Encrypt's rule), an IP address http-01 (RFC 8738 §7)."""
    if identifier.type is IdentifierType.IP:
        offered = {HTTP01}
    else:
        offered = {DNS01} if identifier.is_wildcard else {HTTP01, DNS01}
    try:
        solvers.pick(issuer, identifier.value, labels=certificate.labels, offered=offered)
    except SolverMisconfigured:
        return False
    return True
