"""Build the solver Ingress that routes the CA's request for one name to the responder. Pure.

It has one rule, one path, a numeric port, and the label of cert-manager's solver Ingresses; in this form
NGINX also adds it to a VirtualServer of the same host. Each Certificate owns a separate solver Ingress for
each name, so no reference counting is needed.

The path contains one token. The responder serves every namespace, so a path for all tokens would let another
tenant validate this host while the route exists, and some seconds longer in the ingress controller."""

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
"""NGINX merges an Ingress with this label ("true") into the VirtualServer of its host. Without the label it
refuses the Ingress, because the host is in use."""

CERTIFICATE_ANNOTATION: Final = "certmill.io/certificate-name"
"""The name of the Certificate that a solver Ingress is for."""

CLASS_ANNOTATION: Final = "kubernetes.io/ingress.class"

_WHITELIST: Final = "whitelist-source-range"
_NGINX_WHITELIST: Final = f"nginx.ingress.kubernetes.io/{_WHITELIST}"
_ALL_SOURCES: Final = "0.0.0.0/0,::/0"


def solver_ingress_name(certificate: CertificateId, host: str) -> str:
    """The stable name of the solver Ingress for one host of a Certificate. It has cert-manager's prefix,
    because admission policies may match it."""
    digest = hashlib.sha256(f"{certificate}\0{host}".encode()).hexdigest()
    return f"cm-acme-http-solver-{digest[:16]}"


def solver_ingress(certificate: Certificate, host: str, route: OwnIngress, token: str) -> JsonObject:
    """The solver Ingress for `host` (a DNS name or an IP address) of a Certificate."""
    metadata: JsonObject = {
        "name": solver_ingress_name(certificate.id, host),
        "namespace": certificate.namespace,
        "labels": {**route.template.labels, **MANAGED_BY, SOLVER_LABEL: "true"},
        "annotations": _annotations(route) | {CERTIFICATE_ANNOTATION: certificate.name},
    }
    if certificate.uid:
        metadata["ownerReferences"] = [_reference(certificate)]
    class_name = {"ingressClassName": route.ingress_class_name} if route.ingress_class_name else {}
    return {
        "apiVersion": INGRESSES.api_version,
        "kind": INGRESSES.kind,
        "metadata": metadata,
        "spec": {**class_name, "rules": [challenge_rule(rule_host(host), token)]},
    }


def solver_certificate(ingress: Mapping[str, object]) -> str:
    """The name of the Certificate that one of our solver Ingresses is for; "" for any other Ingress."""
    meta = meta_of(ingress)
    is_ours = meta.labels.get(SOLVER_LABEL) == "true" and MANAGED_BY.items() <= meta.labels.items()
    return meta.annotations.get(CERTIFICATE_ANNOTATION, "") if is_ours else ""


def rule_host(host: str) -> str:
    """The host of a rule for `host`: "" for an IP address, because a rule cannot contain one."""
    return "" if is_ip_address(host) else host


def challenge_rule(host: str, *tokens: str) -> JsonObject:
    """A rule for a host, or for every host (""), with only the paths of these challenges."""
    return {
        **({"host": host} if host else {}),
        "http": {"paths": [challenge_path(token) for token in tokens]},
    }


def challenge_path(token: str) -> JsonObject:
    """The path of one token, with the responder's Service as its backend."""
    backend = {"service": {"name": SERVICE_NAME, "port": {"number": SERVICE_PORT}}}
    return {"path": f"{WELL_KNOWN_PATH}{token}", "pathType": "Exact", "backend": backend}


def _annotations(route: OwnIngress) -> dict[str, str]:
    """The annotations of the solver Ingress. All source addresses are allowed, because a CA validates from
    any address, unless the template has a whitelist for some ingress controller."""
    template: Mapping[str, str] = route.template.annotations
    whitelisted = any(name.rpartition("/")[2] == _WHITELIST for name in template)
    found = {} if whitelisted else {_NGINX_WHITELIST: _ALL_SOURCES}
    return found | ({CLASS_ANNOTATION: route.ingress_class} if route.ingress_class else {}) | dict(template)


def _reference(certificate: Certificate) -> JsonObject:
    """The owner reference: Kubernetes deletes the Ingress with its Certificate. blockOwnerDeletion is not
    set, because it needs one more permission."""
    return {
        "apiVersion": CERTIFICATES.api_version,
        "kind": CERTIFICATES.kind,
        "name": certificate.name,
        "uid": certificate.uid,
        "controller": True,
    }
