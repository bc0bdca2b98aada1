"""Says that the stored certificate of a Certificate was revoked. Pure."""

from __future__ import annotations

from certmill.model.revocation import Revocation
from certmill.views.times import away, moment


def revocation_text(revoked: Revocation | None, now: float) -> str:
    """Which certificate was revoked, when and why; "" if none was."""
    if revoked is None:
        return ""
    return f"{moment(revoked.at)} ({away(revoked.at, now)}), {revoked.reason.value}, serial {revoked.serial}"
