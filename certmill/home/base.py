"""The protocols of a home: Manifests, Secrets and Statuses, and Home, which is all three. One test suite runs
over every implementation (tests/ports/test_home.py)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from certmill.errors import InvalidManifest
from certmill.model.certificate import Certificate
from certmill.model.issuer import Issuer
from certmill.model.names import CertificateId
from certmill.model.object_ref import ObjectRef
from certmill.model.secret import Secret
from certmill.model.status import CertificateStatus, IssuerStatus

Manifest = Certificate | Issuer | Secret


class Change(StrEnum):
    """The result of an apply, in kubectl's words."""

    CREATED = "created"
    CONFIGURED = "configured"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotEntry:
    """One object in a survey. `signature` changes whenever the manifest changes, or (for a Certificate) its
    Secret."""

    ref: ObjectRef
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A manifest that cannot be used: `source` is the file (and document), `message` names the field. All
    other manifests still work."""

    source: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Every object in a home with its signature, and the problems: what could not be read. `unwritten`: the
    Secret documents in manifests/ whose Secret is missing or older (`Secrets.write_documented`)."""

    snapshots: tuple[SnapshotEntry, ...]
    problems: tuple[Problem, ...]
    unwritten: tuple[ObjectRef, ...] = ()


class Events(Protocol):
    """Records events of a Certificate or an issuer, where the home has a place for them. Best effort: no
    method raises an error."""

    def record_event(
        self, certificate: Certificate, reason: str, message: str, *, warning: bool = False
    ) -> None: ...

    def record_issuer_event(
        self, issuer: Issuer, reason: str, message: str, *, warning: bool = False
    ) -> None: ...

    def record_refusal(self, ref: ObjectRef, reason: str, message: str) -> None:
        """Record a warning: the object cannot be used as it is written."""
        ...


class NoEvents:
    """Events for a home that has no place for them: every method does nothing."""

    def record_event(
        self, certificate: Certificate, reason: str, message: str, *, warning: bool = False
    ) -> None:
        """Does nothing."""

    def record_issuer_event(
        self, issuer: Issuer, reason: str, message: str, *, warning: bool = False
    ) -> None:
        """Does nothing."""

    def record_refusal(self, ref: ObjectRef, reason: str, message: str) -> None:
        """Does nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedCertificate:
    """A Certificate and its status, both read from the same state of the home."""

    certificate: Certificate
    status: CertificateStatus


class Manifests(Protocol):
    """The desired state: Certificates and issuers, as users wrote them."""

    def certificate(self, certificate: CertificateId) -> Certificate | None: ...

    def certificates(self, namespace: str | None = None) -> Iterator[Certificate]:
        """Yield all valid Certificates, ordered by id. Too slow for hot paths."""
        ...

    def issuer(self, ref: ObjectRef) -> Issuer | None:
        """Return the Issuer or ClusterIssuer; None for any other kind."""
        ...

    def issuers(self, namespace: str | None = None) -> Iterator[Issuer]:
        """Yield all valid Issuers and ClusterIssuers. With a namespace: only its Issuers; with "": only the
        ClusterIssuers. Too slow for hot paths."""
        ...

    def apply(self, manifest: Manifest, document: str) -> Change:
        """Store this manifest (`document`: its YAML as the user wrote it). A Certificate that a request
        created is owned by the manifest afterwards."""
        ...

    def apply_all(self, manifests: Sequence[tuple[Manifest, str]]) -> Iterator[Change | InvalidManifest]:
        """Apply the manifests in order, each when the iterator reaches it. For a manifest that may not be
        written the iterator yields the error instead of a Change."""
        ...

    def request(self, certificate: Certificate) -> Change:
        """Store the Certificate that a request asks for. Raises InvalidManifest if a manifest created it and
        it differs. Raises Conflict if another process changes it at the same time."""
        ...

    def delete(self, kind: str, namespace: str, name: str) -> bool:
        """Delete this manifest and its status. The Secret of a deleted Certificate stays. Returns False if
        the manifest did not exist."""
        ...

    def created(self, ref: ObjectRef) -> float | None:
        """Return when the object was created (seconds since the epoch); None if it does not exist, or if the
        home does not know. This also works for a Certificate that cannot be used. For a valid one,
        `Certificate.created` has the same value without a request."""
        ...

    def survey(self) -> Survey:
        """Return every object with its signature. Reads only what has changed since this process's previous
        survey."""
        ...


class Secrets(Protocol):
    """Account keys, issued pairs and credentials."""

    def secret(self, namespace: str, name: str) -> Secret | None: ...

    def secrets(self, namespace: str | None = None) -> Iterator[Secret]:
        """Yield all Secrets. Too slow for hot paths."""
        ...

    def unwritable_secret(self, namespace: str, name: str) -> str:
        """Return why a Secret of this name cannot be written at present, and what to do; "" if it can be
        written."""
        ...

    def write_secret(self, secret: Secret) -> None:
        """Replace our keys, labels and annotations by these, in one atomic write. Keys, labels and
        annotations of other writers stay."""
        ...

    def create_secret(self, secret: Secret) -> bool:
        """Write it only if there is no Secret of this name. Returns False if there is one."""
        ...

    def delete_secret(self, namespace: str, name: str) -> bool:
        """Delete the Secret. Returns False if it did not exist."""
        ...

    def write_documented(self, secrets: Sequence[ObjectRef]) -> tuple[Problem, ...]:
        """Write these Secrets as their documents in manifests/ say (`Survey.unwritten`). Returns those that
        cannot be written. In a cluster there are none."""
        ...

    def secrets_namespace(self, issuer: Issuer) -> str:
        """Return the namespace of an issuer's Secrets: its own, or the cluster resource namespace."""
        ...


class Statuses(Protocol):
    """The status of Certificates and issuers, as certmill writes it. A status of a Certificate carries the
    version that it was read from."""

    def certificate_status(self, certificate: CertificateId) -> CertificateStatus:
        """Return the current status. `last_issuance_time` is stored at least while it matters: when the pair
        is due for renewal within an hour of that time."""
        ...

    def write_certificate_status(
        self, certificate: CertificateId, status: CertificateStatus
    ) -> CertificateStatus | None:
        """Write the status over the version that it was read from. Raises Conflict if another process has
        changed the status since. A status without a version replaces any stored status. Writes nothing if the
        home has the same status already, or has no Certificate of this id.

        Returns the status with its new version if the home knows it without another read, else None."""
        ...

    def issuer_status(self, issuer: Issuer) -> IssuerStatus:
        """Return the status of the issuer. Its `server` is the issuer's own server while the account is known
        to belong to that server."""
        ...

    def write_issuer_status(self, issuer: Issuer, status: IssuerStatus) -> None:
        """Write the status. Writes nothing if the home has the same status already, or if the issuer does not
        exist. Raises Conflict if the issuer changes at the same time."""
        ...

    def refuse(self, ref: ObjectRef, *, reason: str, message: str) -> bool:
        """Write into the status of an invalid Certificate or issuer that it cannot be used, where the home
        has a place for that. Returns False if it has none, or if the status says so already."""
        ...


class Home(Manifests, Secrets, Statuses, Protocol):
    """Manifests, Secrets and statuses in one place. Safe for many threads and processes at once.

    Reads return None for an object that does not exist, and raise InvalidManifest for an object that exists
    and is not valid. Every method raises HomeUnavailable when the home cannot be reached (disk full,
    read-only, API server unreachable), and Forbidden when it refuses us permanently (a role is missing, a
    namespace is being deleted). Every write is atomic and safe to repeat, and raises InvalidManifest for an
    object that may not be written. Instants are stored to the second.
    """

    @property
    def watched(self) -> bool:
        """Whether a controller reports changes. If not, the home must be read again at intervals."""
        ...

    def observe(self, certificate: CertificateId) -> ObservedCertificate | None:
        """Return the Certificate with its status, by one request where the home stores both in one object."""
        ...


def one_by_one(home: Home, manifests: Sequence[tuple[Manifest, str]]) -> Iterator[Change | InvalidManifest]:
    """`apply_all` for a home that has no faster way to write many manifests: it applies each one alone."""
    for manifest, document in manifests:
        try:
            yield home.apply(manifest, document)
        except InvalidManifest as error:
            yield error
