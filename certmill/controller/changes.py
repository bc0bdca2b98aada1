"""Decide which objects to reconcile after a change of a watched object. Pure. A superfluous request only
costs time; a missing one is a defect."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest

from certmill.controller.views import CertificateView, IssuerView, SecretView, ShimView
from certmill.home import layout


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileRequest:
    """A request to reconcile an object. `namespace` is "" for a ClusterIssuer. `left`: Certificates that an
    Ingress or VirtualServer seems to need no more."""

    kind: str
    namespace: str
    name: str
    left: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """The argument of the reconcile task: `namespace/name`, or the name of a cluster-scoped object."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def of_certificate(
    before: CertificateView | None, after: CertificateView | None
) -> Iterator[ReconcileRequest]:
    """Reconcile if the Certificate was created or deleted, its spec or metadata changed, or somebody
    requested a run or changed the failure count. Our own status writes are ignored."""
    view = after or before
    if view is None:
        return
    if before is not None and after is not None:
        asked = after.asked and not before.asked
        if _desired(before) == _desired(after) and not asked and not _failures_were_changed(before, after):
            return
    yield ReconcileRequest(kind="Certificate", namespace=view.namespace, name=view.name)


def of_secret(
    before: SecretView | None, after: SecretView | None, certificate: CertificateView | None
) -> Iterator[ReconcileRequest]:
    """Reconcile the previous and the current Certificate of a Secret that was changed or deleted.

    While the Certificate is being issued, certmill writes the Secret, so a change counts only if fields of
    other managers changed. The watch may show the end of issuing later than a change that came after it."""
    view = after or before
    if view is None or (before is not None and after is not None and before.version == after.version):
        return
    if (
        certificate is not None
        and certificate.issuing
        and after is not None
        and after.by_others == (before.by_others if before else 0)
    ):
        return
    for name in dict.fromkeys(
        each.certificate for each in (before, after) if each is not None and each.certificate
    ):
        yield ReconcileRequest(kind="Certificate", namespace=view.namespace, name=name)


def of_issuer(kind: str, before: IssuerView | None, after: IssuerView | None) -> Iterator[ReconcileRequest]:
    """Reconcile if the issuer was created, or its spec or annotations changed. Certificates notice a deleted
    issuer themselves."""
    if after is not None and (before is None or replace(before, ready=after.ready) != after):
        yield ReconcileRequest(kind=kind, namespace=after.namespace, name=after.name)


def of_shim(kind: str, before: ShimView | None, after: ShimView | None) -> Iterator[ReconcileRequest]:
    """Reconcile if anything changed that its Certificates depend on. The garbage collector deletes the
    Certificates of a deleted object (ownerReferences)."""
    if after is not None and before != after:
        desired = {name for name, _ in after.desired}
        former = (
            name for name, _ in (before.desired if before is not None else ()) if layout.is_name("", name)
        )
        left = tuple(name for name in former if name not in desired)
        yield ReconcileRequest(kind=kind, namespace=after.namespace, name=after.name, left=left)


def of_owner(view: CertificateView, shim: ShimView | None, *, gone: bool) -> Iterator[ReconcileRequest]:
    """Reconcile the Ingress or VirtualServer that owns a Certificate, if the Certificate was deleted or
    differs from the desired one. `shim` is the current object with the owner's name; it may have been created
    again."""
    if view.owner is None or shim is None:
        return
    request, desired = (
        ReconcileRequest(kind=view.owner[0], namespace=view.namespace, name=view.owner[1]),
        dict(shim.desired),
    )
    if gone:
        yield from [request] if view.name in desired else []
    elif shim.uid != view.owner[2]:
        return
    elif view.name in desired:
        yield from [request] if view.made != desired[view.name] else []
    elif shim.secret_names is not None and view.secret_name not in shim.secret_names:
        yield replace(request, left=(view.name,))


def misses_certificate(shim: ShimView, certificates: Callable[[str, str], CertificateView | None]) -> bool:
    """Whether a desired Certificate does not exist. Existing ones are reconciled by themselves."""
    return any(certificates(shim.namespace, name) is None for name, _ in shim.desired)


def has_orphaned_route(shim: ShimView, certificates: Callable[[str, str], CertificateView | None]) -> bool:
    """Whether it has a challenge route for a Certificate that is not being issued, for example after Redis
    lost its data."""
    found = (certificates(shim.namespace, name) for name in shim.leads_for)
    return any(one is None or not one.issuing for one in found)


def has_event(shim: ShimView, certificates: Callable[[str, str], CertificateView | None]) -> bool:
    """Whether an event is due on it: it has a mistake, or a desired Certificate exists and has another
    owner."""
    found = (certificates(shim.namespace, name) for name, _ in shim.desired)
    return shim.is_mistaken or any(
        one is not None and (one.owner is None or one.owner[2] != shim.uid) for one in found
    )


def _desired(view: CertificateView) -> tuple[object, ...]:
    return view.uid, view.generation, view.metadata


def _failures_were_changed(before: CertificateView, after: CertificateView) -> bool:
    """Whether somebody else changed the failure count. certmill only increases it, and clears it when the
    Certificate becomes ready or gets a new pair."""
    if before.failure == after.failure or after.failure[1] > before.failure[1]:
        return False
    return not after.ready or (before.ready and before.not_after == after.not_after)


def is_adoptable(certificate: CertificateView, secret: SecretView | None, *, now: float) -> bool:
    """Whether a Certificate can be adopted without reconciling: it is Ready for its current generation, its
    Secret exists with the same issuer and an unchanged pair, no run is requested, and no lost run may have
    left challenge records."""
    if not certificate.ready or certificate.issuing or certificate.may_have_left:
        return False
    if certificate.renewal_time is None or certificate.not_after is None:
        return False
    if certificate.deleting:  # a run may be in progress and must stop
        return False
    is_good = certificate.renewal_time > now and certificate.not_after > now and not certificate.failure[1]
    return is_good and secret is not None and _belongs(certificate, secret) and not secret.replaced


def is_unfinished(certificate: CertificateView, secret: SecretView | None) -> bool:
    """Whether work is left for the Certificate, so a lost reconcile request must be repeated. A Certificate
    that failed for its current generation has a due time already. The issuer of its Secret may be a fall-back
    issuer."""
    if certificate.deleting:
        return False
    stored = secret is not None and secret.certificate == certificate.name
    return certificate.issuing or not (certificate.failed or (certificate.ready and stored))


def is_expired(certificate: CertificateView, *, now: float) -> bool:
    """Whether its pair has expired although its condition is still Ready."""
    return certificate.ready and certificate.not_after is not None and certificate.not_after <= now


def _belongs(certificate: CertificateView, secret: SecretView) -> bool:
    return secret.certificate == certificate.name and secret.issuer == certificate.issuer


def round_robin(requests: Iterable[ReconcileRequest]) -> Iterator[ReconcileRequest]:
    """Round-robin over namespaces, so that ten thousand requests of one namespace do not delay another
    one."""
    by_namespace: dict[str, list[ReconcileRequest]] = {}
    for request in requests:
        by_namespace.setdefault(request.namespace, []).append(request)
    rounds = zip_longest(*by_namespace.values())
    return (request for one_round in rounds for request in one_round if request is not None)
