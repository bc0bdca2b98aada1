"""Translates the status of a Certificate or an Issuer to the form of cert-manager's CRDs and back (reference
§1.3). Pure.

One annotation holds what those CRDs have no field for: the next attempt and its spec, and the last time of
issue while that matters. If a user (or cert-manager) changes `lastFailureTime` or `failedIssuanceAttempts`,
the time of the next attempt changes: then cert-manager's rule applies (1 h · 2^(n-1), 32 h at most).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from certmill.errors import NewerRelease
from certmill.home.kubernetes.ari import ari_of, with_ari
from certmill.home.kubernetes.conditions import conditions_of, generation_of, merged_conditions, raw_condition
from certmill.home.kubernetes.history import history_of
from certmill.kube.client import FIELD_MANAGER
from certmill.kube.objects import (
    JsonObject,
    instant_of,
    managed_fields,
    mapping,
    meta_of,
    rfc3339,
    text,
)
from certmill.model.persisted import Codec
from certmill.model.revocation import Revocation
from certmill.model.status import CertificateStatus, Condition, IssuerStatus

ATTEMPT_ANNOTATION = "certmill.io/next-attempt"
"""The annotation is JSON. `next`: the time of the next attempt. `after` and `attempts`: the failure before
it. `spec`: the digest of what failed. `run`: the run that failed. `issued`: the last issuance. `order`,
`order_spec`: the order whose DNS-01 values may still be in DNS, and the digest of its spec. `revoked`: the
revocation of the stored certificate. `ari_at_once`: the end of the suggested window if that was in the past
when the CA first answered with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """The content of the annotation. Instants have the format of the rest of the object (RFC 3339)."""

    next: str = ""
    after: str = ""
    attempts: int = 0
    spec: str = ""
    run: str = ""
    issued: str = ""
    order: str = ""
    order_spec: str = ""
    revoked: Revocation | None = None
    ari_at_once: str = ""


_CODEC: Final = Codec(_Kept, lenient=True)

_HOUR = 3600.0
_CEILING_HOURS = 32
_SOON = 3600.0
"""In seconds. A pair that is due for renewal within an hour of its issue was issued under a wrong clock, or
with an unusual renewBefore. Then the time of its issue is stored, so that certmill does not place an order
every second (renewal.policy). For all other certificates no request is spent on it."""


def certificate_status_of(body: Mapping[str, object]) -> CertificateStatus:
    """Read `.status` and our annotation; missing or damaged parts have their defaults.

    The version of the status is the whole object: `resourceVersion` says whether it is still the newest, and
    a write retains the parts of other writers. Raises NewerRelease.
    """
    status = mapping(body.get("status"))
    failed_at, attempts = (
        instant_of(status.get("lastFailureTime")),
        _count(status.get("failedIssuanceAttempts")),
    )
    kept = _kept(body)
    issued, renewal = instant_of(kept.issued), instant_of(status.get("renewalTime"))
    next_attempt, failed_spec = _attempt(body, kept, failed_at, attempts)
    return CertificateStatus(
        conditions=conditions_of(status),
        not_before=instant_of(status.get("notBefore")),
        not_after=instant_of(status.get("notAfter")),
        renewal_time=renewal,
        revision=_count(status.get("revision")),
        last_issuance_time=issued if _is_soon(issued, renewal) else None,
        last_failure_time=failed_at,
        failed_issuance_attempts=attempts,
        next_attempt=next_attempt,
        failed_spec=failed_spec,
        failed_run=kept.run if _is_of(kept, failed_at, attempts) else "",
        asked=is_asked(body),
        order=kept.order,
        order_spec=kept.order_spec,
        ari=ari_of(status, at_once=kept.ari_at_once),
        history=history_of(body),
        revoked=kept.revoked,
        version=body or None,
    )


def read_from(status: CertificateStatus) -> JsonObject | None:
    """Return the object that this status was read from; None if it was not read from an API server."""
    return cast("JsonObject", status.version) if isinstance(status.version, dict) else None


def is_asked(body: Mapping[str, object]) -> bool:
    """Whether Issuing is True, and another program than certmill set it (metadata.managedFields)."""
    return raw_condition(body, "Issuing").get("status") == "True" and any(
        "f:status" in _of_issuing(entry)
        for entry in managed_fields(body)
        if entry.get("manager") != FIELD_MANAGER
    )


def _of_issuing(entry: Mapping[str, object]) -> Mapping[str, object]:
    """Return what an entry of managedFields contains about the condition Issuing."""
    conditions = mapping(mapping(mapping(entry.get("fieldsV1")).get("f:status")).get("f:conditions"))
    return mapping(conditions.get('k:{"type":"Issuing"}'))


def with_certificate_status(body: Mapping[str, object], status: CertificateStatus) -> JsonObject:
    """Return the object with this status. Parts of the status that others wrote and we do not know stay."""
    times = {
        "notBefore": status.not_before,
        "notAfter": status.not_after,
        "renewalTime": status.renewal_time,
        "lastFailureTime": status.last_failure_time,
    }
    fields: JsonObject = {
        name: rfc3339(instant) if instant is not None else None for name, instant in times.items()
    }
    fields |= {
        "revision": status.revision or None,
        "failedIssuanceAttempts": status.failed_issuance_attempts or None,
        "acme": with_ari(mapping(body.get("status")), status.ari),
    }
    return _with(body, fields, status.conditions)


def attempt_of(status: CertificateStatus, body: Mapping[str, object]) -> str | None:
    """Return our annotation for this status, including the fields that a newer release has written there;
    None when there is nothing to store. An annotation of an earlier status then does not match this one and
    is ignored."""
    failed = status.next_attempt is not None and status.last_failure_time is not None
    issued = status.last_issuance_time if _is_soon(status.last_issuance_time, status.renewal_time) else None
    kept = _Kept(
        next=_text(status.next_attempt if failed else None),
        after=_text(status.last_failure_time if failed else None),
        attempts=status.failed_issuance_attempts if failed else 0,
        spec=status.failed_spec if failed else "",
        run=status.failed_run if failed else "",
        issued=_text(issued),
        order=status.order,
        order_spec=status.order_spec,
        revoked=status.revoked,
        ari_at_once=_text(status.ari.end if status.ari is not None and status.ari.at_once else None),
    )
    unknown, before = _CODEC.unknown(_annotation(body)), _kept(body)
    is_over = bool(before.order and not status.order) or (
        before.revoked is not None and status.revoked is None
    )
    return _CODEC.dump(kept, unknown=unknown) if unknown or is_over or kept != _Kept() else None


def names_an_order(body: Mapping[str, object]) -> bool:
    """Whether the annotation names an order whose DNS-01 values may still be in DNS."""
    try:
        return bool(_kept(body).order)
    except NewerRelease:
        return True


def _text(instant: float | None) -> str:
    return rfc3339(instant) if instant is not None else ""


def issuer_status_of(body: Mapping[str, object]) -> IssuerStatus:
    """Read `.status`. The account in it belongs to the server of `spec` if Ready is for the current spec, or
    if cert-manager's check finds that both have the same host (reference §1.1). Otherwise its server is
    unknown."""
    status = mapping(body.get("status"))
    acme = mapping(status.get("acme"))
    server, uri = text(mapping(mapping(body.get("spec")).get("acme")).get("server")), text(acme.get("uri"))
    return IssuerStatus(
        conditions=conditions_of(status),
        uri=uri,
        last_registered_email=text(acme.get("lastRegisteredEmail")),
        last_private_key_hash=text(acme.get("lastPrivateKeyHash")),
        server=server if _is_ready(body) or _same_host(server, uri) else "",
    )


def with_issuer_status(body: Mapping[str, object], status: IssuerStatus) -> JsonObject:
    """The object with this status."""
    acme = {
        "uri": status.uri,
        "lastRegisteredEmail": status.last_registered_email,
        "lastPrivateKeyHash": status.last_private_key_hash,
    }
    return _with(
        body, {"acme": {name: value for name, value in acme.items() if value} or None}, status.conditions
    )


def with_refusal(body: Mapping[str, object], reason: str, message: str, *, now: float) -> JsonObject:
    """Return the object with Ready=False, because its spec cannot be used. All other parts of its status
    stay."""
    status = mapping(body.get("status"))
    others = tuple(one for one in conditions_of(status) if one.type != "Ready")
    ready = Condition(type="Ready", status=False, reason=reason, message=message, last_transition=now)
    return _with(body, {}, (ready, *others))


def _with(body: Mapping[str, object], fields: JsonObject, conditions: tuple[Condition, ...]) -> JsonObject:
    before = mapping(body.get("status"))
    merged = {name: value for name, value in {**before, **fields}.items() if value is not None}
    merged["conditions"] = merged_conditions(before, conditions, meta_of(body).generation)
    return {**body, "status": merged}


def _kept(body: Mapping[str, object]) -> _Kept:
    return _CODEC.load(_annotation(body))


def _annotation(body: Mapping[str, object]) -> str:
    return meta_of(body).annotations.get(ATTEMPT_ANNOTATION, "{}")


def _attempt(
    body: Mapping[str, object], kept: _Kept, failed_at: float | None, attempts: int
) -> tuple[float | None, str]:
    """Return (the earliest time of the next attempt, the digest of what failed; "" matches any spec). The
    annotation counts only for the failure that it was written for."""
    if failed_at is None:
        return None, ""
    following, spec = instant_of(kept.next), kept.spec
    if following is not None and _is_of(kept, failed_at, attempts):
        return following, spec
    if not spec and generation_of(body, "Issuing") not in (None, meta_of(body).generation):
        # cert-manager recorded this failure for an earlier spec: a changed spec does not wait
        return None, ""
    return failed_at + _HOUR * min(2 ** min(max(attempts, 1) - 1, 6), _CEILING_HOURS), spec


def _is_of(kept: _Kept, failed_at: float | None, attempts: int) -> bool:
    """Whether the annotation is about the failure in the status."""
    return failed_at is not None and (instant_of(kept.after), kept.attempts) == (failed_at, attempts)


def _is_soon(issued: float | None, renewal: float | None) -> bool:
    return issued is not None and renewal is not None and renewal < issued + _SOON


def _is_ready(body: Mapping[str, object]) -> bool:
    ready = raw_condition(body, "Ready")
    return ready.get("status") == "True" and ready.get("observedGeneration") == meta_of(body).generation


def _same_host(server: str, uri: str) -> bool:
    return bool(uri) and server.split("/")[2:3] == uri.split("/")[2:3]


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
