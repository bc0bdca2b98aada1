"""Who owns a Secret that several Certificates name. What a manifest made comes before what a request made; of
these, as at cert-manager (reference §1.7), the one in the Secret's certificate-name annotation if it still
wants the Secret, else the oldest. The others wait.

Which Certificates name a Secret is remembered in Redis as they are looked at. When that is lost, the
annotation still tells; and what began a run before an older one was seen gives way at the next step that
would cost something. Their ages are remembered too: of a thousand that name one Secret each look asks the
home about the oldest only."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from certmill.errors import InvalidManifest, SecretUnusable
from certmill.home.base import Home
from certmill.home.requested import is_requested, marked
from certmill.model.annotations import CERTIFICATE_NAME
from certmill.model.certificate import Certificate
from certmill.model.names import certificate_id
from certmill.model.secret import Secret
from certmill.model.status import CertificateStatus, owner_of

if TYPE_CHECKING:  # `recorded_owner` is the command's, which does not wait for all that a step may use
    from certmill.runs.context import Ports

_AT_ONCE: Final = 10
_REQUESTED_FROM: Final = 1e12
"""Seconds: the claims of Certificates that requests made are kept in Redis as this much later than they were
made."""


def is_contested(ports: Ports, certificate: Certificate) -> bool:
    """Whether another Certificate has named this one's Secret."""
    return ports.snapshots.claim_secret(certificate.namespace, certificate.secret_name, certificate.name)


def named_owner(home: Home, certificate: Certificate, secret: Secret | None) -> str:
    """The other Certificate that the Secret was issued for, if that still wants it and comes first, else
    ""."""
    named = secret.annotations.get(CERTIFICATE_NAME, "") if secret is not None else ""
    other = _wanting(home, named, certificate) if named not in ("", certificate.name) else None
    return named if other is not None and is_requested(other) <= is_requested(certificate) else ""


def recorded_owner(
    home: Home, certificate: Certificate, secret: Secret | None, status: CertificateStatus
) -> str:
    """The other Certificate that the Secret belongs to, for those who only look: as the Secret says, else as
    a worker has noted in the status, as long as that Certificate wants the Secret. "" if there is none."""
    told = owner_of(status)
    return named_owner(home, certificate, secret) or (
        told if told and _wanting(home, told, certificate) is not None else ""
    )


def other_owner(ports: Ports, certificate: Certificate, secret: Secret | None) -> str:
    """The name of the other Certificate that owns this one's Secret; "" if it is this one's own."""
    contested = is_contested(ports, certificate)
    own = secret is not None and secret.annotations.get(CERTIFICATE_NAME) == certificate.name
    if own and not is_requested(certificate):
        return ""
    if not own and (named := named_owner(ports.home, certificate, secret)):
        return named
    return _first_rival(ports, certificate, only_manifests=own) if contested else ""


def refusal_of_request(ports: Ports, certificate: Certificate) -> str:
    """Why a request may not have the Secret it asks for: it is another's, or a Certificate of a manifest
    wants it. "" if it may."""
    home, where = ports.home, f"Secret {certificate.namespace}/{certificate.secret_name}"
    try:
        existing = home.certificate(certificate.id)
        secret = home.secret(certificate.namespace, certificate.secret_name)
    except InvalidManifest:
        return ""  # the home refuses it
    except SecretUnusable as error:
        return f"{where} is there and cannot be read ({error}); choose another name for it"
    if existing is not None and existing.secret_name == certificate.secret_name:
        return ""
    named = secret.annotations.get(CERTIFICATE_NAME, "") if secret is not None else certificate.name
    if named != certificate.name:
        whose = f"belongs to Certificate {named}" if named else "was made by nobody's request"
        return (
            f"{where} {whose}, and a request does not take it: choose another name for it, or have a "
            "manifest applied"
        )
    created = existing.created if existing is not None else 0.0
    rival = _first_rival(ports, replace(marked(certificate)[0], created=created), only_manifests=True)
    return (
        f"{where} belongs to Certificate {rival}, which a manifest made; choose another name for it"
        if rival
        else ""
    )


def _first_rival(ports: Ports, certificate: Certificate, *, only_manifests: bool = False) -> str:
    """The first Certificate before this one that wants its Secret, or the first that a manifest made; those
    before it that want it no more are forgotten."""
    home, where = ports.home, (certificate.namespace, certificate.secret_name)
    own = (_rank(certificate), certificate.name)
    ports.snapshots.note_claims(*where, {certificate.name: own[0]})
    before = (_REQUESTED_FROM, "") if only_manifests else own
    while True:
        claims = ports.snapshots.oldest_claims(*where, _AT_ONCE)
        unknown = [name for name, rank in claims if not rank and name != certificate.name]
        learnt = {name: rank for name in unknown if (rank := _rank_of(home, name, certificate))}
        ports.snapshots.note_claims(*where, learnt)
        former = []
        for claim in sorted(
            (learnt.get(name, rank), name) for name, rank in claims if name != certificate.name
        ):
            if claim < before and _wanting(home, claim[1], certificate) is not None:
                return claim[1]
            former += [claim[1]] if claim < before else []
        ports.snapshots.drop_claims(*where, former)
        if not former and not learnt:
            return ""


def _wanting(home: Home, name: str, certificate: Certificate) -> Certificate | None:
    """The Certificate of this name, if it wants the same Secret."""
    try:
        other = home.certificate(certificate_id(certificate.namespace, name))
    except InvalidManifest:
        return None
    return other if other is not None and other.secret_name == certificate.secret_name else None


def _rank_of(home: Home, name: str, certificate: Certificate) -> float:
    other = _wanting(home, name, certificate)
    return (
        _rank(other) if other is not None else home.created("Certificate", certificate.namespace, name) or 0.0
    )


def _rank(certificate: Certificate) -> float:
    """When it was created (0: not known), after all that manifests made if a request made it."""
    return certificate.created + (_REQUESTED_FROM if is_requested(certificate) else 0.0)
