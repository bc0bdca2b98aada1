"""An Ingress of our own that leads the CA's request for one name to the responder, as NGINX takes it into a
VirtualServer too. Pure.

One rule, one path, a port that is a number, and the label of cert-manager's solver Ingresses. Each
Certificate has its own for a name, owned by it, so that nobody has to count who else needs it.

The path is that of one token. The responder serves every namespace: one for all tokens would let a stranger
have the host validated, for as long as it is open, and an ingress controller may keep it for seconds after it
was closed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

from certmill.http01.base import WELL_KNOWN_PATH
from certmill.http01.route_choice import OwnIngress
from certmill.http01.service import MANAGED_BY, SERVICE_NAME, SERVICE_PORT
from certmill.kube.objects import JsonObject, meta_of
from certmill.kube.resources import CERTIFICATES, INGRESSES
from certmill.model.certificate import Certificate
from certmill.model.identifiers import is_ip_address
from certmill.model.names import CertificateId

SOLVER_LABEL: Final = "acme.cert-manager.io/http01-solver"
"""NGINX takes an Ingress with this label, "true", into the VirtualServer of its host; without it the host is
taken."""

CERTIFICATE_ANNOTATION: Final = "certmill.io/certificate-name"
"""Which Certificate a solver Ingress is for."""

CLASS_ANNOTATION: Final = "kubernetes.io/ingress.class"

_WHITELIST: Final = "whitelist-source-range"
_NGINX_WHITELIST: Final = f"nginx.ingress.kubernetes.io/{_WHITELIST}"
_ALL_SOURCES: Final = "0.0.0.0/0,::/0"


def solver_ingress_name(certificate: CertificateId, host: str) -> str:
    """The name of the Ingress for a name of a Certificate, always the same. It begins as cert-manager's do:
    policies may know them."""
    digest = hashlib.sha256(f"{certificate}\0{host}".encode()).hexdigest()
    return f"cm-acme-http-solver-{digest[:16]}"


def solver_ingress(certificate: Certificate, host: str, way: OwnIngress, token: str) -> JsonObject:
    """The Ingress for `host`, a DNS name or an IP address, of a Certificate."""
    metadata: JsonObject = {
        "name": solver_ingress_name(certificate.id, host),
        "namespace": certificate.namespace,
        "labels": {**way.template.labels, **MANAGED_BY, SOLVER_LABEL: "true"},
        "annotations": _annotations(way) | {CERTIFICATE_ANNOTATION: certificate.name},
    }
    if certificate.uid:
        metadata["ownerReferences"] = [_reference(certificate)]
    class_name = {"ingressClassName": way.ingress_class_name} if way.ingress_class_name else {}
    return {
        "apiVersion": INGRESSES.api_version,
        "kind": INGRESSES.kind,
        "metadata": metadata,
        "spec": {**class_name, "rules": [challenge_rule(rule_host(host), token)]},
    }


def led_for(ingress: Mapping[str, object]) -> str:
    """The Certificate whose challenge a solver Ingress of ours is for; "" for any other Ingress."""
    meta = meta_of(ingress)
    is_ours = meta.labels.get(SOLVER_LABEL) == "true" and MANAGED_BY.items() <= meta.labels.items()
    return meta.annotations.get(CERTIFICATE_ANNOTATION, "") if is_ours else ""


def rule_host(host: str) -> str:
    """The host of a rule for `host`: none for an IP address, which an Ingress has no way to name."""
    return "" if is_ip_address(host) else host


def challenge_rule(host: str, *tokens: str) -> JsonObject:
    """A rule for a host, or for every host (""), with nothing but these challenges."""
    return {
        **({"host": host} if host else {}),
        "http": {"paths": [challenge_path(token) for token in tokens]},
    }


def challenge_path(token: str) -> JsonObject:
    """The path that leads to the responder."""
    backend = {"service": {"name": SERVICE_NAME, "port": {"number": SERVICE_PORT}}}
    return {"path": f"{WELL_KNOWN_PATH}{token}", "pathType": "Exact", "backend": backend}


def _annotations(way: OwnIngress) -> dict[str, str]:
    """Everybody may ask, as the CA asks from anywhere, unless the template has a whitelist for some ingress
    controller."""
    template: Mapping[str, str] = way.template.annotations
    whitelisted = any(name.rpartition("/")[2] == _WHITELIST for name in template)
    found = {} if whitelisted else {_NGINX_WHITELIST: _ALL_SOURCES}
    return found | ({CLASS_ANNOTATION: way.ingress_class} if way.ingress_class else {}) | dict(template)


def _reference(certificate: Certificate) -> JsonObject:
    """The Ingress goes with its Certificate. Deletion is not blocked on it: that would need one more right
    where owners are checked."""
    return {
        "apiVersion": CERTIFICATES.api_version,
        "kind": CERTIFICATES.kind,
        "name": certificate.name,
        "uid": certificate.uid,
        "controller": True,
    }
