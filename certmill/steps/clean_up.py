"""Step 8: take away what was put up for the challenges, whatever became of the run, and say when to look at
the certificate again."""

from __future__ import annotations

from certmill.acme.challenges import DNS01
from certmill.errors import Permanent
from certmill.model.issuer import Issuer
from certmill.model.names import CertificateId
from certmill.runs.context import LeaseLost, Ports
from certmill.runs.facts import Facts
from certmill.runs.zone_locks import RenewLease
from certmill.state.record import Record
from certmill.steps import challenges, order_notes

MAX_TRIES = 5
"""After so many tries the journal keeps what is left, and the hourly sweep goes on with it."""

LONGEST_WAIT_SECONDS = 3600.0
"""So long it waits for its turn at a zone, which is no try; then the sweep goes on with it too."""


def clean_up(
    ports: Ports,
    certificate_id: CertificateId,
    issuer: Issuer | None,
    record: Record,
    facts: Facts,
    hold: RenewLease,
) -> None:
    """Take everything down and release the order's lock. Raises Temporary to be tried again, but only so
    often; LeaseLost."""
    lost = False
    try:
        if facts.challenges:
            _take_down(ports, certificate_id, issuer, facts, hold)
    except LeaseLost:
        lost = True
        raise
    finally:
        if not lost:  # else it may be the next run's by now
            ports.locks.release_of(record, certificate_id)


def _take_down(
    ports: Ports, certificate_id: CertificateId, issuer: Issuer | None, facts: Facts, hold: RenewLease
) -> None:
    try:
        # It went with its namespace, and its credentials; the sweep takes what needs none out of the journal.
        if issuer is None:
            challenges.take_down_http01(ports, certificate_id, facts.challenges, hold)
            return
        with ports.namespace_limit.of(issuer.namespace):
            challenges.take_down(ports, certificate_id, issuer, facts.labels, facts.challenges, hold)
    except Permanent:
        # credentials or solver are gone: the journal keeps what is up, the sweep takes it down when they are
        # back
        return
    ports.journal.remove(
        [challenges.entry(certificate_id, issuer, challenge, facts.labels) for challenge in facts.challenges]
    )
    if any(challenge.type == DNS01 for challenge in facts.challenges):
        order_notes.clear(ports.home, certificate_id)
