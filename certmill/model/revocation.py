"""Defines the revocation of a certificate, as a status stores it: which certificate, why and when."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class RevocationReason(StrEnum):
    """The reasons (RFC 5280 §5.3.1) that the owner of a certificate may give. The other reasons of the RFC
    are those of a CA."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"

    @property
    def code(self) -> int | None:
        """The CRLReason. None for UNSPECIFIED: by RFC 5280 §5.3.1 it should be left out."""
        return _CODES.get(self)


_CODES: Final = {
    RevocationReason.KEY_COMPROMISE: 1,
    RevocationReason.AFFILIATION_CHANGED: 3,
    RevocationReason.SUPERSEDED: 4,
    RevocationReason.CESSATION_OF_OPERATION: 5,
}


class SigningKey(StrEnum):
    """The key that signs the request."""

    ACCOUNT = "account"
    CERTIFICATE = "certificate"
    """The private key of the certificate: the CA asks for no account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """A certificate that was revoked by `certmill revoke`. `serial` and `public_key` are those of its leaf
    (crypto.chain.Leaf), `at` is in seconds since the epoch."""

    serial: str = ""
    public_key: str = ""
    reason: RevocationReason = RevocationReason.UNSPECIFIED
    at: float = 0.0

    @property
    def is_key_compromised(self) -> bool:
        """Whether the private key must not be used again."""
        return self.reason is RevocationReason.KEY_COMPROMISE
