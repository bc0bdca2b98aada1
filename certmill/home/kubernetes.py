"""The home in a cluster: cert-manager's objects and Secrets in the Kubernetes API. Nothing is kept in here; the API is the truth.

A status is written over the one that it was made from: when somebody (cmctl) changed the status meanwhile, the write is refused as
Conflict, and the step looks again. Secrets are written by server-side apply, so that what others put on them stays.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from certmill.clock import Clock
from certmill.errors import Conflict, InvalidManifest, SecretUnusable
from certmill.home import layout
from certmill.home.base import Manifest, Problem, Sighting, Survey
from certmill.home.kubernetes_status import (
    ATTEMPT_ANNOTATION,
    attempt_of,
    certificate_status_of,
    issuer_status_of,
    with_certificate_status,
    with_issuer_status,
    with_refusal,
)
from certmill.kube.client import FIELD_MANAGER, KubeClient
from certmill.kube.objects import JsonObject, mapping, meta_of, sequence, strings, text
from certmill.kube.resources import CERTIFICATES, CLUSTER_ISSUERS, ISSUERS, SECRETS, Resource
from certmill.model.certificate import Certificate, IssuerRef
from certmill.model.issuer import Issuer
from certmill.model.manifests import parse_certificate, parse_document, parse_issuer
from certmill.model.names import CertificateId, split_id
from certmill.model.secret import OPAQUE_TYPE, Secret
from certmill.model.status import CertificateStatus, IssuerStatus

_RESOURCES: Final[Mapping[str, Resource]] = {
    "Certificate": CERTIFICATES,
    "Issuer": ISSUERS,
    layout.CLUSTER_ISSUER: CLUSTER_ISSUERS,
    "Secret": SECRETS,
}
_STATUS_TRIES: Final = 3

INVALID_CONFIG: Final = "InvalidConfig"
INVALID_SPEC: Final = "InvalidSpec"


class KubernetesHome:
    """A Home (home.base.Home) on one API server."""

    watched = True

    def __init__(self, client: KubeClient, *, cluster_resource_namespace: str, clock: Clock) -> None:
        self._clock = clock
        self._client = client
        self._cluster_resource_namespace = cluster_resource_namespace

    def certificate(self, certificate: CertificateId) -> Certificate | None:
        body = self._get("Certificate", *split_id(certificate))
        return parse_certificate(body, source=f"Certificate {certificate}") if body is not None else None

    def certificates(self, namespace: str | None = None) -> Iterator[Certificate]:
        for body in self._all(CERTIFICATES, namespace):
            try:
                yield parse_certificate(body, source="")
            except InvalidManifest:
                continue

    def issuer(self, ref: IssuerRef, namespace: str) -> Issuer | None:
        kind = ref.kind or "Issuer"
        if kind not in ("Issuer", layout.CLUSTER_ISSUER):
            return None
        body = self._get(kind, "" if kind == layout.CLUSTER_ISSUER else namespace, ref.name)
        return parse_issuer(body, source=f"{kind} {ref.name}") if body is not None else None

    def issuers(self, namespace: str | None = None) -> Iterator[Issuer]:
        bodies = [*self._all(ISSUERS, namespace), *(self._all(CLUSTER_ISSUERS, None) if namespace in (None, "") else ())]
        for body in bodies:
            try:
                yield parse_issuer(body, source="")
            except InvalidManifest:
                continue

    def secret(self, namespace: str, name: str) -> Secret | None:
        body = self._get("Secret", namespace, name)
        return _secret_of(body) if body is not None else None

    def secrets(self, namespace: str | None = None) -> Iterator[Secret]:
        for body in self._all(SECRETS, namespace):
            try:
                yield _secret_of(body)
            except SecretUnusable:
                continue

    def write_secret(self, secret: Secret) -> None:
        layout.require_secret(secret)
        found = self._get("Secret", secret.namespace, secret.name)
        if found is not None and _says(found, secret):
            return
        # A Secret's type cannot be changed: one that is there keeps its own, as at cert-manager.
        type_ = text(found.get("type")) or OPAQUE_TYPE if found is not None else secret.type
        self._client.apply(SECRETS, _secret_body(secret, type_))

    def create_secret(self, secret: Secret) -> bool:
        layout.require_secret(secret)
        try:
            self._client.create(SECRETS, _secret_body(secret, secret.type))
        except Conflict:
            return False
        return True

    def delete_secret(self, namespace: str, name: str) -> bool:
        return self._client.delete(SECRETS, namespace, name)

    def apply(self, manifest: Manifest, document: str) -> str:
        kind = "Certificate" if isinstance(manifest, Certificate) else "Secret" if isinstance(manifest, Secret) else manifest.kind
        body = parse_document(document)
        before = self._get(kind, manifest.namespace, manifest.name)
        after = self._client.apply(_RESOURCES[kind], body)
        if before is None:
            return "created"
        return "unchanged" if meta_of(before).resource_version == meta_of(after).resource_version else "configured"

    def delete(self, kind: str, namespace: str, name: str) -> bool:
        if kind not in _RESOURCES or not layout.is_name(namespace, name):
            return False
        return self._client.delete(_RESOURCES[kind], "" if kind == layout.CLUSTER_ISSUER else namespace, name)

    def created(self, kind: str, namespace: str, name: str) -> float | None:
        body = self._get(kind, "" if kind == layout.CLUSTER_ISSUER else namespace, name)
        return (meta_of(body).created or None) if body is not None else None

    def certificate_status(self, certificate: CertificateId) -> CertificateStatus:
        return certificate_status_of(self._get("Certificate", *split_id(certificate)) or {})

    def write_certificate_status(self, certificate: CertificateId, status: CertificateStatus) -> None:
        body = self._get("Certificate", *split_id(certificate))
        if body is None:
            return  # it was deleted, and its status with it
        attempt = attempt_of(status)
        if attempt is not None and meta_of(body).annotations.get(ATTEMPT_ANNOTATION) != attempt:
            patch = {"metadata": {"annotations": {ATTEMPT_ANNOTATION: attempt}}}
            body = self._client.merge(CERTIFICATES, *split_id(certificate), patch) or body
        self._write_status(CERTIFICATES, body, with_certificate_status(body, status))

    def issuer_status(self, issuer: Issuer) -> IssuerStatus:
        return issuer_status_of(self._get(issuer.kind, issuer.namespace, issuer.name) or {})

    def write_issuer_status(self, issuer: Issuer, status: IssuerStatus) -> None:
        body = self._get(issuer.kind, issuer.namespace, issuer.name)
        if body is not None:
            self._write_status(_RESOURCES[issuer.kind], body, with_issuer_status(body, status))

    def refuse(self, kind: str, namespace: str, name: str, message: str) -> None:
        """Ready=False, with cert-manager's reason for an issuer (InvalidConfig), and one of our own for a Certificate."""
        body = self._get(kind, namespace, name)
        if body is not None:
            reason = INVALID_SPEC if kind == "Certificate" else INVALID_CONFIG
            self._write_status(_RESOURCES[kind], body, with_refusal(body, reason, message, now=self._clock.now()))

    def secrets_namespace(self, issuer: Issuer) -> str:
        return self._cluster_resource_namespace if issuer.is_cluster_issuer else issuer.namespace

    def survey(self) -> Survey:
        """For people: a controller has watches."""
        sightings, problems = [], []
        for resource, parse in ((CERTIFICATES, parse_certificate), (ISSUERS, parse_issuer), (CLUSTER_ISSUERS, parse_issuer)):
            for body in self._all(resource, None):
                meta = meta_of(body)
                source = f"{resource.kind} {meta.namespace}/{meta.name}" if meta.namespace else f"{resource.kind} {meta.name}"
                signature = f"{meta.uid} {meta.generation}"
                sightings.append(Sighting(kind=resource.kind, namespace=meta.namespace, name=meta.name, signature=signature))
                try:
                    parse(body, source="")
                except InvalidManifest as error:
                    problems.append(Problem(source=source, message=str(error)))
        return Survey(sightings=tuple(sightings), problems=tuple(problems))

    def _get(self, kind: str, namespace: str, name: str) -> JsonObject | None:
        if not layout.is_name(namespace, name) or (not namespace and kind != layout.CLUSTER_ISSUER):
            return None
        return self._client.get(_RESOURCES[kind], namespace, name)

    def _all(self, resource: Resource, namespace: str | None) -> Sequence[JsonObject]:
        """The items of a list have neither kind nor apiVersion."""
        items = self._client.list(resource, namespace or "").items
        return [{"apiVersion": resource.api_version, "kind": resource.kind, **item} for item in items]

    def _write_status(self, resource: Resource, before: JsonObject, wanted: JsonObject) -> None:
        """Over the very object it was made from; a change of metadata or spec meanwhile is nothing to us, one of status is."""
        for _ in range(_STATUS_TRIES):
            if before.get("status") == wanted["status"]:
                return
            try:
                self._client.update(resource, wanted, subresource="status")
                return
            except Conflict:
                meta = meta_of(before)
                now = self._client.get(resource, meta.namespace, meta.name)
                if now is None:
                    return
                if now.get("status") != before.get("status"):
                    raise
                before, wanted = now, {**now, "status": wanted["status"]}
        raise Conflict(f"{resource.kind} {meta_of(before).name} is being changed again and again; its status is written later")


def _secret_of(body: Mapping[str, object]) -> Secret:
    meta = meta_of(body)
    try:
        data = {name: base64.b64decode(value, validate=True) for name, value in strings(body.get("data")).items()}
    except (binascii.Error, ValueError):
        raise SecretUnusable(f"the Secret {meta.namespace}/{meta.name} holds what is no base64") from None
    return Secret(
        namespace=meta.namespace,
        name=meta.name,
        type=text(body.get("type")) or OPAQUE_TYPE,
        data=data,
        labels=meta.labels,
        annotations=meta.annotations,
    )


def _secret_body(secret: Secret, type_: str) -> JsonObject:
    metadata: JsonObject = {"name": secret.name, "namespace": secret.namespace}
    metadata |= {name: dict(value) for name, value in (("labels", secret.labels), ("annotations", secret.annotations)) if value}
    data = {name: base64.b64encode(value).decode() for name, value in secret.data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": type_, "data": data}


def _says(body: Mapping[str, object], secret: Secret) -> bool:
    """Whether an apply of this Secret would change nothing: all of it is there, and we own nothing else."""
    found = _secret_of(body)
    parts = (
        ("f:data", found.data, secret.data),
        ("f:labels", found.labels, secret.labels),
        ("f:annotations", found.annotations, secret.annotations),
    )
    owned = _owned(body)
    return all(
        all(there.get(name) == value for name, value in wanted.items()) and owned is not None and owned[part] == set(wanted)
        for part, there, wanted in parts
    )


def _owned(body: Mapping[str, object]) -> dict[str, set[str]] | None:
    """What we own of a Secret by server-side apply (metadata.managedFields), by part; None if we never applied it."""
    for entry in sequence(mapping(body.get("metadata")).get("managedFields")):
        one = mapping(entry)
        if one.get("manager") == FIELD_MANAGER and one.get("operation") == "Apply" and not one.get("subresource"):
            fields = mapping(one.get("fieldsV1"))
            parts = {"f:data": fields.get("f:data")} | {
                name: mapping(fields.get("f:metadata")).get(name) for name in ("f:labels", "f:annotations")
            }
            return {part: {name.removeprefix("f:") for name in mapping(members) if name != "."} for part, members in parts.items()}
    return None
