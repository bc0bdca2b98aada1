"""What a home keeps about its objects besides what is wanted: conditions, the last failure, the account (cert-manager's status fields)."""

from __future__ import annotations

from dataclasses import dataclass

INVALID_SPEC = "InvalidSpec"
"""Reason of a Certificate that cannot be used as it is: no policy of cert-manager's is about that, its webhook would have refused it."""


MANUALLY_TRIGGERED = "ManuallyTriggered"
"""Reason of Issuing where a person asked for the run (`cmctl renew`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A Kubernetes condition. `reason` is a stable CamelCase word, `message` one line without secrets; time in seconds since the epoch."""

    type: str
    status: bool
    reason: str
    message: str
    last_transition: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateStatus:
    """status of a Certificate; instants in seconds since the epoch."""

    conditions: tuple[Condition, ...] = ()
    not_before: float | None = None
    not_after: float | None = None
    renewal_time: float | None = None
    revision: int = 0
    last_issuance_time: float | None = None
    last_failure_time: float | None = None
    failed_issuance_attempts: int = 0
    next_attempt: float | None = None
    failed_spec: str = ""
    """Digest of the spec whose issuance failed last: a changed spec does not wait for the back-off."""

    def condition(self, type_: str) -> Condition | None:
        return next((c for c in self.conditions if c.type == type_), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerStatus:
    """status.acme of an Issuer, with its Ready condition."""

    conditions: tuple[Condition, ...] = ()
    uri: str = ""
    last_registered_email: str = ""
    last_private_key_hash: str = ""
    server: str = ""

    def condition(self, type_: str) -> Condition | None:
        return next((c for c in self.conditions if c.type == type_), None)
