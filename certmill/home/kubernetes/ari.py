"""Translates the CA's renewal information between `AriStatus` and cert-manager's status.acme.ari. Pure.

cert-manager's own CRDs have no certID up to 1.21, so the API server removes it there."""

from __future__ import annotations

from collections.abc import Mapping

from certmill.kube.objects import JsonObject, instant_of, mapping, rfc3339, text
from certmill.model.ari import AriStatus

_FIELDS = (
    "certID",
    "suggestedWindow",
    "explanationURL",
    "lastChecked",
    "nextCheck",
    "lastError",
)


def ari_of(status: Mapping[str, object], *, at_once: str) -> AriStatus | None:
    """Read `.status.acme.ari` of a Certificate; None if there is none. Damaged parts have their defaults.
    `at_once`: the end of the window (RFC 3339) that was in the past from the beginning, or ""."""
    found = mapping(mapping(status.get("acme")).get("ari"))
    if not found:
        return None
    window = mapping(found.get("suggestedWindow"))
    end = text(window.get("end"))
    return AriStatus(
        cert_id=text(found.get("certID")),
        start=instant_of(window.get("start")),
        end=instant_of(end),
        explanation_url=text(found.get("explanationURL")),
        last_checked=instant_of(found.get("lastChecked")),
        next_check=instant_of(found.get("nextCheck")),
        last_error=text(found.get("lastError")),
        at_once=bool(at_once) and at_once == end,
    )


def with_ari(status: Mapping[str, object], ari: AriStatus | None) -> JsonObject | None:
    """Return `.status.acme` with this renewal information; None if nothing is left in it. What others wrote
    and we do not know stays."""
    acme = mapping(status.get("acme"))
    others = {name: value for name, value in acme.items() if name != "ari"}
    if ari is None:
        return others or None
    unknown = {name: value for name, value in mapping(acme.get("ari")).items() if name not in _FIELDS}
    window = {"start": rfc3339(ari.window[0]), "end": rfc3339(ari.window[1])} if ari.window else None
    fields: JsonObject = {
        "certID": ari.cert_id,
        "suggestedWindow": window,
        "explanationURL": ari.explanation_url,
        "lastChecked": rfc3339(ari.last_checked) if ari.last_checked is not None else None,
        "nextCheck": rfc3339(ari.next_check) if ari.next_check is not None else None,
        "lastError": ari.last_error,
    }
    return {**others, "ari": {**unknown, **{name: value for name, value in fields.items() if value}}}
