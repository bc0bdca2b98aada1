"""Convert between manifests and the objects of the API server: build the body that is written, and read the
Certificate or Issuer of a body. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from certmill.errors import InvalidManifest
from certmill.home import requested
from certmill.home.kubernetes.secrets import APPLY_MANAGER
from certmill.kube.objects import JsonObject, managed_fields, mapping, meta_of, text
from certmill.kube.resources import CERTIFICATES
from certmill.model.certificate import Certificate
from certmill.model.issuer import Issuer
from certmill.model.manifests.parse import parse_certificate, parse_issuer
from certmill.model.names import CertificateId

_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
"""The annotation that kubectl writes on apply, except with server-side apply."""


def named(body: JsonObject, manifest: Certificate | Issuer, **more: str) -> JsonObject:
    """Return the object with the manifest's name and namespace, and `more` in its metadata."""
    metadata = {
        **mapping(body.get("metadata")),
        "name": manifest.name,
        "namespace": manifest.namespace or None,
        **more,
    }
    return {**body, "metadata": {name: value for name, value in metadata.items() if value is not None}}


def certificate_of(body: JsonObject | None, certificate: CertificateId) -> Certificate | None:
    """Return the Certificate of an object; None if there is no object, or if its issuer is not ours. Raises
    InvalidManifest."""
    if body is None or not is_ours(body):
        return None
    meta = meta_of(body)
    return replace(
        parsed_certificate(body, source=f"Certificate {certificate}"),
        deleting=meta.deleting,
        created=meta.created,
    )


def parsed_certificate(body: JsonObject, *, source: str) -> Certificate:
    """Return the Certificate. The mark of a request is valid until another program (kubectl, Helm) has
    written the spec. Raises InvalidManifest."""
    certificate = parse_certificate(body, source=source)
    if not requested.is_requested(certificate):
        return certificate
    others = (
        entry
        for entry in managed_fields(body)
        if entry.get("manager") != APPLY_MANAGER and not entry.get("subresource")
    )
    applied_over = _LAST_APPLIED in certificate.annotations or any(
        "f:spec" in mapping(entry.get("fieldsV1")) for entry in others
    )
    return requested.without_mark(certificate) if applied_over else certificate


def is_as_read(body: JsonObject, issuer: Issuer) -> bool:
    """Whether the object's spec is still that of `issuer`."""
    try:
        now = parse_issuer(body, source="")
    except InvalidManifest:
        return False
    return replace(now, labels=issuer.labels, annotations=issuer.annotations) == issuer


def is_ours(certificate: JsonObject) -> bool:
    """Whether its issuer is in cert-manager's own API group. Issuers of another group belong to another
    controller, and so do their Certificates: certmill ignores them."""
    ref = mapping(mapping(certificate.get("spec")).get("issuerRef"))
    return text(ref.get("group")) in ("", CERTIFICATES.group)
