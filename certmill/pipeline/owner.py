"""Who owns a Secret that several Certificates name, as at cert-manager (reference §1.7): the one in its certificate-name annotation if
it still wants the Secret, else the oldest. The others wait.

Which Certificates name a Secret is remembered in Redis as they are looked at. When that is lost, the annotation still tells; and what
began a run before an older one was seen gives way at the next step that would cost something. Their ages are remembered too: of a thousand
that name one Secret each look asks the home about the oldest only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from certmill.errors import InvalidManifest
from certmill.home.base import Home
from certmill.model.annotations import CERTIFICATE_NAME
from certmill.model.certificate import Certificate
from certmill.model.names import certificate_id
from certmill.model.secret import Secret

if TYPE_CHECKING:  # `named_owner` is also the command's, which does not wait for all that a step may use
    from certmill.pipeline.context import Ports

_AT_ONCE: Final = 10


def is_contested(ports: Ports, certificate: Certificate) -> bool:
    """Whether another Certificate has named this one's Secret."""
    return ports.sightings.claim_secret(certificate.namespace, certificate.secret_name, certificate.name)


def named_owner(home: Home, certificate: Certificate, secret: Secret | None) -> str:
    """The other Certificate that the Secret was issued for, if that still wants it, else ""."""
    named = secret.annotations.get(CERTIFICATE_NAME, "") if secret is not None else ""
    return named if named not in ("", certificate.name) and _wants(home, named, certificate) else ""


def other_owner(ports: Ports, certificate: Certificate, secret: Secret | None) -> str:
    """The name of the other Certificate that owns this one's Secret; "" if it is this one's own."""
    contested = is_contested(ports, certificate)
    if secret is not None and secret.annotations.get(CERTIFICATE_NAME) == certificate.name:
        return ""
    if named := named_owner(ports.home, certificate, secret):
        return named
    return _oldest_rival(ports, certificate) if contested else ""


def _oldest_rival(ports: Ports, certificate: Certificate) -> str:
    """The oldest Certificate before this one that wants its Secret; those before it that want it no more are forgotten."""
    where, own = (certificate.namespace, certificate.secret_name), (_created(ports.home, certificate.name, certificate), certificate.name)
    ports.sightings.note_claims(*where, {certificate.name: own[0]})
    while True:
        claims = ports.sightings.oldest_claims(*where, _AT_ONCE)
        unknown = [name for name, created in claims if not created and name != certificate.name]
        learnt = {name: created for name in unknown if (created := _created(ports.home, name, certificate))}
        ports.sightings.note_claims(*where, learnt)
        former = []
        for claim in sorted((learnt.get(name, created), name) for name, created in claims):
            if claim < own and _wants(ports.home, claim[1], certificate):
                return claim[1]
            former += [claim[1]] if claim < own else []
        ports.sightings.drop_claims(*where, former)
        if not former and not learnt:
            return ""


def _wants(home: Home, name: str, certificate: Certificate) -> bool:
    try:
        other = home.certificate(certificate_id(certificate.namespace, name))
    except InvalidManifest:
        return False
    return other is not None and other.secret_name == certificate.secret_name


def _created(home: Home, name: str, certificate: Certificate) -> float:
    return home.created("Certificate", certificate.namespace, name) or 0.0
