"""A home with cached reads, for the steps of a run, which read the same issuer and account many times.

A step acts on the manifest that its run began with (the digest in the record), and every run begins with a
reconcile that reads the home without this cache. If a step misses a change, the next step or the next run
sees it. A Certificate is cached for longer, because the controller reports its changes and the reconcile
request is noted in the record. A read costs the API server and this process a few milliseconds; a run has
about 24 reads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, cast

from cachetools import LRUCache

from certmill.clock import Clock
from certmill.errors import InvalidManifest
from certmill.home.base import Change, Home, Manifest, ObservedCertificate, Survey
from certmill.model.certificate import Certificate
from certmill.model.issuer import Issuer
from certmill.model.names import CertificateId
from certmill.model.object_ref import ObjectRef
from certmill.model.secret import Secret
from certmill.model.status import CertificateStatus, IssuerStatus

RECENT_SECONDS = 2.0
CERTIFICATE_SECONDS = 30.0
_MOST = 2_000

_Value = TypeVar("_Value")
_Key = tuple[str, ...]


class RecentHome:
    """A Home over another. A value that is written through it is read back at once. Statuses of Certificates
    are never cached."""

    def __init__(self, home: Home, clock: Clock) -> None:
        self._home = home
        self._clock = clock
        self._guard = threading.Lock()
        self._kept: LRUCache[_Key, tuple[float, object]] = LRUCache(_MOST)
        self._reading: dict[_Key, object] = {}

    @property
    def watched(self) -> bool:
        return self._home.watched

    def certificate(self, certificate: CertificateId) -> Certificate | None:
        return self._recent(
            ("Certificate", certificate),
            lambda: self._home.certificate(certificate),
            seconds=CERTIFICATE_SECONDS,
        )

    def observe(self, certificate: CertificateId) -> ObservedCertificate | None:
        return self._home.observe(certificate)

    def certificates(self, namespace: str | None = None) -> Iterator[Certificate]:
        return self._home.certificates(namespace)

    def issuer(self, ref: ObjectRef) -> Issuer | None:
        return self._recent(("issuer", str(ref)), lambda: self._home.issuer(ref))

    def issuers(self, namespace: str | None = None) -> Iterator[Issuer]:
        return self._home.issuers(namespace)

    def secret(self, namespace: str, name: str) -> Secret | None:
        return self._recent(("Secret", namespace, name), lambda: self._home.secret(namespace, name))

    def secrets(self, namespace: str | None = None) -> Iterator[Secret]:
        return self._home.secrets(namespace)

    def unwritable_secret(self, namespace: str, name: str) -> str:
        return self._home.unwritable_secret(namespace, name)

    def write_secret(self, secret: Secret) -> None:
        self._forget("Secret", secret.namespace, secret.name)
        self._home.write_secret(secret)
        self._forget("Secret", secret.namespace, secret.name)

    def create_secret(self, secret: Secret) -> bool:
        made = self._home.create_secret(secret)
        self._forget("Secret", secret.namespace, secret.name)
        return made

    def delete_secret(self, namespace: str, name: str) -> bool:
        deleted = self._home.delete_secret(namespace, name)
        self._forget("Secret", namespace, name)
        return deleted

    def apply(self, manifest: Manifest, document: str) -> Change:
        done = self._home.apply(manifest, document)
        self._forget_all()
        return done

    def apply_all(self, manifests: Sequence[tuple[Manifest, str]]) -> Iterator[Change | InvalidManifest]:
        for done in self._home.apply_all(manifests):
            self._forget_all()
            yield done

    def request(self, certificate: Certificate) -> Change:
        done = self._home.request(certificate)
        self._forget_all()
        return done

    def delete(self, kind: str, namespace: str, name: str) -> bool:
        done = self._home.delete(kind, namespace, name)
        self._forget_all()
        return done

    def created(self, kind: str, namespace: str, name: str) -> float | None:
        return self._home.created(kind, namespace, name)

    def certificate_status(self, certificate: CertificateId) -> CertificateStatus:
        return self._home.certificate_status(certificate)

    def write_certificate_status(self, certificate: CertificateId, status: CertificateStatus) -> None:
        self._home.write_certificate_status(certificate, status)

    def issuer_status(self, issuer: Issuer) -> IssuerStatus:
        return self._recent(
            ("status", issuer.reference, issuer.uid), lambda: self._home.issuer_status(issuer)
        )

    def write_issuer_status(self, issuer: Issuer, status: IssuerStatus) -> None:
        self._home.write_issuer_status(issuer, status)
        self._forget("status", issuer.reference, issuer.uid)

    def refuse(self, kind: str, namespace: str, name: str, *, reason: str, message: str) -> bool:
        return self._home.refuse(kind, namespace, name, reason=reason, message=message)

    def secrets_namespace(self, issuer: Issuer) -> str:
        return self._home.secrets_namespace(issuer)

    def survey(self) -> Survey:
        return self._home.survey()

    def _recent(self, key: _Key, read: Callable[[], _Value], *, seconds: float = RECENT_SECONDS) -> _Value:
        """Return the value as it was read at most `seconds` ago; at most twice that while another thread
        reads it again."""
        now, mine = self._clock.now(), object()
        with self._guard:
            kept = self._kept.get(key)
            if kept is not None and now - (2 if key in self._reading else 1) * seconds < kept[0] <= now:
                return cast("_Value", kept[1])
            self._reading[key] = mine
        value = None
        try:
            value = read()
        finally:
            self._take_in(key, mine, now, value)
        return value

    def _take_in(self, key: _Key, mine: object, now: float, value: object) -> None:
        """Cache the value that was read, unless it was written in the meantime, or is missing (it may be
        created at the next moment)."""
        with self._guard:
            if self._reading.get(key) is not mine:
                return
            del self._reading[key]
            if value is None:
                self._kept.pop(key, None)
                return
            self._kept[key] = (now, value)

    def _forget(self, *key: str) -> None:
        with self._guard:
            self._kept.pop(key, None)
            self._reading.pop(key, None)

    def _forget_all(self) -> None:
        with self._guard:
            self._kept.clear()
            self._reading.clear()
