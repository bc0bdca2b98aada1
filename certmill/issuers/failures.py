"""Decides which failed Certificates begin again before their back-off ends, when their issuer is reconciled
and is Ready.

A Certificate that failed because of the issuer begins again as soon as the issuer is Ready. A Certificate
that failed for another reason (the CA rejects a name) begins again only if the part of the issuer's spec that
this failure can depend on has changed since: that an issuer is Ready again says nothing about a name."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from certmill.errors import AccountRefused, CertmillError, NotFound, SecretUnusable, SolverMisconfigured
from certmill.model.issuer import Issuer
from certmill.model.names import CertificateId
from certmill.model.object_ref import ObjectRef
from certmill.runs.facts import Failure
from certmill.runs.ports import Ports

_BY_ISSUER = (AccountRefused, NotFound, SecretUnusable, SolverMisconfigured)


def is_by_issuer(error: CertmillError) -> bool:
    """Whether the issuer caused the error: its account is refused, or the issuer, a Secret or a solver is
    missing or wrong."""
    return isinstance(error, _BY_ISSUER)


def note(ports: Ports, certificate_id: CertificateId, failure: Failure, *, issuer: ObjectRef | None) -> None:
    """Record a failed run under its issuer. `issuer` is None if the run failed before it read the issuer:
    then it is the one in spec.issuerRef. Nothing is recorded if the home cannot find the Certificate. Raises
    StateUnavailable."""
    try:
        certificate = ports.home.certificate(certificate_id)
        if certificate is None:
            return
        ref = issuer or certificate.issuer
        found = ports.home.issuer(ref)
    except CertmillError:
        return
    spec = spec_digest(found) if found is not None and not failure.by_issuer else ""
    ports.issuer_records.note_failing(ref, certificate_id, now=ports.clock.now(), spec=spec)


def to_begin(ports: Ports, issuer: Issuer) -> Sequence[CertificateId]:
    """The failed Certificates of this issuer that begin again now. Raises StateUnavailable."""
    return ports.issuer_records.failing(issuer.ref, spec=spec_digest(issuer))


def spec_digest(issuer: Issuer) -> str:
    """A digest (16 hex digits) of what a failure can depend on that the issuer did not cause: how names are
    validated, by which CA, and for which account."""
    parts = (issuer.server, issuer.profile, issuer.external_account_binding, issuer.solvers)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
