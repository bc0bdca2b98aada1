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

from certmill.certificates.candidates import apply_it
from certmill.errors import Permanent
from certmill.issuers import account, registration_backoff
from certmill.model.certificate import Certificate
from certmill.model.object_ref import ObjectRef
from certmill.runs.outcomes import Trouble, Waiting
from certmill.runs.ports import Ports
from certmill.runs.step_context import StepContext

LOOK_SECONDS: Final = 600.0
_SOON_SECONDS: Final = 2.0
"""The maximum age of what a step reads (home.cached)."""


def for_missing(ports: Ports, certificate: Certificate, issuer: ObjectRef) -> Waiting:
    """Wait for an issuer that does not exist. `ports` has the home without the cache."""
    ports.issuer_records.note_failing(issuer, certificate.id, now=ports.clock.now())
    if ports.home.issuer(issuer) is not None:
        return _soon(issuer)
    advice = apply_it(ports.home, certificate)
    return Waiting(
        reason=f"{issuer} is not there; {advice}, and {certificate.id} continues at once",
        seconds=LOOK_SECONDS,
    )


def for_refused(context: StepContext, reason: str) -> Waiting:
    """Wait for an issuer that is not Ready: until it is reconciled, or until its back-off ends."""
    if (ready := note(context)) is not None:
        return ready
    refusal = registration_backoff.refusal(context.ports, context.issuer)
    seconds = max(1.0, refusal.until - context.ports.clock.now()) if refusal is not None else LOOK_SECONDS
    return Waiting(
        reason=f"{context.issuer.reference} is not ready: {reason}",
        seconds=seconds,
        trouble=Trouble.NOT_READY,
    )


def note(context: StepContext) -> Waiting | None:
    """Record that the run waits for its issuer. Returns None, or the result of the step if the issuer has
    just become Ready."""
    ports, issuer = context.ports, context.issuer
    ports.issuer_records.note_failing(issuer.ref, context.certificate_id, now=ports.clock.now())
    return _soon(issuer.ref) if _is_ready(context.uncached, issuer.ref) else None


def _is_ready(ports: Ports, ref: ObjectRef) -> bool:
    """Whether the issuer exists and is Ready. `ports` has the home without the cache."""
    with suppress(Permanent):
        issuer = ports.home.issuer(ref)
        return issuer is not None and account.ready(ports, issuer) is not None
    return False


def _soon(issuer: ObjectRef) -> Waiting:
    return Waiting(reason=f"{issuer} has just changed", seconds=_SOON_SECONDS, counted=False)
