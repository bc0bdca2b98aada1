"""A home in memory, for tests. It passes the same port suite as the home on a file system."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from certmill.errors import Conflict, Forbidden, HomeUnavailable, InvalidManifest, SecretUnusable
from certmill.home import layout, ownership, requested
from certmill.home.base import (
    Change,
    Manifest,
    ObservedCertificate,
    Problem,
    SnapshotEntry,
    Survey,
    one_by_one,
)
from certmill.home.ownership import Held
from certmill.model.certificate import Certificate
from certmill.model.issuer import Issuer
from certmill.model.manifests.parse import certificate_document, dump_yaml
from certmill.model.names import CertificateId, split_id
from certmill.model.object_ref import ISSUER_KINDS, ObjectRef
from certmill.model.secret import Secret
from certmill.model.status import CertificateStatus, IssuerStatus

_Key = tuple[str, str, str]


class MemoryHome:
    """A Home over dicts. With `away` set, it behaves like a home that cannot be reached; with `refuses`, like
    one whose roles are missing. `break_manifest` makes an object invalid, as a user's mistake would."""

    watched = False

    def __init__(self, *, cluster_resource_namespace: str = "cert-manager") -> None:
        self.away = False
        self.refuses = False
        self._cluster_resource_namespace = cluster_resource_namespace
        self._lock = threading.RLock()
        self._changes = itertools.count(1)
        self._manifests: dict[_Key, tuple[Certificate | Issuer, str]] = {}
        self._broken: dict[_Key, str] = {}
        self._secrets: dict[tuple[str, str], tuple[Held, int]] = {}
        self._unwritable: dict[tuple[str, str], str] = {}
        self._spoilt: dict[tuple[str, str], str] = {}
        self._after_read: dict[tuple[str, str], Callable[[], None]] = {}
        self._meanwhile: dict[CertificateId, Callable[[], None]] = {}
        self._status: dict[_Key, CertificateStatus | IssuerStatus] = {}

    def break_manifest(self, kind: str, namespace: str, name: str, message: str) -> None:
        """Make this object invalid until it is applied again."""
        self._broken[kind, namespace, name] = message

    def bar_secret(self, namespace: str, name: str, message: str) -> None:
        """Make this Secret impossible to write, as a symbolic link in its place does; "" ends that."""
        self._unwritable[namespace, name] = message

    def begin_deletion(self, kind: str, namespace: str, name: str) -> None:
        """Mark this object as being deleted, as an API server does while it has a finalizer."""
        key = (kind, namespace, name)
        manifest, digest = self._manifests[key]
        self._manifests[key] = (replace(manifest, deleting=True), digest)

    def spoil_secret(self, namespace: str, name: str, message: str) -> None:
        """Make this Secret exist and be unreadable."""
        self._spoilt[namespace, name] = message

    def after_next_read_of(self, namespace: str, name: str, then: Callable[[], None]) -> None:
        """Call `then` once, after the Secret has been read and before the read returns: it does what another
        process does in between."""
        self._after_read[namespace, name] = then

    def before_next_status_of(self, certificate: CertificateId, then: Callable[[], None]) -> None:
        """Call `then` once, before the next write of a status of the Certificate. That write raises Conflict,
        as if another process had written first."""
        self._meanwhile[certificate] = then

    def certificate(self, certificate: CertificateId) -> Certificate | None:
        key = ("Certificate", *split_id(certificate))
        found = self._find(key)
        return (
            replace(found, created=self.created(found.ref) or 0.0) if isinstance(found, Certificate) else None
        )

    def observe(self, certificate: CertificateId) -> ObservedCertificate | None:
        found = self.certificate(certificate)
        return (
            ObservedCertificate(certificate=found, status=self.certificate_status(certificate))
            if found is not None
            else None
        )

    def certificates(self, namespace: str | None = None) -> Iterator[Certificate]:
        for value in self._values():
            if isinstance(value, Certificate) and namespace in (None, value.namespace):
                yield value

    def issuer(self, ref: ObjectRef) -> Issuer | None:
        found = self._find((ref.kind, ref.namespace, ref.name)) if ref.kind in ISSUER_KINDS else None
        return found if isinstance(found, Issuer) else None

    def issuers(self, namespace: str | None = None) -> Iterator[Issuer]:
        for value in self._values():
            if isinstance(value, Issuer) and namespace in (None, value.namespace):
                yield value

    def secret(self, namespace: str, name: str) -> Secret | None:
        with self._reached():
            held = self._secrets.get((namespace, name))
        if (namespace, name) in self._spoilt:
            raise SecretUnusable(self._spoilt[namespace, name])
        self._after_read.pop((namespace, name), lambda: None)()
        return held[0].secret if held else None

    def secrets(self, namespace: str | None = None) -> Iterator[Secret]:
        with self._reached():
            found = [
                held.secret
                for (space, _), (held, _) in sorted(self._secrets.items())
                if namespace in (None, space)
            ]
        yield from found

    def unwritable_secret(self, namespace: str, name: str) -> str:
        return self._unwritable.get((namespace, name), "")

    def write_secret(self, secret: Secret) -> None:
        self._write(secret, ownership.CERTMILL)

    def create_secret(self, secret: Secret) -> bool:
        with self._reached():
            if (secret.namespace, secret.name) in self._secrets:
                return False
            self._write(secret, ownership.CERTMILL)
            return True

    def delete_secret(self, namespace: str, name: str) -> bool:
        with self._reached():
            return self._secrets.pop((namespace, name), None) is not None

    def apply(self, manifest: Manifest, document: str) -> Change:
        if isinstance(manifest, Secret):
            return self._write(manifest, ownership.APPLY)
        manifest, document = requested.unmarked(manifest, document)
        return self._keep(manifest, document)

    def apply_all(self, manifests: Sequence[tuple[Manifest, str]]) -> Iterator[Change | InvalidManifest]:
        return one_by_one(self, manifests)

    def request(self, certificate: Certificate) -> Change:
        with self._reached():
            try:
                existing = self.certificate(certificate.id)
            except InvalidManifest as error:
                raise requested.wrong(certificate, error) from None
            if requested.outcome_of(existing, certificate) is Change.UNCHANGED:
                return Change.UNCHANGED
            kept = requested.marked(certificate)
            return self._keep(kept, dump_yaml(certificate_document(kept)))

    def _keep(self, manifest: Manifest, document: str) -> Change:
        assert not isinstance(manifest, Secret)
        key = (
            "Certificate" if isinstance(manifest, Certificate) else manifest.kind,
            manifest.namespace,
            manifest.name,
        )
        layout.require_names(*key)
        with self._reached():
            known, broken = self._manifests.get(key), self._broken.pop(key, None)
            if known is not None and known[0] == manifest and broken is None:
                return Change.UNCHANGED
            self._manifests[key] = (manifest, layout.digest(document))
            return Change.CREATED if known is None and broken is None else Change.CONFIGURED

    def delete(self, kind: str, namespace: str, name: str) -> bool:
        if kind == "Secret":
            return self.delete_secret(namespace, name)
        key = (kind, layout.namespace_of(kind, namespace), name)
        with self._reached():
            self._status.pop(key, None)
            found = [self._manifests.pop(key, None), self._broken.pop(key, None)]
            return any(each is not None for each in found)

    def created(self, ref: ObjectRef) -> float | None:
        return None

    def certificate_status(self, certificate: CertificateId) -> CertificateStatus:
        with self._reached():
            found = self._status.get(("Certificate", *split_id(certificate)))
        status = found if isinstance(found, CertificateStatus) else CertificateStatus()
        return replace(status, version=status)

    def write_certificate_status(
        self, certificate: CertificateId, status: CertificateStatus
    ) -> CertificateStatus | None:
        meanwhile = self._meanwhile.pop(certificate, None)
        if meanwhile is not None:
            meanwhile()
            raise Conflict(f"cannot write Certificate {certificate}: it changed meanwhile")
        key = ("Certificate", *split_id(certificate))
        with self._reached():
            if status.version is not None and self._status.get(key, CertificateStatus()) not in (
                status.version,
                status,
            ):
                raise Conflict(
                    f"Certificate {certificate} has a newer status than the one that was read; it is read "
                    "again"
                )
            self._write_status(key, replace(status, version=None))
        return self.certificate_status(certificate)

    def issuer_status(self, issuer: Issuer) -> IssuerStatus:
        with self._reached():
            found = self._status.get((issuer.kind, issuer.namespace, issuer.name))
        return found if isinstance(found, IssuerStatus) else IssuerStatus()

    def write_issuer_status(self, issuer: Issuer, status: IssuerStatus) -> None:
        self._write_status((issuer.kind, issuer.namespace, issuer.name), status)

    def refuse(self, ref: ObjectRef, *, reason: str, message: str) -> bool:
        """Returns False: a survey reports the problem."""
        return False

    def secrets_namespace(self, issuer: Issuer) -> str:
        return self._cluster_resource_namespace if issuer.is_cluster_issuer else issuer.namespace

    def write_documented(self, secrets: Sequence[ObjectRef]) -> tuple[Problem, ...]:
        """Returns (): there are no documents of Secrets."""
        return ()

    def survey(self) -> Survey:
        with self._reached():
            snapshots = tuple(
                SnapshotEntry(
                    ref=ObjectRef(kind=key[0], namespace=key[1], name=key[2]),
                    signature=self._signature(value, digest),
                )
                for key, (value, digest) in sorted(self._manifests.items())
                if key not in self._broken
            )
            problems = tuple(
                Problem(source="/".join(part for part in key if part), message=why)
                for key, why in sorted(self._broken.items())
            )
        return Survey(snapshots=snapshots, problems=problems)

    def _reached(self) -> threading.RLock:
        if self.away:
            raise HomeUnavailable("the home is away; try again")
        if self.refuses:
            raise Forbidden("the home refuses us; see our roles")
        return self._lock

    def _write_status(self, key: _Key, status: CertificateStatus | IssuerStatus) -> None:
        layout.require_names(*key)
        with self._reached():
            if key in self._manifests or key in self._broken:
                self._status[key] = status

    def _find(self, key: _Key) -> Certificate | Issuer | None:
        with self._reached():
            if key in self._broken:
                raise InvalidManifest(self._broken[key], source="/".join(part for part in key if part))
            found = self._manifests.get(key)
        return found[0] if found else None

    def _values(self) -> list[Certificate | Issuer]:
        with self._reached():
            return [value for key, (value, _) in sorted(self._manifests.items()) if key not in self._broken]

    def _write(self, secret: Secret, writer: str) -> Change:
        layout.require_secret(secret)
        secret = replace(
            secret, data=dict(secret.data), labels=dict(secret.labels), annotations=dict(secret.annotations)
        )
        with self._reached():
            known = self._secrets.get((secret.namespace, secret.name))
            held = ownership.merged(known[0] if known else None, secret, writer)
            if known is not None and known[0] == held:
                return Change.UNCHANGED
            self._secrets[secret.namespace, secret.name] = (held, next(self._changes))
            return Change.CONFIGURED if known else Change.CREATED

    def _signature(self, value: Certificate | Issuer, digest: str) -> str:
        """Return the signature. The signature of an issuer covers no Secret here: the rules for that are the
        directory home's."""
        if isinstance(value, Issuer):
            return digest
        known = self._secrets.get((value.namespace, value.secret_name))
        return f"{digest}-{known[1] if known else 0}"
