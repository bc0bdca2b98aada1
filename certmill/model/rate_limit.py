"""Defines the rate limits of a CA: their names and numbers. Names: letsencrypt.org/docs/rate-limits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LimitName(StrEnum):
    """What a CA limits. The value is the name in the annotation certmill.io/rate-limits."""

    NEW_ORDERS = "new-orders-per-account"
    CERTIFICATES_PER_DOMAIN = "new-certificates-per-registered-domain"
    CERTIFICATES_PER_SET = "new-certificates-per-exact-set"
    FAILED_AUTHORIZATIONS = "authorization-failures-per-identifier"
    CONSECUTIVE_FAILURES = "consecutive-authorization-failures-per-identifier"
    NEW_ACCOUNTS = "new-accounts-per-ip-address"


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """`count` in `seconds`: a token bucket with `count` tokens, which gets one back each `interval`."""

    count: int
    seconds: float

    @property
    def interval(self) -> float:
        """Seconds until one token is back."""
        return self.seconds / self.count

    def __str__(self) -> str:
        for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
            if self.seconds >= length and self.seconds % length == 0:
                return f"{self.count} in {self.seconds / length:.0f} {unit}"
        return f"{self.count} in {self.seconds:g} s"
