"""What a change of a watched object means: which objects are to be looked at again. Pure; too much is only
work, too little is a defect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from certmill.controller.views import CertificateView, IssuerView, SecretView, ShimView
from certmill.home import layout


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileRequest:
    """Look at this object again. `namespace` is "" for a ClusterIssuer; `left` are Certificates that an
    Ingress or VirtualServer seems to want no more."""

    kind: str
    namespace: str
    name: str
    left: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """What its reconcile task is to look at: `namespace/name`, or the name of what has no namespace."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def of_certificate(
    before: CertificateView | None, after: CertificateView | None
) -> Iterator[ReconcileRequest]:
    """Its spec or metadata changed, it came or went, somebody asked for a run or changed the failure that
    counts: not our own statuses."""
    view = after or before
    if view is None:
        return
    if before is not None and after is not None:
        asked = after.asked and not before.asked
        if _wanted(before) == _wanted(after) and not asked and not _aged(before, after):
            return
    yield ReconcileRequest(kind="Certificate", namespace=view.namespace, name=view.name)


def of_secret(
    before: SecretView | None, after: SecretView | None, certificate: CertificateView | None
) -> Iterator[ReconcileRequest]:
    """It was changed or deleted by somebody: whose it was is looked at, and whose it is now. While its
    Certificate is being issued it is us who write it, unless others' fields say otherwise: that the issuing
    is over may be seen later than what somebody wrote after it."""
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
    """Its spec or annotations changed, or it came. One that went is noticed by what needs it."""
    if after is not None and (before is None or replace(before, ready=after.ready) != after):
        yield ReconcileRequest(kind=kind, namespace=after.namespace, name=after.name)


def of_shim(kind: str, before: ShimView | None, after: ShimView | None) -> Iterator[ReconcileRequest]:
    """Anything that its Certificates are made of changed. Those of one that went are the garbage collector's
    (ownerReferences)."""
    if after is not None and before != after:
        desired = {name for name, _ in after.desired}
        former = (
            name for name, _ in (before.desired if before is not None else ()) if layout.is_name("", name)
        )
        left = tuple(name for name in former if name not in desired)
        yield ReconcileRequest(kind=kind, namespace=after.namespace, name=after.name, left=left)


def of_owner(view: CertificateView, shim: ShimView | None, *, gone: bool) -> Iterator[ReconcileRequest]:
    """Somebody changed or deleted a Certificate that an Ingress or VirtualServer wants otherwise: that is
    looked at. So is one that was made again under its name, when the Certificate of the former is collected.
    `shim` is what is there now of the owner's name."""
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


def is_unsettled(shim: ShimView, certificates: Callable[[str, str], CertificateView | None]) -> bool:
    """Whether a Certificate that it wants is not there. One that is there is looked at from its own side."""
    return any(certificates(shim.namespace, name) is None for name, _ in shim.desired)


def is_led_for_nobody(shim: ShimView, certificates: Callable[[str, str], CertificateView | None]) -> bool:
    """Whether a challenge is led through it of a Certificate that is not being issued: Redis may have lost
    its memory in between."""
    found = (certificates(shim.namespace, name) for name in shim.leads_for)
    return any(one is None or not one.issuing for one in found)


def has_event(shim: ShimView, certificates: Callable[[str, str], CertificateView | None]) -> bool:
    """Whether there is something to tell on it: a mistake, or that a Certificate which it wants is there and
    not its own."""
    found = (certificates(shim.namespace, name) for name, _ in shim.desired)
    return shim.is_mistaken or any(
        one is not None and (one.owner is None or one.owner[2] != shim.uid) for one in found
    )


def _wanted(view: CertificateView) -> tuple[object, ...]:
    return view.uid, view.generation, view.metadata


def _aged(before: CertificateView, after: CertificateView) -> bool:
    """Whether somebody changed the failure that counts: ours count up, and are cleared when it gets ready or
    has a new pair."""
    if before.failure == after.failure or after.failure[1] > before.failure[1]:
        return False
    return not after.ready or (before.ready and before.not_after == after.not_after)


def is_right(certificate: CertificateView, secret: SecretView | None, *, now: float) -> bool:
    """Whether a Certificate can be taken as it stands at first sight: Ready for what it says now, its Secret
    there and of the same issuer, its pair as it was stored, nothing asked for, and no run lost that may have
    left values up."""
    if not certificate.ready or certificate.issuing or certificate.may_have_left:
        return False
    if certificate.renewal_time is None or certificate.not_after is None:
        return False
    if certificate.deleting:  # a run may be under way, which is to stop
        return False
    is_good = certificate.renewal_time > now and certificate.not_after > now and not certificate.failure[1]
    return is_good and secret is not None and _belongs(certificate, secret) and not secret.replaced


def is_open(certificate: CertificateView, secret: SecretView | None) -> bool:
    """Whether something is to be done for it, so that a look may have been lost. One that failed for what it
    says now has its time."""
    if certificate.deleting:
        return False
    stored = secret is not None and _belongs(certificate, secret)
    return certificate.issuing or not (certificate.failed or (certificate.ready and stored))


def is_over(certificate: CertificateView, *, now: float) -> bool:
    """Whether its pair has expired, and it is still said to be Ready."""
    return certificate.ready and certificate.not_after is not None and certificate.not_after <= now


def _belongs(certificate: CertificateView, secret: SecretView) -> bool:
    return secret.certificate == certificate.name and secret.issuer == certificate.issuer
