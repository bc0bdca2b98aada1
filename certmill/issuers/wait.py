"""Makes a run wait while its issuer does not exist or is not Ready. As in cert-manager, this does not count
as a failure.

The run gets a wake-up when the issuer is created or becomes Ready (issuers.reconcile). This can happen at the
same moment as the run begins to wait. So the run is first recorded as waiting, and then the issuer is read
again from the home without the cache. The process that makes an issuer Ready does the opposite: it first
writes the status, and then reads which runs wait. A wake-up between that read and the commit is marked in the
record (state: end_wait, commit)."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from certmill.errors import Permanent
from certmill.issuers import account, registration_backoff
from certmill.model.certificate import Certificate
from certmill.model.object_ref import ObjectRef
from certmill.runs.context import Ports, Work
from certmill.runs.outcomes import Waiting

LOOK_SECONDS: Final = 600.0
_SOON_SECONDS: Final = 2.0
"""The maximum age of what a step reads (home.recent)."""


def for_missing(ports: Ports, certificate: Certificate) -> Waiting:
    """Wait for an issuer that does not exist. `ports` has the home without the cache."""
    issuer = certificate.issuer
    ports.issuer_records.note_failing(issuer, certificate.id, now=ports.clock.now())
    if ports.home.issuer(issuer) is not None:
        return _soon(issuer)
    return Waiting(
        reason=f"{issuer} is not there; apply it, and {certificate.id} goes on at once", seconds=LOOK_SECONDS
    )


def for_refused(work: Work, reason: str) -> Waiting:
    """Wait for an issuer that is not Ready: until it is reconciled, or until its back-off ends."""
    if (ready := note(work)) is not None:
        return ready
    refusal = registration_backoff.refusal(work.ports, work.issuer)
    seconds = max(1.0, refusal.until - work.ports.clock.now()) if refusal is not None else LOOK_SECONDS
    return Waiting(reason=f"{work.issuer.reference} is not ready: {reason}", seconds=seconds)


def note(work: Work) -> Waiting | None:
    """Record that the run waits for its issuer. Returns None, or the result of the step if the issuer has
    just become Ready."""
    ports, issuer = work.ports, work.issuer
    ports.issuer_records.note_failing(issuer.ref, work.id, now=ports.clock.now())
    return _soon(issuer.ref) if work.is_issuer_ready() else None


def is_ready(ports: Ports, certificate: Certificate) -> bool:
    """Whether the Certificate's issuer exists and is Ready. `ports` has the home without the cache."""
    with suppress(Permanent):
        issuer = ports.home.issuer(certificate.issuer)
        return issuer is not None and account.ready(ports, issuer) is not None
    return False


def _soon(issuer: ObjectRef) -> Waiting:
    return Waiting(reason=f"{issuer} has just changed", seconds=_SOON_SECONDS, counted=False)
