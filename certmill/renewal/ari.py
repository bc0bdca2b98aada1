"""Computes the renewal time from the CA's renewal information (RFC 9773), and when the CA is asked next.
Pure.

The information is for one certificate, never for a Certificate: a window of the former pair would renew a new
pair at once, again and again (cert-manager #8993)."""

from __future__ import annotations

import hashlib
from typing import Final

from certmill.acme.ari import DEFAULT_CHECK_SECONDS, MAX_CHECK_SECONDS, MIN_CHECK_SECONDS
from certmill.crypto import chain
from certmill.model.ari import AriStatus
from certmill.model.status import CertificateStatus, issued_at

LATEST_SHARE: Final = 0.05
"""A window that ends later than this share of the lifetime before the expiry is not used: too little time
would be left if a renewal fails."""

FIRST_CHECK_SECONDS: Final = 3600.0
"""The first requests for certificates that were issued, or found, together are spread over this time, or over
a twentieth of the lifetime if that is shorter."""

_JITTER: Final = 0.1
"""A request is later than the CA asks for by at most this share: never earlier (RFC 9773 §4.3)."""


def known(status: CertificateStatus, leaf: chain.Leaf) -> AriStatus | None:
    """The renewal information in the status; None if it is for another certificate."""
    ari = status.ari
    if ari is None or not leaf.cert_id:
        return None
    if ari.cert_id:
        return ari if ari.cert_id == leaf.cert_id else None
    is_of_pair = (status.not_before, status.not_after) == (int(leaf.not_before), int(leaf.not_after))
    return ari if is_of_pair and (ari.last_checked or 0.0) >= (issued_at(status) or 0.0) else None


def instant(ari: AriStatus, leaf: chain.Leaf) -> float | None:
    """The renewal time inside the suggested window, in whole seconds since the epoch. None if there is no
    window, or if it cannot be right: then the lifetime decides.

    It is uniform in the window over many certificates, but always the same for one: its serial number selects
    it. A window in the past counts, because the CA wants a renewal at once."""
    if ari.window is None:
        return None
    start, end = ari.window
    lifetime = leaf.not_after - leaf.not_before
    latest = leaf.not_after - lifetime * LATEST_SHARE
    if not start < end <= latest or end - start > lifetime:
        return None
    return float(int(start + (end - start) * share(leaf)))


def share(leaf: chain.Leaf) -> float:
    """A number in [0, 1) that the serial number selects, uniform over many certificates. The jitter of other
    rules has another one."""
    return int.from_bytes(hashlib.sha256(f"ari {leaf.serial}".encode()).digest()[:6], "big") / 2**48


def first_check(leaf: chain.Leaf, now: float) -> float:
    """When the CA is asked for the first time (seconds since the epoch)."""
    spread = min(FIRST_CHECK_SECONDS, (leaf.not_after - leaf.not_before) / 20)
    return now + min(MIN_CHECK_SECONDS, spread) + spread * share(leaf)


def check_again(before: AriStatus | None, leaf: chain.Leaf, now: float) -> float:
    """When the CA is asked next if Redis does not know it (seconds since the epoch)."""
    if before is None or before.next_check is None:
        return first_check(leaf, now)
    return min(before.next_check, now + MAX_CHECK_SECONDS)


def after_answer(retry_after: float, jitter: float) -> float:
    """Seconds until the next request after an answer. `jitter`: a random number in [0, 1)."""
    return retry_after * (1 + _JITTER * jitter)


def after_failure(before: AriStatus | None, now: float, jitter: float, *, retry_after: float | None) -> float:
    """Seconds until the next request after a failure: a minute, then as long as the requests have failed, so
    it doubles; or what the CA asks for, if that is longer. `before`: the status, which has the time of the
    first failure."""
    failing = (
        now - before.last_checked if before is not None and before.last_error and before.last_checked else 0
    )
    seconds = min(max(failing, MIN_CHECK_SECONDS), DEFAULT_CHECK_SECONDS)
    asked = min(retry_after or 0.0, MAX_CHECK_SECONDS)
    return max(seconds, asked) * (1 + jitter)
