"""The reasons in the conditions of a Certificate (cert-manager's words, and some of certmill's)."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why Ready or Issuing has its value.

    A stored condition has the reason as plain text (`model.status.Condition`), because another program may
    have written one that is not in this list. Such text can be compared with a member."""

    READY = "Ready"
    FAILED = "Failed"
    DOES_NOT_EXIST = "DoesNotExist"
    """There is no Secret."""
    MISSING_DATA = "MissingData"
    """The Secret has no private key or no certificate."""
    INVALID_KEY_PAIR = "InvalidKeyPair"
    INVALID_CERTIFICATE = "InvalidCertificate"
    INCORRECT_ISSUER = "IncorrectIssuer"
    """Another issuer has issued the pair."""
    INCORRECT_CERTIFICATE = "IncorrectCertificate"
    """Another Certificate owns the Secret."""
    SECRET_MISMATCH = "SecretMismatch"  # noqa: S105 - a word of cert-manager, not a password
    """The stored key is not of the kind that the spec wants."""
    REQUEST_CHANGED = "RequestChanged"
    """The certificate has other names than the spec."""
    RENEWING = "Renewing"
    EXPIRED = "Expired"
    MANUALLY_TRIGGERED = "ManuallyTriggered"
    """A person requested the run (`cmctl renew`)."""
    REVOKED = "Revoked"
    """certmill's own: the certificate was revoked because its private key is compromised."""
    NOT_YET_VALID = "NotYetValid"
    """certmill's own: the certificate is valid from an instant in the future."""
    AT_RISK = "AtRisk"
    """certmill's own: the certificate is in the last third of its life, and its renewal has not succeeded."""
    CRITICAL = "Critical"
    """certmill's own: it is in the last tenth of its life, or has expired."""
    INVALID_SPEC = "InvalidSpec"
    """certmill's own: the spec cannot be used. cert-manager has no policy for this: its webhook rejects a
    Certificate like this."""


NO_PAIR = (Reason.DOES_NOT_EXIST, Reason.MISSING_DATA, Reason.INVALID_CERTIFICATE)
"""The Secret has no certificate whose times could be shown."""

UNSERVABLE = (*NO_PAIR, Reason.INVALID_KEY_PAIR)
"""The Secret has no pair that a server could use."""

END_OF_LIFE = (Reason.RENEWING, Reason.EXPIRED)
"""The pair is the desired one, but it ends soon or has ended."""
