"""Every Redis key, in one place. All begin with `certmill:`; the broker's queues (`certmill.steps` …) are
Celery's."""

from __future__ import annotations

import hashlib

from certmill.model.names import CertificateId

INSTALLATION = "certmill:installation"
"""The id of the home whose installation uses this Redis."""

INSTALLATION_RELEASE = "certmill:installation_release"
"""Which installation of that home it is, where a home may have several: in a cluster the name of the
Lease."""

WAITING = "certmill:waiting"
"""Sorted set id → instant: wake this step then."""

IN_FLIGHT = "certmill:in_flight"
"""Sorted set id → instant: rung or leased; suspect a lost message or a dead worker after then."""

ARRIVALS = "certmill:arrivals"
"""Sorted set id → instant: runs that were begun and not let in yet."""

RENEWALS = "certmill:renewals"
"""Sorted set id → instant: an idle certificate, and when to look at it again (renewal, or the next attempt
after a failure)."""

DUE_SETS = (IN_FLIGHT, WAITING, ARRIVALS, RENEWALS)
"""A certificate is in exactly one of these."""

RUNS = "certmill:runs"
"""Sorted set id → instant: a run that has not ended, and when it was begun. For the metrics; nothing is
decided by it."""

TICKS = "certmill:ticks"
"""Hash tick → instant: when each last ended well. For the metrics."""

CERTIFICATE_GAUGES = "certmill:gauges:certificates"
"""Hash id → JSON: times, readiness and issuer of a certificate, for the metrics."""

ISSUER_GAUGES = "certmill:gauges:issuers"
"""Hash reference → True or False: whether an issuer is ready, for the metrics."""

EXPOSER = "certmill:gauges:exposer"
"""Which process exposes both (string, expires)."""

SIGHTINGS = "certmill:sightings"
"""Hash `kind/namespace/name` → signature: what the last re-read of the home saw and acted on."""

REJECTED = "certmill:rejected"
"""List of requests that were refused, newest first, bounded."""

ADOPTED = "certmill:adopted"
"""Set when a controller has gone through the cluster; gone, Redis has lost its memory."""

REREAD = "certmill:reread"
"""Set when a person has changed the home: the next tick re-reads it at once."""

JOURNAL = "certmill:presented"
"""Hash of what was put up for challenges and not taken away yet."""

JOURNAL_TIMES = "certmill:presented_at"
"""Sorted set over the journal's fields: when each was presented."""

CLOCK = "certmill:clock"
"""Hash: the latest time that a tick has told, and from when to when a clock that was ahead has noted what is
looked at again now."""

CLOCK_JUMPS = "certmill:clock_jumps"
"""Sorted set: the instants to which the clock has jumped ahead lately."""

LOST_ORDERS = "certmill:lost_orders"
"""Hash certificate → URL of the order of a run that was lost with Redis' memory; the sweep looks for what it
has left up."""


RECORD_PREFIX = "certmill:certificate:"


def record(certificate: CertificateId) -> str:
    """The certificate's record (hash)."""
    return f"{RECORD_PREFIX}{certificate}"


def request(request_id: str) -> str:
    """What became of a request (string, expires)."""
    return f"certmill:request:{_digest(request_id)}"


def failing(issuer_reference: str) -> str:
    """Set of certificates of this issuer whose last run failed by the issuer's fault: tried again when it is
    ready (expires)."""
    return f"certmill:failing:{issuer_reference}"


def failing_otherwise(issuer_reference: str) -> str:
    """Hash of certificates of this issuer whose last run failed for another reason → digest of the issuer's
    spec then (expires)."""
    return f"certmill:failing_otherwise:{issuer_reference}"


def failing_times(issuer_reference: str) -> str:
    """Sorted set over both: when each certificate was noted last (expires)."""
    return f"certmill:failing_times:{issuer_reference}"


def secret_claims(namespace: str, secret_name: str) -> str:
    """Sorted set of the Certificates that have named this Secret → when they were created, 0 if nobody has
    asked yet (expires)."""
    return f"certmill:claimants:{namespace}/{secret_name}"


def registration(issuer_reference: str) -> str:
    """Before when this issuer's account is not registered, and why (string, expires)."""
    return f"certmill:registration:{issuer_reference}"


def issuer_gone(kind: str, namespace: str, name: str) -> str:
    """Since when the sweep misses this issuer, whose challenges are still up (string, expires)."""
    return f"certmill:issuer_gone:{kind}/{namespace}/{name}"


def lock(purpose: str, *subject: str) -> str:
    """A lock. The subject may be long or hold anything, so only its digest is in the key."""
    return f"certmill:lock:{purpose}:{_digest(chr(0).join(subject))}"


def turns(purpose: str, *subject: str) -> str:
    """Which namespace had such a lock last, and who of others waits for it (hash, expires)."""
    return f"certmill:turns:{purpose}:{_digest(chr(0).join(subject))}"


def key_authorization(token: str) -> str:
    """The key authorization the HTTP-01 responder serves for a token (string, expires)."""
    return f"certmill:http01:{token}"


def key_authorization_hosts(token: str) -> str:
    """The hosts that it is served for (set, expires). Beside it: a responder of an older release reads that
    as it is."""
    return f"certmill:http01_hosts:{token}"


def _digest(subject: str) -> str:
    return hashlib.sha256(subject.encode()).hexdigest()[:32]
