"""The names of all Redis keys of certmill. All begin with `certmill:`. The queues of the broker
(`certmill.steps` …) belong to Celery."""

from __future__ import annotations

import hashlib

from certmill.model.names import CertificateId
from certmill.model.object_ref import ObjectRef

INSTALLATION = "certmill:installation"
"""The id of the home whose installation uses this Redis."""

INSTALLATION_RELEASE = "certmill:installation_release"
"""The installation within that home, because a home can have several. In a cluster it is the name of the
Lease."""

WAITING = "certmill:waiting"
"""Sorted set id → instant at which to wake this step."""

IN_FLIGHT = "certmill:in_flight"
"""Sorted set id → instant. The step is published or leased. After the instant, a lost message or a dead
worker is suspected."""

ARRIVALS = "certmill:arrivals"
"""Sorted set id → instant of runs that have begun and are not published yet, because the queue is bounded."""

RENEWALS = "certmill:renewals"
"""Sorted set id → instant of idle certificates: when to check the certificate again (renewal, or the next
attempt after a failure)."""

ARI_CHECKS = "certmill:ari_checks"
"""Sorted set id → instant at which the CA is asked next for the renewal information of the certificate."""

DUE_SETS = (IN_FLIGHT, WAITING, ARRIVALS, RENEWALS)
"""A certificate is in exactly one of these sets."""

PLANNED_RENEWALS = "certmill:planned_renewals"
"""Sorted set id → instant: when to issue this certificate again, as `certmill renew --all` has planned. A
certificate in it is also in one of DUE_SETS."""

RUNS = "certmill:runs"
"""Sorted set id → instant at which a run began that has not ended. For metrics only; no decision uses it."""

TICKS = "certmill:ticks"
"""Hash tick → instant at which it last ended without error. For metrics only."""

CERTIFICATE_GAUGES = "certmill:gauges:certificates"
"""Hash id → JSON with the times, readiness and issuer of a certificate, for the metrics."""

ISSUER_GAUGES = "certmill:gauges:issuers"
"""Hash reference → True or False: whether the issuer is ready, for the metrics."""

EXPOSER = "certmill:gauges:exposer"
"""The process that exposes the gauges of certificates and issuers (string, expires)."""

SIGHTINGS = "certmill:sightings"
"""Hash `kind/namespace/name` → signature that the last re-read of the home observed and acted on."""

REJECTED = "certmill:rejected"
"""List of refused requests, newest first, bounded."""

ADOPTED = "certmill:adopted"
"""Set when a controller has reconciled the whole cluster. If it is missing, Redis has lost its memory."""

REREAD = "certmill:reread"
"""Set when a person has changed the home: the next tick re-reads the home at once."""

JOURNAL = "certmill:presented"
"""Hash of the challenges that were presented and not cleaned up yet."""

JOURNAL_TIMES = "certmill:presented_at"
"""Sorted set over the fields of the journal → instant at which each was presented."""

CLOCK = "certmill:clock"
"""Hash with the latest time that a tick has reported, and the interval (from, to) in which a clock was ahead.
Entries stored for times in this interval are checked again now."""

CLOCK_JUMPS = "certmill:clock_jumps"
"""Sorted set of the instants to which the clock has recently jumped ahead."""

LOST_ORDERS = "certmill:lost_orders"
LOST_ORDER_ISSUERS = "certmill:lost_order_issuers"
"""Hash certificate → URL of the order of a run that was lost when Redis lost its memory. The sweep looks for
the challenges that this run presented."""


RECORD_PREFIX = "certmill:certificate:"


def record(certificate: CertificateId) -> str:
    """The certificate's record (hash)."""
    return f"{RECORD_PREFIX}{certificate}"


def deletions(certificate: CertificateId) -> str:
    """How often a Certificate of this id was deleted (string, expires). A reconciliation that has read the
    Certificate before a deletion stores nothing after it."""
    return f"certmill:deletions:{certificate}"


def request(request_id: str) -> str:
    """The result of a request (string, expires)."""
    return f"certmill:request:{_digest(request_id)}"


def failing(issuer: ObjectRef) -> str:
    """Set of this issuer's certificates whose last run failed because of the issuer. They are tried again
    when the issuer is ready (expires)."""
    return f"certmill:failing:{issuer}"


def failing_otherwise(issuer: ObjectRef) -> str:
    """Hash of this issuer's certificates whose last run failed for another reason → digest of the issuer's
    spec at that time (expires)."""
    return f"certmill:failing_otherwise:{issuer}"


def failing_times(issuer: ObjectRef) -> str:
    """Sorted set over both of the above → instant at which each certificate was last recorded (expires)."""
    return f"certmill:failing_times:{issuer}"


def secret_claims(namespace: str, secret_name: str) -> str:
    """Sorted set of the Certificates that have named this Secret → their creation time, or 0 if it was not
    read yet (expires)."""
    return f"certmill:claimants:{namespace}/{secret_name}"


def registration(issuer: ObjectRef) -> str:
    """The time before which this issuer's account is not registered again, and the reason (string,
    expires)."""
    return f"certmill:registration:{issuer}"


def issuer_gone(issuer: ObjectRef) -> str:
    """Since when the sweep cannot find this issuer, which still has presented challenges (string,
    expires)."""
    return f"certmill:issuer_gone:{issuer.kind}/{issuer.namespace}/{issuer.name}"


def lock(purpose: str, *subject: str) -> str:
    """A lock. The subject can be long and contain any character, so only its digest is in the key."""
    return f"certmill:lock:{purpose}:{_digest(chr(0).join(subject))}"


def turns(purpose: str, *subject: str) -> str:
    """The namespace that last had this lock, and the other namespaces that wait for it (hash, expires)."""
    return f"certmill:turns:{purpose}:{_digest(chr(0).join(subject))}"


def bucket(bucket_id: str) -> str:
    """A token bucket: when it is full, and until when it is closed (string, expires when it is full). Beside
    it are the callers that wait for it: `:queue` (sorted set), `:until` and `:turns` (hashes; all expire)."""
    return f"certmill:bucket:{bucket_id}"


def receipt(purpose: str) -> str:
    """That tokens were spent for this purpose (string, expires)."""
    return f"certmill:receipt:{_digest(purpose)}"


def key_authorization(token: str) -> str:
    """The key authorization that the HTTP-01 responder serves for a token (string, expires)."""
    return f"certmill:http01:{token}"


def key_authorization_hosts(token: str) -> str:
    """The hosts for which the key authorization is served (set, expires). It is a separate key, because a
    responder of an older release reads the key of the key authorization in its old form."""
    return f"certmill:http01_hosts:{token}"


def _digest(subject: str) -> str:
    return hashlib.sha256(subject.encode()).hexdigest()[:32]
