"""The home on a file system: manifests/, secrets/, status/ and .locks/ under one directory, for any number of
threads and processes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from certmill.clock import Clock, SystemClock
from certmill.errors import HomeUnavailable, InvalidManifest, SecretUnusable
from certmill.home import layout, ownership, requested
from certmill.home.base import Change, Manifest, ObservedCertificate, Problem, SnapshotEntry, Survey
from certmill.home.directory.documents import Key
from certmill.home.directory.files import Locks
from certmill.home.directory.manifest_file import Kept
from certmill.home.directory.manifest_files import ManifestFiles, Wanted
from certmill.home.directory.manifest_index import ManifestIndex
from certmill.home.directory.secret_files import SecretFiles
from certmill.home.directory.status_files import StatusFiles
from certmill.model.certificate import Certificate
from certmill.model.issuer import Issuer
from certmill.model.names import CertificateId, split_id
from certmill.model.object_ref import ISSUER_KINDS, ObjectRef
from certmill.model.secret import Secret
from certmill.model.status import CertificateStatus, IssuerStatus


class DirectoryHome:
    """A Home under `root`, which is created at the first write. It behaves as `home.base.Home` says. Secrets
    are on the disk when a write returns."""

    watched = False

    def __init__(self, root: Path, *, cluster_resource_namespace: str, clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        locks = Locks(root / ".locks", clock)
        self._cluster_resource_namespace = cluster_resource_namespace
        self._index = ManifestIndex(root / "manifests", clock)
        self._manifests = ManifestFiles(root / "manifests", self._index, locks)
        self._secrets = SecretFiles(root / "secrets", locks)
        self._status = StatusFiles(root / "status", locks)
        self._written: dict[Key, tuple[str, str]] = {}

    def certificate(self, certificate: CertificateId) -> Certificate | None:
        namespace, name = split_id(certificate)
        key = ("Certificate", namespace, name)
        value = self._find(key)
        return (
            replace(value, created=self._index.written(key) or 0.0)
            if isinstance(value, Certificate)
            else None
        )

    def observe(self, certificate: CertificateId) -> ObservedCertificate | None:
        found = self.certificate(certificate)
        return (
            ObservedCertificate(certificate=found, status=self.certificate_status(certificate))
            if found is not None
            else None
        )

    def certificates(self, namespace: str | None = None) -> Iterator[Certificate]:
        self._index.refresh(None, everything=True)
        for (kind, space, _), kept in self._index.objects():
            if kind == "Certificate" and namespace in (None, space) and isinstance(kept.value, Certificate):
                yield kept.value

    def issuer(self, ref: ObjectRef) -> Issuer | None:
        value = self._find((ref.kind, ref.namespace, ref.name)) if ref.kind in ISSUER_KINDS else None
        return value if isinstance(value, Issuer) else None

    def issuers(self, namespace: str | None = None) -> Iterator[Issuer]:
        for kept in self._index.issuers():
            if isinstance(kept.value, Issuer) and namespace in (None, kept.value.namespace):
                yield kept.value

    def secret(self, namespace: str, name: str) -> Secret | None:
        held = self._secrets.read(namespace, name)
        return held.secret if held else None

    def secrets(self, namespace: str | None = None) -> Iterator[Secret]:
        for space, name in self._secrets.names(namespace):
            try:
                secret = self.secret(space, name)
            except SecretUnusable:
                continue
            if secret is not None:
                yield secret

    def unwritable_secret(self, namespace: str, name: str) -> str:
        return self._secrets.unwritable(namespace, name)

    def write_secret(self, secret: Secret) -> None:
        self._secrets.write(secret, ownership.CERTMILL)

    def create_secret(self, secret: Secret) -> bool:
        return self._secrets.create(secret, ownership.CERTMILL)

    def delete_secret(self, namespace: str, name: str) -> bool:
        in_manifests = self._manifests.delete(("Secret", namespace, name))
        return self._secrets.delete(namespace, name) or in_manifests

    def write_documented(self, secrets: Sequence[ObjectRef]) -> tuple[Problem, ...]:
        """Write each Secret once for each text of its document: later changes of the Secret by certmill or by
        a person stay."""
        problems = []
        for ref in secrets:
            key = (ref.kind, ref.namespace, ref.name)
            try:
                kept = self._index.find(key)
                if kept is not None and isinstance(kept.value, Secret) and not self._is_written(key, kept):
                    self._secrets.write(kept.value, ownership.APPLY, applied=kept.digest)
            except (HomeUnavailable, InvalidManifest, SecretUnusable) as error:
                problems.append(Problem(source=f"secrets/{ref.namespace}/{ref.name}", message=str(error)))
        return tuple(problems)

    def apply(self, manifest: Manifest, document: str) -> Change:
        if isinstance(manifest, Secret):
            return self._apply_secret(manifest, document)
        manifest, document = requested.unmarked(manifest, document)
        kind = "Certificate" if isinstance(manifest, Certificate) else manifest.kind
        return self._manifests.apply((kind, manifest.namespace, manifest.name), manifest, document)

    def apply_all(self, manifests: Sequence[tuple[Manifest, str]]) -> Iterator[Change | InvalidManifest]:
        """As `base.one_by_one`, but with one write for each file."""
        self._index.refresh_if_old()
        wanted = [_wanted(manifest, document) for manifest, document in manifests]
        in_files = [one for one in wanted if one[0][0] != "Secret" or self._index.known(one[0])[0]]
        keys, done = {one[0] for one in in_files}, self._manifests.apply_all(in_files)
        for key, manifest, document in wanted:
            change = next(done) if key in keys else Change.UNCHANGED
            if isinstance(manifest, Secret) and not isinstance(change, InvalidManifest):
                kept = self._index.known(key)[1] if key in keys else None
                try:
                    change = self._secrets.write(
                        manifest, ownership.APPLY, applied=kept.digest if kept else layout.digest(document)
                    )
                except InvalidManifest as error:
                    change = error
            yield change

    def request(self, certificate: Certificate) -> Change:
        return self._manifests.request(certificate)

    def delete(self, kind: str, namespace: str, name: str) -> bool:
        if kind == "Secret":
            return self.delete_secret(namespace, name)
        if not layout.is_name(namespace, name):
            return False
        key = (kind, layout.namespace_of(kind, namespace), name)
        deleted = self._manifests.delete(key)
        self._status.delete(*key)
        return deleted

    def created(self, ref: ObjectRef) -> float | None:
        if ref.kind == "Secret":
            return self._secrets.created(ref.namespace, ref.name)
        return self._index.written((ref.kind, ref.namespace, ref.name))

    def certificate_status(self, certificate: CertificateId) -> CertificateStatus:
        return self._status.certificate(*split_id(certificate))

    def write_certificate_status(
        self, certificate: CertificateId, status: CertificateStatus
    ) -> CertificateStatus | None:
        self._write_status(("Certificate", *split_id(certificate)), status)
        return None

    def issuer_status(self, issuer: Issuer) -> IssuerStatus:
        return self._status.issuer(issuer.kind, issuer.namespace, issuer.name)

    def write_issuer_status(self, issuer: Issuer, status: IssuerStatus) -> None:
        self._write_status((issuer.kind, issuer.namespace, issuer.name), status)

    def refuse(self, ref: ObjectRef, *, reason: str, message: str) -> bool:
        """Returns False: a survey reports the problem."""
        return False

    def secrets_namespace(self, issuer: Issuer) -> str:
        return self._cluster_resource_namespace if issuer.is_cluster_issuer else issuer.namespace

    def survey(self) -> Survey:
        self._index.refresh(None, everything=True)
        objects = list(self._index.objects())
        unwritten = (
            ObjectRef(kind=key[0], namespace=key[1], name=key[2])
            for key, kept in objects
            if isinstance(kept.value, Secret) and not self._is_written(key, kept)
        )
        snapshots = (
            SnapshotEntry(
                ref=ObjectRef(kind=key[0], namespace=key[1], name=key[2]), signature=self._signature(kept)
            )
            for key, kept in objects
            if key[0] != "Secret"
        )
        return Survey(
            snapshots=tuple(snapshots), problems=tuple(self._index.problems()), unwritten=tuple(unwritten)
        )

    def _write_status(self, key: Key, status: CertificateStatus | IssuerStatus) -> None:
        """Write the status of an object that exists, even if the object is invalid. If the object was deleted
        during a run, no status is written: an object created later under this name must not find an old
        status."""
        layout.require_names(*key)
        with suppress(InvalidManifest):
            if self._index.find(key) is None:
                return
        self._status.write(*key, status)

    def _find(self, key: Key) -> Manifest | None:
        if not layout.is_name(key[1], key[2]):
            return None
        kept = self._index.find(key)
        return kept.value if kept else None

    def _apply_secret(self, secret: Secret, document: str) -> Change:
        """Write the Secret to secrets/. If manifests/ has a document of it, change that document too;
        otherwise the next survey would restore the old content."""
        key = ("Secret", secret.namespace, secret.name)
        kept = None
        if self._index.holders(key):
            self._manifests.apply(key, secret, document)
            kept = self._index.find(key)
        return self._secrets.write(
            secret, ownership.APPLY, applied=kept.digest if kept else layout.digest(document)
        )

    def _is_written(self, key: Key, kept: Kept) -> bool:
        """Whether the Secret has had the content of this document. The Secret is read only if it, or the
        document, has changed since the last call."""
        _, namespace, name = key
        state = (kept.digest, self._secrets.signature(namespace, name))
        if self._written.get(key) == state:
            return True
        try:
            held = self._secrets.read(namespace, name)
        except (HomeUnavailable, InvalidManifest, SecretUnusable):
            return False  # the write reports the error
        if held is None or held.applied != kept.digest:
            return False
        self._written[key] = state
        return True

    def _signature(self, kept: Kept) -> str:
        """Return the signature of a manifest. The signature of an issuer covers the Secrets it refers to. So
        a run that failed because of a wrong credential continues when the credential is repaired."""
        value, seen = kept.value, [kept.digest]
        if isinstance(value, Certificate):
            seen.append(self._secrets.signature(value.namespace, value.secret_name))
        elif isinstance(value, Issuer):
            namespace = self.secrets_namespace(value)
            # certmill creates the account key itself, unless the issuer disables that.
            refs = (
                *value.credentials,
                *((value.private_key,) if value.disable_account_key_generation else ()),
            )
            seen += [self._secrets.signature(namespace, ref.name, (ref.key,)) for ref in refs]
        return hashlib.blake2b("\n".join(seen).encode(), digest_size=12).hexdigest()


def _wanted(manifest: Manifest, document: str) -> Wanted:
    if isinstance(manifest, Secret):
        return ("Secret", manifest.namespace, manifest.name), manifest, document
    manifest, document = requested.unmarked(manifest, document)
    kind = "Certificate" if isinstance(manifest, Certificate) else manifest.kind
    return (kind, manifest.namespace, manifest.name), manifest, document
