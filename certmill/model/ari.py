"""Defines what is known of the CA's renewal information (RFC 9773) for one certificate: cert-manager's
status.acme.ari."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class AriStatus:
    """The last answers of the CA. Times are in whole seconds since the epoch, as every home stores them."""

    cert_id: str = ""
    """The identifier of the certificate that the answers are for (RFC 9773 §4.1). "" if the home has no place
    for it: then they are for the certificate whose validity the same status has."""
    start: float | None = None
    end: float | None = None
    """The suggested window. None: the CA has not answered yet."""
    explanation_url: str = ""
    last_checked: float | None = None
    next_check: float | None = None
    last_error: str = ""
    """Why the last request failed, or ""."""
    at_once: bool = False
    """Whether the window was in the past when the CA first answered with it. Then the CA wants a renewal at
    once: it has revoked the certificate, or will do so (RFC 9773 §4.2)."""
    unknown: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)

    @property
    def window(self) -> tuple[float, float] | None:
        """The suggested window; None if the CA has not answered yet."""
        return (self.start, self.end) if self.start is not None and self.end is not None else None
