"""The protocol of a home: where manifests, Secrets and status are kept. Two implementations, one port suite
(tests/ports)."""

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


class Home(Protocol):
    """Where manifests, Secrets and status are. Safe from many threads and processes at once.

    Reads answer None for what is not there, and raise InvalidManifest for what is there and wrong. Every
    method raises HomeUnavailable when the home cannot be reached (disk full, read-only, API server away), and
    Forbidden when it refuses us for good (a role is missing, a namespace is being deleted). Every write is
    atomic and safe to repeat, and raises InvalidManifest for what may not be written. Instants are kept to
    the second."""

    @property
    def watched(self) -> bool:
        """Whether a controller tells what changes; else the home is to be re-read."""
        ...

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

    def secret(self, namespace: str, name: str) -> Secret | None: ...

    def secrets(self, namespace: str | None = None) -> Iterator[Secret]:
        """All Secrets. Not for hot paths."""
        ...

    def unwritable_secret(self, namespace: str, name: str) -> str:
        """Why a Secret of this name cannot be written as things are, and what to do; "" if nothing is in the
        way."""
        ...

    def write_secret(self, secret: Secret) -> None:
        """Make our keys, labels and annotations be these, all at once. Keys, labels and annotations of others
        stay."""
        ...

    def create_secret(self, secret: Secret) -> bool:
        """Write it only if there is no Secret of this name; False if there is one."""
        ...

    def delete_secret(self, namespace: str, name: str) -> bool:
        """False if it was not there."""
        ...

    def apply(self, manifest: Manifest, document: str) -> Change:
        """Keep this manifest (`document`: its YAML as the user wrote it). A Certificate is the manifest's
        from then on, whoever made it."""
        ...

    def apply_all(self, manifests: Sequence[tuple[Manifest, str]]) -> Iterator[Change | InvalidManifest]:
        """As `apply` of each in turn, as they are asked for; one that may not be written has its error in its
        place."""
        ...

    def request(self, certificate: Certificate) -> Change:
        """Keep the Certificate that a request asks for. One that a manifest made is not changed: raises
        InvalidManifest, unless it is asked for as it is. One that another changes in this moment is a
        Conflict."""
        ...

    def delete(self, kind: str, namespace: str, name: str) -> bool:
        """Forget this manifest (and its status). Deleting a Certificate leaves its Secret. False if it was
        not there."""
        ...

    def created(self, kind: str, namespace: str, name: str) -> float | None:
        """Since when an object is there (seconds since the epoch), as far as the home knows, else None. For
        people only."""
        ...

    def certificate_status(self, certificate: CertificateId, *, just_read: bool = False) -> CertificateStatus:
        """As it is now. `just_read`: as it was when this thread read the Certificate, if that was a moment
        ago; saves a request.

        `last_issuance_time` is kept at least while it matters: the pair is to be renewed within an hour of
        it."""
        ...

    def write_certificate_status(self, certificate: CertificateId, status: CertificateStatus) -> None:
        """Writes nothing if it says this already, or if there is no such Certificate (any more). Raises
        Conflict if somebody else changes it in this moment."""
        ...

    def issuer_status(self, issuer: Issuer) -> IssuerStatus:
        """Its `server` is the issuer's own while the account is known to be one there."""
        ...

    def write_issuer_status(self, issuer: Issuer, status: IssuerStatus) -> None:
        """As for a Certificate's."""
        ...

    def refuse(self, kind: str, namespace: str, name: str, *, reason: str, message: str) -> bool:
        """Say on a Certificate or an issuer that is there and wrong that it cannot be used, where the home
        has a place for it. False if it has none, or says so already."""
        ...

    def secrets_namespace(self, issuer: Issuer) -> str:
        """Where an issuer's Secrets are: its own namespace, or the cluster resource namespace."""
        ...

    def survey(self) -> Survey:
        """Everything, by signature; reads again only what changed since this process looked last."""
        ...


def one_by_one(home: Home, manifests: Sequence[tuple[Manifest, str]]) -> Iterator[Change | InvalidManifest]:
    """`apply_all` of a home in which many cost as much as each of them."""
    for manifest, document in manifests:
        try:
            yield home.apply(manifest, document)
        except InvalidManifest as error:
            yield error
