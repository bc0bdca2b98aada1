"""Step 8: clean up the challenges, for each result of the run, and release the order's lock."""

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
"""After this number of tries the rest stays in the journal, and the hourly sweep cleans it up."""

LONGEST_WAIT_SECONDS = 3600.0
"""The longest wait for a zone's lock; waiting does not count as a try. Then the sweep cleans up."""


def clean_up(
    ports: Ports,
    certificate_id: CertificateId,
    issuer: Issuer | None,
    record: Record,
    facts: Facts,
    hold: RenewLease,
) -> None:
    """Clean up all challenges and release the order's lock.

    Raises Temporary (the step is tried again, a limited number of times) and LeaseLost."""
    lost = False
    try:
        if facts.challenges:
            _take_down(ports, certificate_id, issuer, facts, hold)
    except LeaseLost:
        lost = True
        raise
    finally:
        if not lost:  # after a lost lease the lock may belong to the next run
            ports.locks.release_of(record, certificate_id)


def _take_down(
    ports: Ports, certificate_id: CertificateId, issuer: Issuer | None, facts: Facts, hold: RenewLease
) -> None:
    try:
        # The issuer and its credentials are gone; the sweep handles entries that need no credentials.
        if issuer is None:
            challenges.take_down_http01(ports, certificate_id, facts.challenges, hold)
            return
        with ports.namespace_limit.of(issuer.namespace):
            challenges.take_down(ports, certificate_id, issuer, facts.labels, facts.challenges, hold)
    except Permanent:
        # The credentials or the solver are gone. The entries stay in the journal, and the sweep cleans up
        # when the credentials or the solver exist again.
        return
    ports.journal.remove(
        [challenges.entry(certificate_id, issuer, challenge, facts.labels) for challenge in facts.challenges]
    )
    if any(challenge.type == DNS01 for challenge in facts.challenges):
        order_notes.clear(ports.home, certificate_id)
