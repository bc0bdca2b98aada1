"""A run whose issuer is not there, or not ready, waits for it: as at cert-manager this is no failure, and nothing is counted.

The run is woken when the issuer comes or becomes ready (pipeline.issuers). It looks by itself too, as that wake-up may get lost.
"""

from __future__ import annotations

from typing import Final

from certmill.model.certificate import Certificate
from certmill.model.issuer import Issuer, reference
from certmill.pipeline import registration_times
from certmill.pipeline.context import Ports
from certmill.pipeline.outcome import Waiting

LOOK_SECONDS: Final = 600.0


def for_missing(ports: Ports, certificate: Certificate) -> Waiting:
    """Wait for an issuer that is not there."""
    ref = certificate.issuer_ref
    name = reference(ref.kind, certificate.namespace, ref.name)
    ports.issuer_records.note_failing(name, certificate.id, now=ports.clock.now())
    return Waiting(reason=f"{name} is not there; apply it, and {certificate.id} goes on at once", seconds=LOOK_SECONDS)


def for_refused(ports: Ports, certificate: Certificate, issuer: Issuer, reason: str) -> Waiting:
    """Wait for an issuer that is not ready until a person, or time, changes something."""
    note(ports, certificate, issuer)
    refusal = registration_times.refusal(ports, issuer)
    seconds = max(1.0, refusal.until - ports.clock.now()) if refusal is not None else LOOK_SECONDS
    return Waiting(reason=f"{issuer.reference} is not ready: {reason}", seconds=seconds)


def note(ports: Ports, certificate: Certificate, issuer: Issuer) -> None:
    """The CA is away: the step's back-off holds, unless the account is registered for another before its end."""
    ports.issuer_records.note_failing(issuer.reference, certificate.id, now=ports.clock.now())
