"""Controller: joins all watches and turns their changes into an ordered set of reconcile requests, for the
leader.

A full pass runs at the start, after a change of leaders, and after Redis lost its data: correct Certificates
are adopted in bulk without a request each, and all other objects are reconciled. A resync repeats requests
for objects that are not in their desired state, because a request may get lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Final

from certmill.clock import Clock
from certmill.controller import changes
from certmill.controller.changes import ReconcileRequest, round_robin
from certmill.controller.ingress import NO_DEFAULT, DefaultIssuer
from certmill.controller.shims import readers
from certmill.controller.views import (
    MANAGED,
    CertificateView,
    IssuerView,
    SecretView,
    ShimView,
    certificate_view,
    issuer_view,
    secret_view,
    shim_view,
)
from certmill.controller.watch import Watched
from certmill.controller.watches import Watches
from certmill.kube.client import FIELD_MANAGER, KubeClient
from certmill.kube.resources import (
    CERTIFICATES,
    CLUSTER_ISSUERS,
    INGRESSES,
    ISSUERS,
    SECRETS,
    VIRTUAL_SERVERS,
    Resource,
)
from certmill.model.names import CertificateId, certificate_id, split_id
from certmill.model.object_ref import ObjectRef
from certmill.observe.certificate_gauges import CertificateGauge

RESYNC_SECONDS: Final = 30.0
_UNDER_WAY_EVERY: Final = 10
"""Every tenth resync includes running certificates. Each costs three API requests, and ten thousand may wait
for a CA's rate limit."""

Adopt = Callable[[Sequence[tuple[CertificateId, float]]], None]
"""Store the renewal times of these certificates: (id, seconds since the epoch)."""


class Controller:
    """The reconcile requests of one cluster. Threads: one for each watch, and the caller of `take`."""

    def __init__(
        self,
        client: KubeClient,
        clock: Clock,
        stop: threading.Event,
        namespaces: Sequence[str] = (),
        default_issuer: DefaultIssuer = NO_DEFAULT,
        secrets_manager: str = FIELD_MANAGER,
        resync_seconds: float = RESYNC_SECONDS,
    ) -> None:
        self._clock = clock
        self.resync_seconds = resync_seconds
        self._readers = readers(default_issuer)
        self._naming: dict[tuple[str, str], tuple[str, ...]] = {}
        self._guard = threading.Lock()
        self._requests: dict[ReconcileRequest, None] = {}
        self._there_is_one = threading.Event()
        self._resync_at = 0.0
        self._resyncs = 0
        self._live = False
        certificates = Watched(
            resource=CERTIFICATES, strip=certificate_view, changed=self._certificate_changed
        )
        strip = partial(secret_view, manager=secrets_manager)
        secrets = Watched(
            resource=SECRETS, strip=strip, changed=self._secret_changed, labels=MANAGED, metadata_only=True
        )
        self._certificates: Watches[CertificateView] = Watches(client, certificates, stop, namespaces)
        self._secrets: Watches[SecretView] = Watches(client, secrets, stop, namespaces)
        self._issuers = [
            Watches(client, self._watched_issuers(kind), stop, namespaces)
            for kind in (ISSUERS, CLUSTER_ISSUERS)
        ]
        self._shims = {
            kind.kind: Watches(client, self._watched_shims(kind), stop, namespaces)
            for kind in (INGRESSES, VIRTUAL_SERVERS)
        }

    def watches(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """(name, function to run in a separate thread) of every watch."""
        for watches in self._watches():
            yield from watches.runs()

    @property
    def synced(self) -> bool:
        """Whether everything has been listed once."""
        return all(watches.synced for watches in self._watches())

    def _watches(
        self,
    ) -> Iterator[Watches[CertificateView] | Watches[SecretView] | Watches[IssuerView] | Watches[ShimView]]:
        yield self._certificates
        yield self._secrets
        yield from self._issuers
        yield from self._shims.values()

    def adopt_ready(self, adopt: Adopt) -> int:
        """Full pass: adopt correct Certificates, and request to reconcile all other objects. Returns the
        number of adopted Certificates."""
        now = self._clock.now()
        with self._guard:
            self._requests.clear()
            self._live = True
        right: list[tuple[CertificateId, float]] = []
        for issuers in self._issuers:
            self._put(_all(issuers))
        self._put(self._shims_to_reconcile(first=True))
        for view in self._ours():
            if changes.is_adoptable(view, self._secret_of(view), now=now) and view.renewal_time is not None:
                right.append((certificate_id(view.namespace, view.name), view.renewal_time))
            else:
                self._put([ReconcileRequest(kind="Certificate", namespace=view.namespace, name=view.name)])
        adopt(right)
        self._resync_at = now + self.resync_seconds
        return len(right)

    def covers(self, certificate: CertificateId) -> bool:
        """Whether Certificates of its namespace are watched."""
        return self._certificates.covers(split_id(certificate)[0])

    def gauges(self) -> tuple[dict[CertificateId, CertificateGauge], dict[ObjectRef, bool]]:
        """All Certificates and issuers that certmill manages, for the metrics."""
        certificates = {certificate_id(view.namespace, view.name): _gauge(view) for view in self._ours()}
        issuers = {
            ObjectRef.of(watches.kind, view.namespace, view.name): view.ready
            for watches in self._issuers
            for view in watches.views()
        }
        return certificates, issuers

    def take(
        self, limit: int, *, seconds: float, queue_is_short: Callable[[], bool] = lambda: True
    ) -> list[ReconcileRequest]:
        """At most `limit` requests, round-robin over the namespaces; waits up to `seconds` for the first.
        Return them with `put_back` if they could not be published.

        `queue_is_short()`: whether the workers' queue is short. If it is long, requests are late rather than
        lost, and no resync runs."""
        self._there_is_one.wait(seconds)
        self._resync(queue_is_short)
        with self._guard:
            taken = list(islice(round_robin(self._requests), limit))
            for request in taken:
                del self._requests[request]
            if not self._requests:
                self._there_is_one.clear()
        return taken

    def put_back(self, requests: Sequence[ReconcileRequest]) -> None:
        """Return requests that could not be published, for example without Redis; they come first again."""
        with self._guard:
            self._requests = dict.fromkeys([*requests, *self._requests])
        self._there_is_one.set()

    def _put(self, requests: Iterable[ReconcileRequest]) -> None:
        with self._guard:
            self._requests.update(dict.fromkeys(requests))
            if self._requests:
                self._there_is_one.set()

    def _resync(self, queue_is_short: Callable[[], bool]) -> None:
        """Request again what a lost request may have been about."""
        now = self._clock.now()
        self._resync_at = min(self._resync_at, now + self.resync_seconds)  # the clock may have been set back
        if not self._live or now < self._resync_at:
            return
        self._resync_at = now + self.resync_seconds
        if not queue_is_short():
            return
        self._resyncs += 1
        under_way_too = self._resyncs % _UNDER_WAY_EVERY == 0
        for watch in self._issuers:
            self._put(
                ReconcileRequest(kind=watch.kind, namespace=view.namespace, name=view.name)
                for view in watch.views()
                if not view.ready
            )
        self._put(
            ReconcileRequest(kind="Certificate", namespace=view.namespace, name=view.name)
            for view in self._ours()
            if changes.is_expired(view, now=now)
            or (changes.is_unfinished(view, self._secret_of(view)) and (under_way_too or not view.issuing))
        )
        self._put(self._shims_to_reconcile(first=False))

    def _shims_to_reconcile(self, *, first: bool) -> Iterator[ReconcileRequest]:
        """Requests for Ingresses and VirtualServers whose Certificates differ from the desired ones, or that
        have orphaned challenge routes; with `first` also for those with an event to record."""
        find = self._certificates.view
        for kind, shims in self._shims.items():
            for view in shims.views():
                is_due = changes.misses_certificate(view, find) or changes.has_orphaned_route(view, find)
                if is_due or (first and changes.has_event(view, find)):
                    yield ReconcileRequest(kind=kind, namespace=view.namespace, name=view.name)
        for certificate in self._certificates.views():
            yield from changes.of_owner(certificate, self._shim_of(certificate), gone=False)

    def _shim_of(self, view: CertificateView) -> ShimView | None:
        return (
            self._shims[view.owner[0]].view(view.namespace, view.owner[1]) if view.owner is not None else None
        )

    def _ours(self) -> Iterator[CertificateView]:
        """All Certificates, without those whose issuer has another API group: another program manages
        them."""
        yield from (view for view in self._certificates.views() if view.issuer[2] == CERTIFICATES.group)

    def _secret_of(self, view: CertificateView) -> SecretView | None:
        return self._secrets.view(view.namespace, view.secret_name)

    def _certificate_changed(self, before: CertificateView | None, after: CertificateView | None) -> None:
        left = self._name_secret(before, after)
        view = after or before
        if self._live and view is not None:
            self._put(changes.of_certificate(before, after))
            self._put(changes.of_owner(view, self._shim_of(view), gone=after is None))
            self._put(
                ReconcileRequest(kind="Certificate", namespace=view.namespace, name=name) for name in left
            )

    def _name_secret(self, before: CertificateView | None, after: CertificateView | None) -> tuple[str, ...]:
        """Update the index from Secret to Certificates. Returns the other Certificates with the Secret that
        this one no longer names, because one of them becomes its owner."""
        key_before, key_after = (
            (view.namespace, view.secret_name) if view is not None else None for view in (before, after)
        )
        if key_before == key_after:
            return ()
        if after is not None and key_after is not None:
            self._naming[key_after] = (*self._naming.get(key_after, ()), after.name)
        if before is None or key_before is None:
            return ()
        others = tuple(name for name in self._naming.pop(key_before, ()) if name != before.name)
        if others:
            self._naming[key_before] = others
        return others

    def _secret_changed(self, before: SecretView | None, after: SecretView | None) -> None:
        view = after or before
        if self._live and view is not None:
            owner = self._certificates.view(view.namespace, view.certificate)
            self._put(changes.of_secret(before, after, owner))

    def _watched_issuers(self, resource: Resource) -> Watched[IssuerView]:
        def changed(before: IssuerView | None, after: IssuerView | None) -> None:
            if self._live:
                self._put(changes.of_issuer(resource.kind, before, after))

        return Watched(resource=resource, strip=issuer_view, changed=changed)

    def _watched_shims(self, resource: Resource) -> Watched[ShimView]:
        def changed(before: ShimView | None, after: ShimView | None) -> None:
            if self._live:
                self._put(changes.of_shim(resource.kind, before, after))

        def strip(body: Mapping[str, object]) -> ShimView:
            return shim_view(body, self._readers[resource.kind](body))

        return Watched(resource=resource, strip=strip, changed=changed, optional=resource is VIRTUAL_SERVERS)


def _gauge(view: CertificateView) -> CertificateGauge:
    name, kind, group = view.issuer
    return CertificateGauge(
        issuer_name=name,
        issuer_kind=kind,
        issuer_group=group,
        not_before=view.not_before,
        not_after=view.not_after,
        renewal_time=view.renewal_time,
        ready=view.ready,
    )


def _all(watches: Watches[IssuerView]) -> Iterator[ReconcileRequest]:
    yield from (
        ReconcileRequest(kind=watches.kind, namespace=namespace, name=name)
        for namespace, name in watches.keys()  # noqa: SIM118 - no dict
    )
