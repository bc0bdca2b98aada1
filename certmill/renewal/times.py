"""When a certificate is renewed for its age. Pure."""

from __future__ import annotations

import hashlib

from certmill.crypto import chain
from certmill.model.certificate import Certificate

LEAST_SHARE = 0.1
"""No certificate is renewed in the first tenth of its life, whatever renewBefore says: that would be a
loop."""

LEAST_SECONDS_BETWEEN = 3600.0
"""Nor for having grown old within an hour of its issue, or a tenth of its lifetime if that is shorter: then a
clock is wrong, and each look would be an order."""


def renewal_time(certificate: Certificate, leaf: chain.Leaf) -> float:
    """When to renew: renewBefore, renewBeforePercentage, else at 2/3 of the real lifetime; never later than
    the end of it."""
    lifetime = leaf.not_after - leaf.not_before
    before = lifetime / 3
    if certificate.renew_before is not None and certificate.renew_before.total_seconds() < lifetime:
        before = certificate.renew_before.total_seconds()
    elif certificate.renew_before_percentage is not None:
        before = lifetime * certificate.renew_before_percentage / 100
    return max(leaf.not_after - before, leaf.not_before + lifetime * LEAST_SHARE)


def planned(certificate: Certificate, leaf: chain.Leaf, jitter_seconds: float) -> float:
    """When this very leaf is to be renewed: at the renewal time, earlier by its share of the jitter."""
    return jittered(renewal_time(certificate, leaf), leaf, jitter_seconds)


def jittered(renew_at: float, leaf: chain.Leaf, jitter_seconds: float) -> float:
    """`renew_at`, earlier by a share of the jitter that the serial decides: many certificates of one day do
    not come back in one second."""
    spread = min(jitter_seconds, (leaf.not_after - leaf.not_before) / 100)
    share = int.from_bytes(hashlib.sha256(leaf.serial.encode()).digest()[:4], "big") / 2**32
    return renew_at - spread * share


def least_seconds_between(leaf: chain.Leaf) -> float:
    """How long after its issue a certificate is not renewed for its age."""
    return min(LEAST_SECONDS_BETWEEN, (leaf.not_after - leaf.not_before) * LEAST_SHARE)
