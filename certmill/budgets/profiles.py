"""The rate limits of the CAs that publish theirs, by the URL of the directory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from certmill.model.rate_limit import LimitName, RateLimit

_HOUR: Final = 3600.0
_DAY: Final = 24 * _HOUR

LETS_ENCRYPT: Final[Mapping[LimitName, RateLimit]] = {
    LimitName.NEW_ORDERS: RateLimit(count=300, seconds=3 * _HOUR),
    LimitName.CERTIFICATES_PER_DOMAIN: RateLimit(count=50, seconds=7 * _DAY),
    LimitName.CERTIFICATES_PER_SET: RateLimit(count=5, seconds=7 * _DAY),
    LimitName.FAILED_AUTHORIZATIONS: RateLimit(count=5, seconds=_HOUR),
    LimitName.CONSECUTIVE_FAILURES: RateLimit(count=1152, seconds=1152 * _DAY),
    LimitName.NEW_ACCOUNTS: RateLimit(count=10, seconds=3 * _HOUR),
}
"""letsencrypt.org/docs/rate-limits, updated 2026-08-05."""

LETS_ENCRYPT_STAGING: Final[Mapping[LimitName, RateLimit]] = {
    **LETS_ENCRYPT,
    LimitName.NEW_ORDERS: RateLimit(count=1500, seconds=3 * _HOUR),
    LimitName.CERTIFICATES_PER_DOMAIN: RateLimit(count=30_000, seconds=7 * _DAY),
    LimitName.CERTIFICATES_PER_SET: RateLimit(count=30_000, seconds=7 * _DAY),
    LimitName.FAILED_AUTHORIZATIONS: RateLimit(count=200, seconds=_HOUR),
    LimitName.NEW_ACCOUNTS: RateLimit(count=50, seconds=3 * _HOUR),
}
"""letsencrypt.org/docs/staging-environment."""

UNPUBLISHED: Final[Mapping[LimitName, RateLimit]] = {}
"""The CA has limits, but publishes no numbers: its answer 429 decides."""

_PROFILES: Final[Mapping[str, Mapping[LimitName, RateLimit]]] = {
    "acme-v02.api.letsencrypt.org": LETS_ENCRYPT,
    "acme-staging-v02.api.letsencrypt.org": LETS_ENCRYPT_STAGING,
    "dv.acme-v02.api.pki.goog": UNPUBLISHED,  # Google Trust Services
    "dv.acme-v02.test-api.pki.goog": UNPUBLISHED,
    "acme.zerossl.com": UNPUBLISHED,
}


def limits_of(
    server: str, own: Mapping[LimitName, RateLimit | None] | None = None
) -> dict[LimitName, RateLimit]:
    """The limits of the CA with this directory URL; those in `own` (of the issuer's annotation) replace them.
    A CA that is not known has none."""
    published = _PROFILES.get((urlsplit(server).hostname or "").lower(), UNPUBLISHED)
    return {name: limit for name, limit in {**published, **(own or {})}.items() if limit is not None}
