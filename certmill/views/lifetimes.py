"""Says whether the lifetime that a Certificate requests (spec.duration) has an effect. Pure."""

from __future__ import annotations

from certmill.model.certificate import Certificate
from certmill.model.durations import format_duration
from certmill.model.issuer import Issuer


def ignored_duration(certificate: Certificate, issuer: Issuer | None) -> str:
    """Why spec.duration has no effect. Returns "" if it has an effect, is not set, or the issuer is not
    known."""
    if certificate.duration is None or issuer is None or issuer.enable_duration:
        return ""
    asked = format_duration(certificate.duration)
    return (
        f"spec.duration {asked} has no effect, and the CA decides: {issuer.reference} does not set "
        "enableDurationFeature; "
        "set it only where the CA takes notAfter (Let's Encrypt refuses it)"
    )
