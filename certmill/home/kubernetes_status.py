"""The status of a Certificate or an Issuer in the form of cert-manager's CRDs, and back (reference §1.3). Pure.

What those have no field for, the next attempt and what it is for, is in one annotation. Whoever changes `lastFailureTime` or
`failedIssuanceAttempts` by hand changes when the next attempt comes, as at cert-manager: then its rule holds (1 h · 2^(n-1), 32 h at most).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress

from certmill.kube.objects import JsonObject, instant_of, mapping, meta_of, rfc3339, sequence, text
from certmill.model.status import CertificateStatus, Condition, IssuerStatus

ATTEMPT_ANNOTATION = "certmill.io/next-attempt"
"""JSON: `next` and `after` (the failure it follows), RFC 3339; `spec`: the digest of what failed."""

_HOUR = 3600.0
_CEILING_HOURS = 32


def certificate_status_of(body: Mapping[str, object]) -> CertificateStatus:
    """Read `.status` and our annotation; what is missing or damaged has its default."""
    status = mapping(body.get("status"))
    failed_at, attempts = instant_of(status.get("lastFailureTime")), _count(status.get("failedIssuanceAttempts"))
    next_attempt, failed_spec = _attempt(body, failed_at, attempts)
    return CertificateStatus(
        conditions=_conditions(status),
        not_before=instant_of(status.get("notBefore")),
        not_after=instant_of(status.get("notAfter")),
        renewal_time=instant_of(status.get("renewalTime")),
        revision=_count(status.get("revision")),
        last_failure_time=failed_at,
        failed_issuance_attempts=attempts,
        next_attempt=next_attempt,
        failed_spec=failed_spec,
    )


def with_certificate_status(body: Mapping[str, object], status: CertificateStatus) -> JsonObject:
    """The object with this status. What others keep in the status, and we do not know, stays."""
    times = {
        "notBefore": status.not_before,
        "notAfter": status.not_after,
        "renewalTime": status.renewal_time,
        "lastFailureTime": status.last_failure_time,
    }
    fields: JsonObject = {name: rfc3339(instant) if instant is not None else None for name, instant in times.items()}
    fields |= {"revision": status.revision or None, "failedIssuanceAttempts": status.failed_issuance_attempts or None}
    return _with(body, fields, status.conditions)


def attempt_of(status: CertificateStatus) -> str | None:
    """The annotation that goes with a failed status; None when no failure counts."""
    if status.next_attempt is None or status.last_failure_time is None:
        return None
    after, following = rfc3339(status.last_failure_time), rfc3339(status.next_attempt)
    return json.dumps({"next": following, "after": after, "spec": status.failed_spec}, separators=(",", ":"))


def issuer_status_of(body: Mapping[str, object]) -> IssuerStatus:
    """Read `.status`. The server it is about is that of `spec` while the condition is of this generation, else nobody's."""
    status = mapping(body.get("status"))
    acme = mapping(status.get("acme"))
    generation = meta_of(body).generation
    server = text(mapping(mapping(body.get("spec")).get("acme")).get("server"))
    current = any(mapping(one).get("observedGeneration") == generation for one in sequence(status.get("conditions")))
    return IssuerStatus(
        conditions=_conditions(status),
        uri=text(acme.get("uri")),
        last_registered_email=text(acme.get("lastRegisteredEmail")),
        last_private_key_hash=text(acme.get("lastPrivateKeyHash")),
        server=server if current or _same_host(server, text(acme.get("uri"))) else "",
    )


def with_issuer_status(body: Mapping[str, object], status: IssuerStatus) -> JsonObject:
    """The object with this status."""
    acme = {"uri": status.uri, "lastRegisteredEmail": status.last_registered_email, "lastPrivateKeyHash": status.last_private_key_hash}
    return _with(body, {"acme": {name: value for name, value in acme.items() if value} or None}, status.conditions)


def with_refusal(body: Mapping[str, object], reason: str, message: str, *, now: float) -> JsonObject:
    """The object with Ready=False: its spec cannot be used. All else in its status stays."""
    status = mapping(body.get("status"))
    others = tuple(one for one in _conditions(status) if one.type != "Ready")
    ready = Condition(type="Ready", status=False, reason=reason, message=message, last_transition=now)
    return _with(body, {}, (ready, *others))


def _with(body: Mapping[str, object], fields: JsonObject, conditions: tuple[Condition, ...]) -> JsonObject:
    before = mapping(body.get("status"))
    merged = {name: value for name, value in {**before, **fields}.items() if value is not None} if before else _given(fields)
    generation = meta_of(body).generation
    known = {text(mapping(one).get("type")): mapping(one) for one in sequence(before.get("conditions"))}
    merged["conditions"] = [_condition_json(one, known.get(one.type, {}), generation) for one in conditions]
    return {**body, "status": merged}


def _given(fields: JsonObject) -> JsonObject:
    return {name: value for name, value in fields.items() if value is not None}


def _condition_json(condition: Condition, before: Mapping[str, object], generation: int) -> JsonObject:
    """A condition that says what it said keeps its time, to the second that the API keeps."""
    status = "True" if condition.status else "False"
    since = text(before.get("lastTransitionTime")) if before.get("status") == status else ""
    return {
        "type": condition.type,
        "status": status,
        "reason": condition.reason,
        "message": condition.message,
        "lastTransitionTime": since or rfc3339(condition.last_transition),
        "observedGeneration": generation,
    }


def _conditions(status: Mapping[str, object]) -> tuple[Condition, ...]:
    return tuple(_condition(mapping(one)) for one in sequence(status.get("conditions")))


def _condition(body: Mapping[str, object]) -> Condition:
    return Condition(
        type=text(body.get("type")),
        status=body.get("status") == "True",
        reason=text(body.get("reason")),
        message=text(body.get("message")),
        last_transition=instant_of(body.get("lastTransitionTime")) or 0.0,
    )


def _attempt(body: Mapping[str, object], failed_at: float | None, attempts: int) -> tuple[float | None, str]:
    """(when the next attempt may be, the digest of what failed). The annotation counts while it is about this very failure."""
    if failed_at is None or attempts < 1:
        return None, ""
    kept: Mapping[str, object] = {}
    with suppress(ValueError, RecursionError):
        kept = mapping(json.loads(meta_of(body).annotations.get(ATTEMPT_ANNOTATION, "{}")))
    if instant_of(kept.get("after")) == failed_at and (following := instant_of(kept.get("next"))) is not None:
        return following, text(kept.get("spec"))
    return failed_at + _HOUR * min(2 ** min(attempts - 1, 6), _CEILING_HOURS), text(kept.get("spec"))


def _same_host(server: str, uri: str) -> bool:
    """cert-manager's own check that an account is of this server: it compares hosts (reference §1.1)."""
    return bool(uri) and server.split("/")[2:3] == uri.split("/")[2:3]


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
