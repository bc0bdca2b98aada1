"""A run whose issuer is not there, or not ready, waits for it: as at cert-manager this is no failure, and
nothing is counted.

The run is woken when the issuer comes or becomes ready (issuers.reconcile). That may happen in the moment in
which it begins to wait: so it is noted first, and then the issuer is looked at again, in the home itself.
Whoever makes an issuer ready writes its status first, and then looks who waits. A wake-up between that look
and the commit is marked in the record (state: end_wait, commit)."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from certmill.errors import Permanent
from certmill.issuers import account, registration_backoff
from certmill.model.certificate import Certificate
from certmill.model.issuer import reference
from certmill.runs.context import Ports, Work
from certmill.runs.outcomes import Waiting

LOOK_SECONDS: Final = 600.0
_SOON_SECONDS: Final = 2.0
"""As old as what a step reads may be (home.recent)."""


def for_missing(ports: Ports, certificate: Certificate) -> Waiting:
    """Wait for an issuer that is not there; `ports` with the home itself."""
    ref = certificate.issuer_ref
    name = reference(ref.kind, certificate.namespace, ref.name)
    ports.issuer_records.note_failing(name, certificate.id, now=ports.clock.now())
    if ports.home.issuer(ref, certificate.namespace) is not None:
        return _soon(name)
    return Waiting(
        reason=f"{name} is not there; apply it, and {certificate.id} goes on at once", seconds=LOOK_SECONDS
    )


def for_refused(work: Work, reason: str) -> Waiting:
    """Wait for an issuer that is not ready until a person, or time, changes something."""
    if (ready := note(work)) is not None:
        return ready
    refusal = registration_backoff.refusal(work.ports, work.issuer)
    seconds = max(1.0, refusal.until - work.ports.clock.now()) if refusal is not None else LOOK_SECONDS
    return Waiting(reason=f"{work.issuer.reference} is not ready: {reason}", seconds=seconds)


def note(work: Work) -> Waiting | None:
    """The run is to be woken when its issuer is ready. None, or how the step ends if that has just become
    ready."""
    ports, issuer = work.ports, work.issuer
    ports.issuer_records.note_failing(issuer.reference, work.id, now=ports.clock.now())
    return _soon(issuer.reference) if work.is_issuer_ready() else None


def is_ready(ports: Ports, certificate: Certificate) -> bool:
    """Whether its issuer is there and ready; `ports` with the home itself."""
    with suppress(Permanent):
        issuer = ports.home.issuer(certificate.issuer_ref, certificate.namespace)
        return issuer is not None and account.ready(ports, issuer) is not None
    return False


def _soon(issuer: str) -> Waiting:
    return Waiting(reason=f"{issuer} has just changed", seconds=_SOON_SECONDS, counted=False)
