"""The protocols of a home: Manifests, Secrets and Statuses, and Home, which is all three. One test suite
for every implementation (tests/ports/test_home.py)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from certmill.errors import InvalidManifest
from certmill.model.certificate import Certificate, IssuerRef
from certmill.model.issuer import Issuer
from certmill.model.names import CertificateId
from certmill.model.secret import Secret
from certmill.model.status import CertificateStatus, IssuerStatus

Manifest = Certificate | Issuer | Secret


class Change(StrEnum):
    """What an apply did, in kubectl's words."""

    CREATED = "created"
    CONFIGURED = "configured"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotEntry:
    """One object as a survey saw it. `signature` changes whenever the manifest, or (for a Certificate) its
    Secret, does."""

    kind: str
    namespace: str
    name: str
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A manifest that cannot be used: `source` is the file (and document), `message` names the field.
    Everything else goes on."""

    source: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Everything in a home, by signature, and what could not be read."""

    snapshots: tuple[SnapshotEntry, ...]
    problems: tuple[Problem, ...]


class Events(Protocol):
    """Tells people what happens to a Certificate or an issuer, where the home has a place for it. Best
    effort: raises nothing."""

    def record_event(
        self, certificate: Certificate, reason: str, message: str, *, warning: bool = False
    ) -> None: ...

    def record_issuer_event(
        self, issuer: Issuer, reason: str, message: str, *, warning: bool = False
    ) -> None: ...

    def record_refusal(self, kind: str, namespace: str, name: str, reason: str, message: str) -> None:
        """That an object cannot be used as it is written: a warning."""
        ...


class NoEvents:
    """Of a home that has no place for them."""

    def record_event(
        self, certificate: Certificate, reason: str, message: str, *, warning: bool = False
    ) -> None:
        """Nothing."""

    def record_issuer_event(
        self, issuer: Issuer, reason: str, message: str, *, warning: bool = False
    ) -> None:
        """Nothing."""

    def record_refusal(self, kind: str, namespace: str, name: str, reason: str, message: str) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedCertificate:
    """A Certificate and its status, both from the same state of the home."""

    certificate: Certificate
    status: CertificateStatus


class Manifests(Protocol):
    """What is wanted: Certificates and issuers, as users wrote them."""

    def certificate(self, certificate: CertificateId) -> Certificate | None: ...

    def certificates(self, namespace: str | None = None) -> Iterator[Certificate]:
        """All valid Certificates, ordered by id. Not for hot paths."""
        ...

    def issuer(self, ref: IssuerRef, namespace: str) -> Issuer | None:
        """The Issuer in `namespace`, or the ClusterIssuer, that `ref` names."""
        ...

    def issuers(self, namespace: str | None = None) -> Iterator[Issuer]:
        """All valid Issuers and ClusterIssuers; those of a namespace, or ("") the ClusterIssuers. Not for hot
        paths."""
        ...

    def apply(self, manifest: Manifest, document: str) -> Change:
        """Store this manifest (`document`: its YAML as the user wrote it). A Certificate that a request made
        becomes the manifest's."""
        ...

    def apply_all(self, manifests: Sequence[tuple[Manifest, str]]) -> Iterator[Change | InvalidManifest]:
        """Apply each in turn, when the iterator comes to it; one that may not be written yields its error in
        its place."""
        ...

    def request(self, certificate: Certificate) -> Change:
        """Store the Certificate that a request asks for. Raises InvalidManifest if a manifest made it and it
        differs, and Conflict if somebody else changes it at this moment."""
        ...

    def delete(self, kind: str, namespace: str, name: str) -> bool:
        """Delete this manifest and its status. Deleting a Certificate leaves its Secret. False if it was not
        there."""
        ...

    def created(self, kind: str, namespace: str, name: str) -> float | None:
        """When the object was created (seconds since the epoch); None if it is not there, or the home does
        not know. It also answers for a Certificate that cannot be used; for one that can,
        `Certificate.created` says the same without a request."""
        ...

    def survey(self) -> Survey:
        """Everything, by signature; reads again only what changed since this process looked last."""
        ...


class Secrets(Protocol):
    """Account keys, issued pairs, credentials."""

    def secret(self, namespace: str, name: str) -> Secret | None: ...

    def secrets(self, namespace: str | None = None) -> Iterator[Secret]:
        """All Secrets. Not for hot paths."""
        ...

    def unwritable_secret(self, namespace: str, name: str) -> str:
        """Why a Secret of this name cannot be written at present, and what to do; "" if nothing prevents
        it."""
        ...

    def write_secret(self, secret: Secret) -> None:
        """Replace our keys, labels and annotations by these, all at once. Keys, labels and annotations of
        others stay."""
        ...

    def create_secret(self, secret: Secret) -> bool:
        """Write it only if there is no Secret of this name; False if there is one."""
        ...

    def delete_secret(self, namespace: str, name: str) -> bool:
        """False if it was not there."""
        ...

    def secrets_namespace(self, issuer: Issuer) -> str:
        """Where an issuer's Secrets are: its own namespace, or the cluster resource namespace."""
        ...


class Statuses(Protocol):
    """What certmill says about Certificates and issuers. A status of a Certificate carries the version that
    it was read from."""

    def certificate_status(self, certificate: CertificateId) -> CertificateStatus:
        """As it is now. `last_issuance_time` is kept at least while it matters: the pair is to be renewed
        within an hour of it."""
        ...

    def write_certificate_status(self, certificate: CertificateId, status: CertificateStatus) -> None:
        """Write the status over the version that it was read from: raises Conflict if somebody else has
        changed the status since. A status without a version replaces whatever is there. Writes nothing if the
        home says this already, or has no such Certificate."""
        ...

    def issuer_status(self, issuer: Issuer) -> IssuerStatus:
        """Its `server` is the issuer's own while the account is known to be one there."""
        ...

    def write_issuer_status(self, issuer: Issuer, status: IssuerStatus) -> None:
        """Writes nothing if it says this already, or if there is no such issuer. Raises Conflict if the
        issuer changes meanwhile."""
        ...

    def refuse(self, kind: str, namespace: str, name: str, *, reason: str, message: str) -> bool:
        """Write in the status of a Certificate or an issuer that is not valid that it cannot be used, where
        the home has a place for that. False if it has none, or says so already."""
        ...


class Home(Manifests, Secrets, Statuses, Protocol):
    """Manifests, Secrets and statuses in one place. Safe for many threads and processes at once.

    Reads return None for what is not there, and raise InvalidManifest for what is there and not valid. Every
    method raises HomeUnavailable when the home cannot be reached (disk full, read-only, API server away), and
    Forbidden when it refuses us for good (a role is missing, a namespace is being deleted). Every write is
    atomic and safe to repeat, and raises InvalidManifest for what may not be written. Instants are kept to
    the second."""

    @property
    def watched(self) -> bool:
        """Whether a controller reports changes; if not, the home has to be read again."""
        ...

    def observe(self, certificate: CertificateId) -> ObservedCertificate | None:
        """The Certificate with its status, by one request where the home has both in one object."""
        ...


def one_by_one(home: Home, manifests: Sequence[tuple[Manifest, str]]) -> Iterator[Change | InvalidManifest]:
    """`apply_all` of a home in which many cost as much as each of them."""
    for manifest, document in manifests:
        try:
            yield home.apply(manifest, document)
        except InvalidManifest as error:
            yield error
