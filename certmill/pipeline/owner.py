"""Who owns a Secret that several Certificates name, as at cert-manager (reference §1.7): the one in its certificate-name annotation if
it still wants the Secret, else the oldest. The others wait.

Which Certificates name a Secret is remembered in Redis as they are looked at. When that is lost, the annotation still tells; and what
began a run before an older one was seen gives way at the next step that would cost something.
"""

from __future__ import annotations

from certmill.errors import InvalidManifest
from certmill.home.base import Home
from certmill.model.annotations import CERTIFICATE_NAME
from certmill.model.certificate import Certificate
from certmill.model.names import certificate_id
from certmill.model.secret import Secret
from certmill.pipeline.context import Ports


def is_contested(ports: Ports, certificate: Certificate) -> bool:
    """Whether another Certificate has named this one's Secret."""
    return bool(_others(ports, certificate))


def named_owner(home: Home, certificate: Certificate, secret: Secret | None) -> str:
    """The other Certificate that the Secret was issued for, if that still wants it, else ""."""
    named = secret.annotations.get(CERTIFICATE_NAME, "") if secret is not None else ""
    return named if named not in ("", certificate.name) and _wants(home, named, certificate) else ""


def other_owner(ports: Ports, certificate: Certificate, secret: Secret | None) -> str:
    """The name of the other Certificate that owns this one's Secret; "" if it is this one's own."""
    others = _others(ports, certificate)
    if secret is not None and secret.annotations.get(CERTIFICATE_NAME) == certificate.name:
        return ""
    if named := named_owner(ports.home, certificate, secret):
        return named
    rivals = [name for name in others if _wants(ports.home, name, certificate)]
    oldest = min((certificate.name, *rivals), key=lambda name: (_created(ports.home, name, certificate), name)) if rivals else ""
    return "" if oldest == certificate.name else oldest


def _others(ports: Ports, certificate: Certificate) -> list[str]:
    names = ports.sightings.claim_secret(certificate.namespace, certificate.secret_name, certificate.name)
    return [name for name in names if name != certificate.name]


def _wants(home: Home, name: str, certificate: Certificate) -> bool:
    try:
        other = home.certificate(certificate_id(certificate.namespace, name))
    except InvalidManifest:
        return False
    return other is not None and other.secret_name == certificate.secret_name


def _created(home: Home, name: str, certificate: Certificate) -> float:
    return home.created("Certificate", certificate.namespace, name) or 0.0
