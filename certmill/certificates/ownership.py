"""Decides which Certificate owns a Secret that several Certificates name.

A Certificate from a manifest comes before one from a request. Among Certificates of the same origin, as in
cert-manager (reference §1.7), the owner is the one in the Secret's certificate-name annotation if it still
names the Secret; otherwise it is the oldest. The others wait.

Redis stores which Certificates name a Secret, each time one is reconciled. If Redis loses this, the
annotation still names the owner. A run that began before an older Certificate was observed stops at its next
step that uses the CA or DNS. Redis stores the creation times too: if a thousand Certificates name one Secret,
each reconciliation reads only the oldest ones from the home."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from certmill.errors import InvalidManifest, SecretUnusable
from certmill.home.base import Home
from certmill.home.requested import is_requested, marked
from certmill.model.annotations import CERTIFICATE_NAME
from certmill.model.certificate import Certificate
from certmill.model.names import certificate_id
from certmill.model.object_ref import CERTIFICATE, ObjectRef
from certmill.model.secret import Secret
from certmill.model.status import CertificateStatus, owner_of

if TYPE_CHECKING:  # the command imports `recorded_owner`; it does not need the imports of the steps
    from certmill.runs.ports import Ports

_AT_ONCE: Final = 10
_REQUESTED_FROM: Final = 1e12
"""Seconds. In Redis, the claim of a Certificate from a request has its creation time plus this number, so
that it sorts after all claims of manifests."""


def claim(ports: Ports, certificate: Certificate) -> bool:
    """Record that this Certificate names its Secret. Returns whether the Secret is contested: another
    Certificate has recently named it too."""
    return ports.snapshots.claim_secret(certificate.namespace, certificate.secret_name, certificate.name)


def named_owner(home: Home, certificate: Certificate, secret: Secret | None) -> str:
    """The other Certificate that the Secret's annotation names, if it still names this Secret and comes
    first. Otherwise ""."""
    named = secret.annotations.get(CERTIFICATE_NAME, "") if secret is not None else ""
    other = _with_same_secret(home, named, certificate) if named not in ("", certificate.name) else None
    return named if other is not None and is_requested(other) <= is_requested(certificate) else ""


def recorded_owner(
    home: Home, certificate: Certificate, secret: Secret | None, status: CertificateStatus
) -> str:
    """The other Certificate that owns the Secret, for read-only commands; "" if there is none.

    It is read from the Secret's annotation, otherwise from the status that a worker wrote, if that
    Certificate still names the Secret."""
    in_status = owner_of(status)
    return named_owner(home, certificate, secret) or (
        in_status if in_status and _with_same_secret(home, in_status, certificate) is not None else ""
    )


def other_owner(ports: Ports, certificate: Certificate, secret: Secret | None, *, is_contested: bool) -> str:
    """The name of the other Certificate that owns this one's Secret; "" if this Certificate owns it.
    `is_contested`: the answer of `claim`."""
    own = secret is not None and secret.annotations.get(CERTIFICATE_NAME) == certificate.name
    if own and not is_requested(certificate):
        return ""
    if not own and (named := named_owner(ports.home, certificate, secret)):
        return named
    return _first_rival(ports, certificate, only_manifests=own) if is_contested else ""


def refusal_of_request(ports: Ports, certificate: Certificate) -> str:
    """Why a request must not use the Secret that it names: another Certificate owns the Secret, or a
    Certificate from a manifest names it. "" if it may."""
    home, where = ports.home, f"Secret {certificate.namespace}/{certificate.secret_name}"
    try:
        existing = home.certificate(certificate.id)
        secret = home.secret(certificate.namespace, certificate.secret_name)
    except InvalidManifest:
        return ""  # the home refuses this request with its own message
    except SecretUnusable as error:
        return f"{where} exists and cannot be read ({error}); choose another name for it"
    if existing is not None and existing.secret_name == certificate.secret_name:
        return ""
    named = secret.annotations.get(CERTIFICATE_NAME, "") if secret is not None else certificate.name
    if named != certificate.name:
        whose = f"belongs to Certificate {named}" if named else "was not created by a request"
        return (
            f"{where} {whose}, and a request does not take it: choose another name for it, or have a "
            "manifest applied"
        )
    created = existing.created if existing is not None else 0.0
    rival = _first_rival(ports, replace(marked(certificate), created=created), only_manifests=True)
    return (
        f"{where} belongs to Certificate {rival}, which a manifest made; choose another name for it"
        if rival
        else ""
    )


def _first_rival(ports: Ports, certificate: Certificate, *, only_manifests: bool = False) -> str:
    """The first Certificate that comes before this one and names the same Secret; with `only_manifests`, the
    first from a manifest. "" if there is none. Claims of Certificates that no longer name the Secret are
    removed."""
    home, where = ports.home, (certificate.namespace, certificate.secret_name)
    own = (_rank(certificate), certificate.name)
    ports.snapshots.note_claims(*where, {certificate.name: own[0]})
    before = (_REQUESTED_FROM, "") if only_manifests else own
    while True:
        claims = ports.snapshots.oldest_claims(*where, _AT_ONCE)
        unknown = [name for name, rank in claims if not rank and name != certificate.name]
        new_ranks = {name: rank for name in unknown if (rank := _rank_of(home, name, certificate))}
        ports.snapshots.note_claims(*where, new_ranks)
        former = []
        for claim in sorted(
            (new_ranks.get(name, rank), name) for name, rank in claims if name != certificate.name
        ):
            if claim < before and _with_same_secret(home, claim[1], certificate) is not None:
                return claim[1]
            former += [claim[1]] if claim < before else []
        ports.snapshots.drop_claims(*where, former)
        if not former and not new_ranks:
            return ""


def _with_same_secret(home: Home, name: str, certificate: Certificate) -> Certificate | None:
    """The Certificate of this name if it names the same Secret, else None."""
    try:
        other = home.certificate(certificate_id(certificate.namespace, name))
    except InvalidManifest:
        return None
    return other if other is not None and other.secret_name == certificate.secret_name else None


def _rank_of(home: Home, name: str, certificate: Certificate) -> float:
    other = _with_same_secret(home, name, certificate)
    return (
        _rank(other)
        if other is not None
        else home.created(ObjectRef.of(CERTIFICATE, certificate.namespace, name)) or 0.0
    )


def _rank(certificate: Certificate) -> float:
    """When the Certificate was created (seconds since the epoch; 0: not known). A Certificate from a request
    sorts after all those from manifests."""
    return certificate.created + (_REQUESTED_FROM if is_requested(certificate) else 0.0)
