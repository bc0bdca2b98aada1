"""What the CA suggests for the renewal of a pair (RFC 9773), for people and in cert-manager's form. Pure."""

from __future__ import annotations

from certmill.model.ari import AriStatus
from certmill.views.times import away, moment, timestamp


def ari_line(ari: AriStatus | None, now: float) -> str:
    """The suggested window and when the CA was asked, in one line; "" if it was not asked."""
    if ari is None:
        return ""
    start, end = ari.window or (None, None)
    window = f"{moment(start)} to {moment(end)}" if ari.window is not None else "no answer yet"
    see = f", see {ari.explanation_url}" if ari.explanation_url else ""
    checked = f"; checked {away(ari.last_checked, now)}" if ari.last_checked is not None else ""
    failed = f"; the CA could not be asked: {ari.last_error}" if ari.last_error else ""
    return f"{window}{see}{checked}{failed}"


def ari_object(ari: AriStatus | None) -> dict[str, object]:
    """status.acme of a Certificate; empty if the CA was not asked."""
    if ari is None:
        return {}
    window = {name: timestamp(at) for name, at in (("start", ari.start), ("end", ari.end)) if at is not None}
    fields = {
        "certID": ari.cert_id,
        "suggestedWindow": window,
        "explanationURL": ari.explanation_url,
        "lastChecked": timestamp(ari.last_checked) if ari.last_checked is not None else "",
        "nextCheck": timestamp(ari.next_check) if ari.next_check is not None else "",
        "lastError": ari.last_error,
    }
    return {"ari": {name: value for name, value in fields.items() if value}}
