"""How many requests a second the CAs take from one IP address, by the URL of the directory. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRate:
    """Requests a second, and how many may come at once."""

    per_second: float
    burst: int


LETS_ENCRYPT: Final[Mapping[str, RequestRate]] = {
    "discover": RequestRate(per_second=40, burst=40),
    "new_nonce": RequestRate(per_second=20, burst=10),
    "register_account": RequestRate(per_second=5, burst=15),
    "authorize_order": RequestRate(per_second=300, burst=200),
    "revoke_cert": RequestRate(per_second=10, burst=100),
    "get_renewal_info": RequestRate(per_second=1000, burst=100),
    "": RequestRate(per_second=250, burst=125),
}
"""By acme.actions.Action; "" is for all others. letsencrypt.org/docs/rate-limits, updated 2026-08-05."""

LETS_ENCRYPT_STAGING: Final[Mapping[str, RequestRate]] = {
    **LETS_ENCRYPT,
    "authorize_order": RequestRate(per_second=20, burst=40),
    "": RequestRate(per_second=20, burst=20),
}
"""letsencrypt.org/docs/staging-environment."""

_RATES: Final[Mapping[str, Mapping[str, RequestRate]]] = {
    "acme-v02.api.letsencrypt.org": LETS_ENCRYPT,
    "acme-staging-v02.api.letsencrypt.org": LETS_ENCRYPT_STAGING,
}


def rates_of(server: str) -> Mapping[str, RequestRate]:
    """The rates of the CA with this directory URL; empty if it is not known."""
    return _RATES.get((urlsplit(server).hostname or "").lower(), {})
