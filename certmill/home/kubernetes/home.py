"""The home in a cluster: cert-manager's objects and Secrets in the Kubernetes API, without a cache.

A status is written over the object that it was read from. If another program (cmctl) changes the status in
between, the write raises Conflict and the caller reads again. An object that does not exist has no status,
and none is written. Secrets are in `secrets`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Final

from certmill.clock import Clock
from certmill.errors import Conflict, InvalidManifest
from certmill.home import layout, requested
from certmill.home.base import (
    Change,
    Manifest,
    ObservedCertificate,
    Problem,
    SnapshotEntry,
    Survey,
    one_by_one,
)
from certmill.home.kubernetes.documents import certificate_of, is_as_read, is_ours, named, parsed_certificate
from certmill.home.kubernetes.history import HISTORY_ANNOTATION, history_annotation
from certmill.home.kubernetes.secrets import APPLY_MANAGER, KubernetesSecrets
from certmill.home.kubernetes.status import (
    ATTEMPT_ANNOTATION,
    attempt_of,
    certificate_status_of,
    issuer_status_of,
    read_from,
    with_certificate_status,
    with_issuer_status,
    with_refusal,
)
from certmill.home.kubernetes.writes import annotate, confirm, write_status
from certmill.kube.client import FIELD_MANAGER, KubeClient
from certmill.kube.objects import JsonObject, meta_of
from certmill.kube.resources import CERTIFICATES, CLUSTER_ISSUERS, ISSUERS, SECRETS, Resource
from certmill.model.certificate import Certificate
from certmill.model.issuer import Issuer
from certmill.model.manifests.parse import (
    certificate_document,
    parse_certificate,
    parse_document,
    parse_issuer,
)
from certmill.model.names import CertificateId, split_id
from certmill.model.object_ref import ISSUER_KINDS, ObjectRef
from certmill.model.secret import Secret
from certmill.model.status import CertificateStatus, IssuerStatus

_RESOURCES: Final[Mapping[str, Resource]] = {
    "Certificate": CERTIFICATES,
    "Issuer": ISSUERS,
    layout.CLUSTER_ISSUER: CLUSTER_ISSUERS,
    "Secret": SECRETS,
}


class KubernetesHome:
    """A Home (home.base.Home) on one API server."""

    watched = True

    def __init__(
        self,
        client: KubeClient,
        *,
        cluster_resource_namespace: str,
        clock: Clock,
        secrets_manager: str = FIELD_MANAGER,
    ) -> None:
        self._clock = clock

        self._client = client
        self._secrets = KubernetesSecrets(client, manager=secrets_manager)
        self._cluster_resource_namespace = cluster_resource_namespace

    def certificate(self, certificate: CertificateId) -> Certificate | None:
        return certificate_of(self._get("Certificate", *split_id(certificate)), certificate)

    def observe(self, certificate: CertificateId) -> ObservedCertificate | None:
        """Return the Certificate with its status. The status of a Certificate that is being deleted is not
        read: it is empty."""
        body = self._get("Certificate", *split_id(certificate))
        if (found := certificate_of(body, certificate)) is None:
            return None
        return ObservedCertificate(
            certificate=found,
            status=CertificateStatus() if found.deleting else certificate_status_of(body or {}),
        )

    def certificates(self, namespace: str | None = None) -> Iterator[Certificate]:
        for body in self._all(CERTIFICATES, namespace):
            try:
                yield parsed_certificate(body, source="")
            except InvalidManifest:
                continue

    def issuer(self, ref: ObjectRef) -> Issuer | None:
        if ref.kind not in ISSUER_KINDS:
            return None
        body = self._get(ref.kind, ref.namespace, ref.name)
        if body is None:
            return None
        return replace(parse_issuer(body, source=f"{ref.kind} {ref.name}"), deleting=meta_of(body).deleting)

    def issuers(self, namespace: str | None = None) -> Iterator[Issuer]:
        bodies = (
            self._all(ISSUERS, namespace) if namespace != "" else (),
            self._all(CLUSTER_ISSUERS, None) if not namespace else (),
        )
        for body in chain.from_iterable(bodies):
            try:
                yield parse_issuer(body, source="")
            except InvalidManifest:
                continue

    def secret(self, namespace: str, name: str) -> Secret | None:
        return self._secrets.read(namespace, name)

    def secrets(self, namespace: str | None = None) -> Iterator[Secret]:
        return self._secrets.all(namespace or "")

    def unwritable_secret(self, namespace: str, name: str) -> str:
        return ""  # the write itself reports an error

    def write_secret(self, secret: Secret) -> None:
        self._secrets.write(secret)

    def create_secret(self, secret: Secret) -> bool:
        return self._secrets.create(secret)

    def delete_secret(self, namespace: str, name: str) -> bool:
        return self._secrets.delete(namespace, name)

    def write_documented(self, secrets: Sequence[ObjectRef]) -> tuple[Problem, ...]:
        return ()  # the API server has Secrets, and no documents of them

    def apply(self, manifest: Manifest, document: str) -> Change:
        """Store the document unchanged, so that the API server sees what the user wrote. Of a Secret only the
        content is stored, in whichever form it was written."""
        if isinstance(manifest, Secret):
            return self._secrets.apply(manifest)
        manifest, document = requested.unmarked(manifest, document)
        kind = "Certificate" if isinstance(manifest, Certificate) else manifest.kind
        layout.require_names(kind, manifest.namespace, manifest.name)
        before = self._get(kind, manifest.namespace, manifest.name)
        after = self._client.apply(
            _RESOURCES[kind], named(parse_document(document), manifest), manager=APPLY_MANAGER
        )
        if before is None:
            return Change.CREATED
        return (
            Change.UNCHANGED
            if meta_of(before).resource_version == meta_of(after).resource_version
            else Change.CONFIGURED
        )

    def apply_all(self, manifests: Sequence[tuple[Manifest, str]]) -> Iterator[Change | InvalidManifest]:
        return one_by_one(self, manifests)

    def request(self, certificate: Certificate) -> Change:
        """Create or replace the Certificate without force, and over the object that was read. A change or a
        creation by another process in between raises Conflict."""
        layout.require_names("Certificate", certificate.namespace, certificate.name)
        before = self._get("Certificate", certificate.namespace, certificate.name)
        try:
            if before is not None and not is_ours(before):
                raise InvalidManifest("its issuer is of another API group", path="spec.issuerRef.group")
            existing = parsed_certificate(before, source="") if before is not None else None
        except InvalidManifest as error:
            raise requested.wrong(certificate, error) from None
        change = requested.outcome_of(existing, certificate)
        if change is not Change.UNCHANGED:
            kept = requested.marked(certificate)
            version = {"resourceVersion": meta_of(before).resource_version} if before is not None else {}
            body = named(certificate_document(kept), kept, **version)
            self._client.apply(CERTIFICATES, body, manager=APPLY_MANAGER, force=False)
        return change

    def delete(self, kind: str, namespace: str, name: str) -> bool:
        if kind not in _RESOURCES or not layout.is_name(namespace, name):
            return False
        return self._client.delete(_RESOURCES[kind], layout.namespace_of(kind, namespace), name)

    def created(self, ref: ObjectRef) -> float | None:
        body = self._get(ref.kind, ref.namespace, ref.name)
        return (meta_of(body).created or None) if body is not None else None

    def certificate_status(self, certificate: CertificateId) -> CertificateStatus:
        return certificate_status_of(self._get("Certificate", *split_id(certificate)) or {})

    def write_certificate_status(
        self, certificate: CertificateId, status: CertificateStatus
    ) -> CertificateStatus | None:
        """Write the status over the object that it was read from. If another program (cmctl) has written
        since, or if the Certificate was deleted and created again, this raises Conflict, so that no change
        is lost. The status that is returned is one that the API server has answered."""
        body = read_from(status) or self._get("Certificate", *split_id(certificate))
        if body is None or meta_of(body).deleting:
            return None  # a Certificate that is gone or is being deleted needs no status
        kept = {
            ATTEMPT_ANNOTATION: attempt_of(status, body),
            HISTORY_ANNOTATION: history_annotation(status.history, body),
        }
        there = meta_of(body).annotations
        changed = {name: text for name, text in kept.items() if text is not None and there.get(name) != text}
        annotated = annotate(self._client, certificate, body, changed) if changed else body
        if annotated is None:
            return None
        # The status states its generation: that of the object which was read.
        wanted = {**annotated, "status": with_certificate_status(body, status)["status"]}
        written = write_status(self._client, CERTIFICATES, annotated, wanted)
        if written is None:
            answered = changed and annotated.get("status") == wanted["status"]
            written = annotated if answered else confirm(self._client, certificate, wanted)
        return certificate_status_of(written) if written is not None else None

    def issuer_status(self, issuer: Issuer) -> IssuerStatus:
        """Return the status of the object with this uid. An issuer that was deleted and created again under
        the same name has its own status and account."""
        return issuer_status_of(self._body_of(issuer) or {})

    def write_issuer_status(self, issuer: Issuer, status: IssuerStatus) -> None:
        """Write the status. Raises Conflict if the spec has changed since it was read: otherwise the account
        at the former server would be reported as an account at the current server."""
        body = self._body_of(issuer)
        if body is None:
            return
        if not is_as_read(body, issuer):
            raise Conflict(
                f"{issuer.reference} has changed meanwhile; its status is written when it is looked at again"
            )
        write_status(self._client, _RESOURCES[issuer.kind], body, with_issuer_status(body, status))

    def refuse(self, ref: ObjectRef, *, reason: str, message: str) -> bool:
        """Set Ready=False. An object that is being deleted is left unchanged."""
        body = self._get(ref.kind, ref.namespace, ref.name)
        if body is None:
            return False
        refused = with_refusal(body, reason, message, now=self._clock.now())
        return write_status(self._client, _RESOURCES[ref.kind], body, refused) is not None

    def secrets_namespace(self, issuer: Issuer) -> str:
        return self._cluster_resource_namespace if issuer.is_cluster_issuer else issuer.namespace

    def survey(self) -> Survey:
        """Return every object with its signature. This is for commands; a controller has watches. The
        signature of a Certificate covers the version of its Secret."""
        snapshots, problems = [], []
        versions = self._secrets.versions()
        for resource, parse in (
            (CERTIFICATES, parse_certificate),
            (ISSUERS, parse_issuer),
            (CLUSTER_ISSUERS, parse_issuer),
        ):
            for body in self._all(resource, None):
                if resource is CERTIFICATES and not is_ours(body):
                    continue
                meta = meta_of(body)
                ref = ObjectRef(kind=resource.kind, namespace=meta.namespace, name=meta.name)
                try:
                    value = parse(body, source="")
                except InvalidManifest as error:
                    problems.append(Problem(source=f"{ref.kind} {ref.path}", message=str(error)))
                    continue
                signature = f"{meta.uid} {meta.generation}"
                if isinstance(value, Certificate):
                    signature += f" {versions.get((value.namespace, value.secret_name), '')}"
                snapshots.append(SnapshotEntry(ref=ref, signature=signature))
        return Survey(snapshots=tuple(snapshots), problems=tuple(problems))

    def _body_of(self, issuer: Issuer) -> JsonObject | None:
        body = self._get(issuer.kind, issuer.namespace, issuer.name)
        return body if body is not None and issuer.uid in ("", meta_of(body).uid) else None

    def _get(self, kind: str, namespace: str, name: str) -> JsonObject | None:
        if (
            kind not in _RESOURCES
            or not layout.is_name(namespace, name)
            or (not namespace and kind != layout.CLUSTER_ISSUER)
        ):
            return None
        return self._client.get(_RESOURCES[kind], namespace, name)

    def _all(self, resource: Resource, namespace: str | None) -> Iterator[JsonObject]:
        """Yield the objects page by page, because a namespace may contain many large objects. The items of a
        list have neither kind nor apiVersion, so they are added."""
        for page in self._client.pages(resource, namespace or ""):
            yield from (
                {"apiVersion": resource.api_version, "kind": resource.kind, **item} for item in page.items
            )
