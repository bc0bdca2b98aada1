"""Views: the fields of watched objects that the controller keeps in memory, a few hundred bytes each. Read
from the API's JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from certmill.controller import ingress, virtualserver
from certmill.controller.shim import Desired, Rules, signature
from certmill.home import layout
from certmill.home.kubernetes.history import HISTORY_ANNOTATION
from certmill.home.kubernetes.secrets import MANAGERS
from certmill.home.kubernetes.status import ATTEMPT_ANNOTATION, is_asked, names_an_order
from certmill.http01.edit_in_place import certificates_served
from certmill.http01.ingress import solver_certificate
from certmill.kube.client import FIELD_MANAGER
from certmill.kube.objects import (
    JsonObject,
    Meta,
    instant_of,
    managed_fields,
    mapping,
    meta_of,
    sequence,
    text,
)
from certmill.kube.resources import INGRESSES, VIRTUAL_SERVERS
from certmill.model.annotations import CERTIFICATE_NAME, ISSUER_GROUP, ISSUER_KIND, ISSUER_NAME, MANAGED_LABEL
from certmill.model.reason import Reason
from certmill.model.secret import TLS_CERTIFICATE, TLS_PRIVATE_KEY

MANAGED = f"{MANAGED_LABEL}=true"
"""Label selector of the Secrets that certmill watches."""

_KEPT_BY_US: Final = (ATTEMPT_ANNOTATION, HISTORY_ANNOTATION)
"""Annotations that certmill writes together with a status. Their changes do not cause a reconcile request."""
_MAX_NAME: Final = 254
"""Names are cut after this number of characters: one more than a valid name has, so a cut name matches
nothing."""

_MAX_LED: Final = 100
"""Limit for the Certificates in the challenge annotation of an Ingress, because any user may write it. After
those are done, the next ones are read."""

_RULES: Final[Mapping[str, Rules]] = {
    INGRESSES.kind: ingress.RULES,
    VIRTUAL_SERVERS.kind: virtualserver.RULES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateView:
    """A Certificate. `asked`: a user set the condition Issuing. `failure`: time and count of the last
    failure. `ready` and `failed`: for the current generation."""

    namespace: str
    name: str
    uid: str
    generation: int
    secret_name: str
    issuer: tuple[str, str, str]
    metadata: int
    ready: bool
    issuing: bool
    asked: bool
    failure: tuple[str, int]
    failed: bool
    renewal_time: float | None
    not_after: float | None
    not_before: float | None
    owner: tuple[str, str, str] | None
    """(kind, name, uid) of the Ingress or VirtualServer that is its controller; `made`: what those compare of
    it."""
    made: int
    deleting: bool = False
    may_have_left: bool = field(default=False, compare=False)
    """Whether challenge records of an order may still exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretView:
    """A Secret of ours: which Certificate and issuer its annotations name, its version, a digest of what
    others have written (0: none), whether they have written the pair after us."""

    namespace: str
    name: str
    version: str
    certificate: str
    issuer: tuple[str, str, str]
    by_others: int
    replaced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerView:
    """An Issuer or ClusterIssuer. `ready`: as of this generation."""

    namespace: str
    name: str
    uid: str
    generation: int
    annotations: int
    ready: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShimView:
    """An Ingress or VirtualServer: its Certificates and what is wrong, as a digest; the name of each that it
    wants, and what it compares of it; the Secrets that it names (None: whatever it owns may stay); whether
    something in it is a mistake to tell of."""

    namespace: str
    name: str
    uid: str
    content: int
    desired: tuple[tuple[str, int], ...] = ()
    secret_names: frozenset[str] | None = None
    is_mistaken: bool = False
    leads_for: frozenset[str] = field(default=frozenset(), compare=False)
    """The Certificates that have a challenge route in it."""


def certificate_view(body: Mapping[str, object]) -> CertificateView:
    """Strip a Certificate."""
    meta, spec, status = meta_of(body), mapping(body.get("spec")), mapping(body.get("status"))
    ref = mapping(spec.get("issuerRef"))
    conditions = {text(mapping(one).get("type")): mapping(one) for one in sequence(status.get("conditions"))}
    ready, issuing = conditions.get("Ready", {}), conditions.get("Issuing", {})
    attempts = status.get("failedIssuanceAttempts")
    counted = attempts if isinstance(attempts, int) else 0
    owner = _shim_of(meta)
    return CertificateView(
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        generation=meta.generation,
        secret_name=text(spec.get("secretName"))[:_MAX_NAME],
        issuer=_issuer(text(ref.get("name")), text(ref.get("kind")), text(ref.get("group"))),
        metadata=_digest(
            [
                meta.labels,
                {name: value for name, value in meta.annotations.items() if name not in _KEPT_BY_US},
            ]
        ),
        ready=ready.get("status") == "True" and _is_of(ready, meta),
        issuing=issuing.get("status") == "True",
        asked=(issuing.get("status") == "True" and issuing.get("reason") == Reason.MANUALLY_TRIGGERED)
        or is_asked(body),
        failure=(text(status.get("lastFailureTime")), counted),
        failed=counted > 0 and _is_of(issuing, meta),
        renewal_time=instant_of(status.get("renewalTime")),
        not_after=instant_of(status.get("notAfter")),
        not_before=instant_of(status.get("notBefore")),
        may_have_left=names_an_order(body),
        owner=owner,
        made=signature(body, _RULES[owner[0]]) if owner is not None else 0,
        deleting=meta.deleting,
    )


def secret_view(body: Mapping[str, object], *, manager: str = FIELD_MANAGER) -> SecretView:
    """Strip a Secret's metadata (its values are never asked for). `manager`: our field manager of Secrets."""
    meta = meta_of(body)
    name, kind, group = (
        meta.annotations.get(annotation, "") for annotation in (ISSUER_NAME, ISSUER_KIND, ISSUER_GROUP)
    )
    certificate = meta.annotations.get(CERTIFICATE_NAME, "")  # may be anything that its author likes
    written = managed_fields(body)
    by_others = [entry for entry in written if entry.get("manager") not in (manager, FIELD_MANAGER)]
    return SecretView(
        namespace=meta.namespace,
        name=meta.name,
        version=f"{meta.uid} {meta.resource_version}",
        certificate=certificate if layout.is_name("", certificate) else "",
        issuer=_issuer(name, kind, group),
        by_others=_digest(by_others) if by_others else 0,
        replaced=_is_replaced(written, (manager, *MANAGERS)),
    )


def issuer_view(body: Mapping[str, object]) -> IssuerView:
    """Strip an Issuer or a ClusterIssuer."""
    meta = meta_of(body)
    conditions = (mapping(one) for one in sequence(mapping(body.get("status")).get("conditions")))
    return IssuerView(
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        generation=meta.generation,
        annotations=_digest(meta.annotations),
        ready=any(
            one.get("type") == "Ready" and one.get("status") == "True" and _is_of(one, meta)
            for one in conditions
        ),
    )


def shim_view(body: Mapping[str, object], desired: Desired) -> ShimView:
    """Digest an Ingress or a VirtualServer. Their own controllers write statuses often, and our challenges
    rules: no Certificate is made of these."""
    meta = meta_of(body)
    content = [[one.document for one in desired.desired], [one.message for one in desired.events]]
    return ShimView(
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        content=_digest(content),
        desired=tuple(
            (one.name[:_MAX_NAME], signature(one.document, desired.rules)) for one in desired.desired
        ),
        secret_names=None
        if desired.secret_names is None
        else frozenset(name[:_MAX_NAME] for name in desired.secret_names),
        is_mistaken=bool(desired.events),
        leads_for=frozenset(
            name[:_MAX_NAME]
            for name in sorted(certificates_served(body) | ({solver_certificate(body)} - {""}))[:_MAX_LED]
        ),
    )


def identity(body: JsonObject) -> tuple[str, str]:
    """(namespace, name)."""
    meta = meta_of(body)
    return meta.namespace, meta.name


def _shim_of(meta: Meta) -> tuple[str, str, str] | None:
    found = (
        (one.kind, one.name[:_MAX_NAME], one.uid[:_MAX_NAME])
        for one in meta.owners
        if one.controller and one.kind in _RULES
    )
    return next(found, None)


def _is_replaced(written: Sequence[Mapping[str, object]], issuing: Sequence[str]) -> bool:
    """Whether somebody has written the pair later than we, or cert-manager before us, have written anything
    (metadata.managedFields)."""
    ours = [entry for entry in written if entry.get("manager") in issuing]
    fields = (
        (entry, mapping(mapping(entry.get("fieldsV1")).get("f:data")))
        for entry in written
        if entry not in ours
    )
    theirs = [
        text(entry.get("time"))
        for entry, data in fields
        if data.keys() & {f"f:{TLS_CERTIFICATE}", f"f:{TLS_PRIVATE_KEY}"}
    ]
    return max(theirs, default="") > max((text(entry.get("time")) for entry in ours), default="")


def _is_of(condition: Mapping[str, object], meta: Meta) -> bool:
    """Whether the condition is for the object's current generation."""
    return condition.get("observedGeneration") in (None, meta.generation)


def _issuer(name: str, kind: str, group: str) -> tuple[str, str, str]:
    return name[:_MAX_NAME], (kind or "Issuer")[:_MAX_NAME], (group or "cert-manager.io")[:_MAX_NAME]


def _digest(content: object) -> int:
    """A hash of eight bytes, enough to detect a change of one object."""
    said = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    return int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), "big")
