"""A home with cached reads, for the steps of a run, which read the same issuer and account many times.

A step acts on the manifest that its run began with (the digest in the record), and every run begins with a
reconcile that reads the home without this cache. If a step misses a change, the next step or the next run
sees it. A Certificate is cached for longer, because the controller reports its changes and the reconcile
request is noted in the record. Its status is cached with it, as it was read or last written by this process;
if another process has written since, the next write raises Conflict, and the status is read again.

A read costs the API server and this process a few milliseconds; a run has about 24 reads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from typing import Final, TypeVar, cast

from cachetools import LRUCache

from certmill.clock import Clock
from certmill.errors import Conflict, InvalidManifest, NewerRelease
from certmill.home.base import Change, Home, Manifest, ObservedCertificate, Problem, Survey
from certmill.model.certificate import Certificate
from certmill.model.issuer import Issuer
from certmill.model.names import CertificateId
from certmill.model.object_ref import ObjectRef
from certmill.model.secret import Secret
from certmill.model.status import CertificateStatus, IssuerStatus

RECENT_SECONDS: Final = 2.0
CERTIFICATE_SECONDS: Final = 30.0
_MOST: Final = 2_000
_MOST_STATUSES: Final = 500
"""A status has the whole object that it was read from, some 20 kB in memory."""
_STATUS: Final = "Certificate status"

_Value = TypeVar("_Value")
_Key = tuple[str, ...]


class _Cache:
    """Values by key, each with the time at which its read began. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._values: LRUCache[_Key, tuple[float, object]] = LRUCache(_MOST)
        self._statuses: LRUCache[_Key, tuple[float, object]] = LRUCache(_MOST_STATUSES)
        self._reading: dict[_Key, object] = {}

    def find(self, key: _Key, seconds: float) -> object | None:
        """Return the value as it was read at most `seconds` ago; at most twice that while another thread
        reads it again. None: there is none."""
        now = self._clock.now()
        with self._guard:
            kept = self._of(key).get(key)
            age = (2 if key in self._reading else 1) * seconds
            return kept[1] if kept is not None and now - age < kept[0] <= now else None

    def read(self, keys: Sequence[_Key], read: Callable[[], Sequence[object]]) -> Sequence[object]:
        """Read the values of these keys. They are cached unless they are written in the meantime. A missing
        value (None) is not cached: it may be created at the next moment."""
        now, mine = self._clock.now(), object()
        with self._guard:
            self._reading.update(dict.fromkeys(keys, mine))
        values: Sequence[object] = [None] * len(keys)
        try:
            values = read()
        finally:
            with self._guard:
                for key, value in zip(keys, values, strict=True):
                    if self._reading.get(key) is mine:
                        self._store(key, now, value)
        return values

    def put(self, key: _Key, value: object | None) -> None:
        """Store a value that was written; None: it is not known."""
        with self._guard:
            self._store(key, self._clock.now(), value)

    def clear(self) -> None:
        """Forget all values."""
        with self._guard:
            self._values.clear()
            self._statuses.clear()
            self._reading.clear()

    def _store(self, key: _Key, now: float, value: object | None) -> None:
        self._reading.pop(key, None)
        if value is None:
            self._of(key).pop(key, None)
        else:
            self._of(key)[key] = (now, value)

    def _of(self, key: _Key) -> LRUCache[_Key, tuple[float, object]]:
        return self._statuses if key[0] == _STATUS else self._values


class CachedHome:
    """A Home over another. A value that is written through it is read back at once."""

    def __init__(self, home: Home, clock: Clock) -> None:
        self._home = home
        self._cache = _Cache(clock)
        self._reads_again = False

    def cached(self) -> CachedHome:
        """Return the same home, whose reads may return what the cache has."""
        return self._sharing(reads_again=False)

    def uncached(self) -> CachedHome:
        """Return the same home, whose reads all return the current state. Its reads and writes update the
        cache."""
        return self._sharing(reads_again=True)

    @property
    def watched(self) -> bool:
        return self._home.watched

    def certificate(self, certificate: CertificateId) -> Certificate | None:
        found = self._find(("Certificate", certificate), CERTIFICATE_SECONDS)
        if found is not None:
            return cast("Certificate", found)
        try:
            observed = self.observe(certificate)
        except NewerRelease:  # only the status cannot be read
            return self._home.certificate(certificate)
        return observed.certificate if observed is not None else None

    def observe(self, certificate: CertificateId) -> ObservedCertificate | None:
        observed: ObservedCertificate | None = None

        def read() -> tuple[Certificate | None, CertificateStatus | None]:
            nonlocal observed
            observed = self._home.observe(certificate)
            return (
                (observed.certificate, _versioned(observed.status)) if observed is not None else (None, None)
            )

        self._cache.read([("Certificate", certificate), (_STATUS, certificate)], read)
        return observed

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

    def write_documented(self, secrets: Sequence[ObjectRef]) -> tuple[Problem, ...]:
        problems = self._home.write_documented(secrets)
        self._cache.clear()
        return problems

    def apply(self, manifest: Manifest, document: str) -> Change:
        done = self._home.apply(manifest, document)
        self._cache.clear()
        return done

    def apply_all(self, manifests: Sequence[tuple[Manifest, str]]) -> Iterator[Change | InvalidManifest]:
        for done in self._home.apply_all(manifests):
            self._cache.clear()
            yield done

    def request(self, certificate: Certificate) -> Change:
        done = self._home.request(certificate)
        self._forget("Certificate", certificate.id)
        self._forget(_STATUS, certificate.id)
        return done

    def delete(self, kind: str, namespace: str, name: str) -> bool:
        done = self._home.delete(kind, namespace, name)
        self._cache.clear()
        return done

    def created(self, ref: ObjectRef) -> float | None:
        return self._home.created(ref)

    def certificate_status(self, certificate: CertificateId) -> CertificateStatus:
        key = (_STATUS, certificate)
        if (found := self._find(key, CERTIFICATE_SECONDS)) is not None:
            return cast("CertificateStatus", found)
        status = CertificateStatus()

        def read() -> tuple[CertificateStatus | None]:
            nonlocal status
            status = self._home.certificate_status(certificate)
            return (_versioned(status),)

        self._cache.read([key], read)
        return status

    def write_certificate_status(
        self, certificate: CertificateId, status: CertificateStatus
    ) -> CertificateStatus | None:
        """Write the status. After a Conflict the next read returns the current one."""
        written = None
        try:
            written = self._home.write_certificate_status(certificate, status)
        except Conflict:
            self._forget("Certificate", certificate)
            raise
        finally:
            self._cache.put((_STATUS, certificate), _versioned(written))
        return written

    def issuer_status(self, issuer: Issuer) -> IssuerStatus:
        return self._recent(
            ("status", issuer.reference, issuer.uid), lambda: self._home.issuer_status(issuer)
        )

    def write_issuer_status(self, issuer: Issuer, status: IssuerStatus) -> None:
        self._home.write_issuer_status(issuer, status)
        self._forget("status", issuer.reference, issuer.uid)

    def refuse(self, ref: ObjectRef, *, reason: str, message: str) -> bool:
        return self._home.refuse(ref, reason=reason, message=message)

    def secrets_namespace(self, issuer: Issuer) -> str:
        return self._home.secrets_namespace(issuer)

    def survey(self) -> Survey:
        return self._home.survey()

    def _sharing(self, *, reads_again: bool) -> CachedHome:
        other = copy(self)
        other._reads_again = reads_again  # noqa: SLF001 - of its own class
        return other

    def _recent(self, key: _Key, read: Callable[[], _Value]) -> _Value:
        if (found := self._find(key, RECENT_SECONDS)) is not None:
            return cast("_Value", found)
        return cast("_Value", self._cache.read([key], lambda: (read(),))[0])

    def _find(self, key: _Key, seconds: float) -> object | None:
        return None if self._reads_again else self._cache.find(key, seconds)

    def _forget(self, *key: str) -> None:
        self._cache.put(key, None)


def _versioned(status: CertificateStatus | None) -> CertificateStatus | None:
    """Return the status if a write of it can be checked against later ones; otherwise it must not be
    cached."""
    return status if status is not None and status.version is not None else None
