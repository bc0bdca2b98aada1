"""The watches together: what they see becomes looks to take, in order and each once, for whoever leads.

At first sight, after a change of leaders and after Redis has lost its memory, everything is gone through:
Certificates that are right are adopted in bulk, at no request each, Ingresses and VirtualServers whose
Certificates are what they ask for are left alone, the others are looked at. Now and then, what is not as it
should be is looked at again, and so is an Ingress or VirtualServer whose Certificates are not what it asks
for: a look may get lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice, zip_longest
from typing import Final

from certmill.clock import Clock
from certmill.controller import changes
from certmill.controller.changes import ReconcileRequest
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
from certmill.model.issuer import reference
from certmill.model.names import CertificateId, certificate_id
from certmill.observe.certificate_gauges import CertificateGauge

RESYNC_SECONDS: Final = 30.0
_UNDER_WAY_EVERY: Final = 10
"""Of so many resyncs one is of runs that go on too: of ten thousand that wait for a CA's rate limit, each
would be three requests."""

Adopt = Callable[[Sequence[tuple[CertificateId, float]]], None]
"""Keep these certificates until their renewal times."""


class Controller:
    """What is to be looked at. Threads: one a watch, and whoever calls `take`."""

    def __init__(
        self,
        client: KubeClient,
        clock: Clock,
        stop: threading.Event,
        namespaces: Sequence[str] = (),
        default_issuer: DefaultIssuer = NO_DEFAULT,
        secrets_manager: str = FIELD_MANAGER,
    ) -> None:
        self._clock = clock
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
        """(name, what to run in a thread of its own) of every watch."""
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

    def first_sight(self, adopt: Adopt) -> int:
        """Go through everything: adopt what is right, look at the rest. Returns how many were adopted."""
        now = self._clock.now()
        with self._guard:
            self._requests.clear()
            self._live = True
        right: list[tuple[CertificateId, float]] = []
        for issuers in self._issuers:
            self._put(_all(issuers))
        self._put(self._unsettled(first=True))
        for view in self._ours():
            if changes.is_right(view, self._secret_of(view), now=now) and view.renewal_time is not None:
                right.append((certificate_id(view.namespace, view.name), view.renewal_time))
            else:
                self._put([ReconcileRequest(kind="Certificate", namespace=view.namespace, name=view.name)])
        adopt(right)
        self._resync_at = now + RESYNC_SECONDS
        return len(right)

    def gauges(self) -> tuple[dict[CertificateId, CertificateGauge], dict[str, bool]]:
        """All Certificates and issuers of ours, for the metrics."""
        certificates = {certificate_id(view.namespace, view.name): _gauge(view) for view in self._ours()}
        issuers = {
            reference(watches.kind, view.namespace, view.name): view.ready
            for watches in self._issuers
            for view in watches.views()
        }
        return certificates, issuers

    def take(
        self, limit: int, *, seconds: float, keeps_up: Callable[[], bool] = lambda: True
    ) -> list[ReconcileRequest]:
        """The next looks, namespaces in turn; waits so long for one. Give them back with `put_back` if they
        could not be told.

        `keeps_up`: whether those who are told have little left to do. Else what they have been told is late,
        not lost."""
        self._there_is_one.wait(seconds)
        self._resync(keeps_up)
        with self._guard:
            taken = list(islice(_in_turns(self._requests), limit))
            for request in taken:
                del self._requests[request]
            if not self._requests:
                self._there_is_one.clear()
        return taken

    def put_back(self, requests: Sequence[ReconcileRequest]) -> None:
        """Redis is away: they come first again."""
        with self._guard:
            self._requests = dict.fromkeys([*requests, *self._requests])
        self._there_is_one.set()

    def _put(self, requests: Iterable[ReconcileRequest]) -> None:
        with self._guard:
            self._requests.update(dict.fromkeys(requests))
            if self._requests:
                self._there_is_one.set()

    def _resync(self, keeps_up: Callable[[], bool]) -> None:
        """A look may have been lost on its way: what it may have been about is looked at again."""
        now = self._clock.now()
        self._resync_at = min(self._resync_at, now + RESYNC_SECONDS)  # the clock may have been set back
        if not self._live or now < self._resync_at:
            return
        self._resync_at = now + RESYNC_SECONDS
        if not keeps_up():
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
            if changes.is_over(view, now=now)
            or (changes.is_open(view, self._secret_of(view)) and (under_way_too or not view.issuing))
        )
        self._put(self._unsettled(first=False))

    def _unsettled(self, *, first: bool) -> Iterator[ReconcileRequest]:
        """The Ingresses and VirtualServers whose Certificates are not what they ask for, or whose challenges
        are over; at first those too that there is something to tell of."""
        find = self._certificates.view
        for kind, shims in self._shims.items():
            for view in shims.views():
                is_due = changes.is_unsettled(view, find) or changes.is_led_for_nobody(view, find)
                if is_due or (first and changes.has_event(view, find)):
                    yield ReconcileRequest(kind=kind, namespace=view.namespace, name=view.name)
        for certificate in self._certificates.views():
            yield from changes.of_owner(certificate, self._shim_of(certificate), gone=False)

    def _shim_of(self, view: CertificateView) -> ShimView | None:
        return (
            self._shims[view.owner[0]].view(view.namespace, view.owner[1]) if view.owner is not None else None
        )

    def _ours(self) -> Iterator[CertificateView]:
        """The Certificates but those of issuers of another group, which are not ours to look at."""
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
        """Keep who names which Secret; those that name one which this Certificate names no more: the next
        owner is among them."""
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


def _in_turns(requests: Iterable[ReconcileRequest]) -> Iterator[ReconcileRequest]:
    """The first of each namespace, then the second of each: ten thousand of one do not hold up the one of
    another."""
    by_namespace: dict[str, list[ReconcileRequest]] = {}
    for request in requests:
        by_namespace.setdefault(request.namespace, []).append(request)
    turns = zip_longest(*by_namespace.values())
    return (request for turn in turns for request in turn if request is not None)


def _all(watches: Watches[IssuerView]) -> Iterator[ReconcileRequest]:
    yield from (
        ReconcileRequest(kind=watches.kind, namespace=namespace, name=name)
        for namespace, name in watches.keys()  # noqa: SIM118 - no dict
    )
