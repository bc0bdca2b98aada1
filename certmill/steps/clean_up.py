"""Step 8: clean up the challenges, for each result of the run, release the order's lock, and decide when the
Certificate is checked again."""

from __future__ import annotations

from contextlib import suppress

from certmill.acme.challenges import DNS01
from certmill.certificates import conditions, statuses
from certmill.errors import Busy, CertmillError, Permanent, StateUnavailable, Temporary
from certmill.model.certificate import Certificate
from certmill.model.issuer import Issuer
from certmill.model.status import CertificateStatus
from certmill.renewal import next_check
from certmill.runs.outcomes import Finished, Outcome
from certmill.runs.step_context import LeaseLost, StepContext
from certmill.steps import challenges, manifests

MAX_TRIES = 5
"""After this number of tries the rest stays in the journal, and the hourly sweep cleans it up."""

LONGEST_WAIT_SECONDS = 3600.0
"""The longest wait for a zone's lock; waiting does not count as a try. Then the sweep cleans up."""


def clean_up(context: StepContext) -> Outcome:
    """Clean up what the run has presented, and finish the run. After MAX_TRIES the sweep does the rest.

    Runs without a Certificate, without an issuer, and with facts that cannot be read: then the journal knows
    what was presented. Raises Temporary (the step is tried again) and LeaseLost."""
    certificate, issuer = manifests.read_for_clean_up(context)
    if context.record.attempts > context.ports.limits.max_attempts:
        _release_order_lock(context)
        values_removed = False
    else:
        values_removed = _try_to_clean_up(context, issuer)
    _show_ended(context, values_removed=values_removed)
    return Finished(next_check=_next_check(context, certificate))


def _show_ended(context: StepContext, *, values_removed: bool) -> None:
    """Write to the status, in one request, that a run whose order is noted there has ended: `store_secret`
    wrote the end of any other run. Errors of the home are ignored: only the history, and the removal of a
    note that is no longer needed, are missing then."""
    home, certificate, stored = context.ports.home, context.certificate_id, context.facts.stored
    now = context.ports.clock.now()

    def ended(status: CertificateStatus) -> CertificateStatus:
        return conditions.ended(status, stored=stored, values_removed=values_removed, now=now)

    with suppress(CertmillError):
        if values_removed or (stored is not None and home.certificate_status(certificate).order):
            statuses.update(home, certificate, ended)


def _try_to_clean_up(context: StepContext, issuer: Issuer | None) -> bool:
    """Clean up. Returns whether all DNS-01 values of the run were removed from DNS, if there were any."""
    try:
        return _clean_up_and_release(context, issuer)
    except StateUnavailable:
        raise
    except Busy:  # does not count as a try, but a run must not wait for a lock without end
        if context.elapsed() < LONGEST_WAIT_SECONDS:
            raise
    except Temporary:
        if context.record.tries < MAX_TRIES:
            raise
    return False


def _clean_up_and_release(context: StepContext, issuer: Issuer | None) -> bool:
    lost = False
    try:
        return bool(context.facts.challenges) and _clean_up_challenges(context, issuer)
    except LeaseLost:
        lost = True
        raise
    finally:
        if not lost:  # after a lost lease the lock may belong to the next run
            _release_order_lock(context)


def _release_order_lock(context: StepContext) -> None:
    context.ports.locks.release_of(context.record, context.certificate_id)


def _clean_up_challenges(context: StepContext, issuer: Issuer | None) -> bool:
    ports, certificate_id, facts = context.ports, context.certificate_id, context.facts
    try:
        # The issuer and its credentials are gone; the sweep handles entries that need no credentials.
        if issuer is None:
            challenges.clean_up_http01(ports, certificate_id, facts.challenges, context.renew_lease)
            return False
        with ports.namespace_limit.of(issuer.namespace):
            challenges.clean_up(
                ports, certificate_id, issuer, facts.labels, facts.challenges, context.renew_lease
            )
    except Permanent:
        # The credentials or the solver are gone. The entries stay in the journal, and the sweep cleans up
        # when the credentials or the solver exist again.
        return False
    ports.journal.remove(
        [challenges.entry(certificate_id, issuer, challenge, facts.labels) for challenge in facts.challenges]
    )
    return any(challenge.type == DNS01 for challenge in facts.challenges)


def _next_check(context: StepContext, certificate: Certificate | None) -> float:
    """When the Certificate is checked again (seconds since the epoch); now if it was deleted."""
    now, facts = context.ports.clock.now(), context.facts
    status = _status_now(context, certificate) if facts.failure is not None else None
    stored = facts.stored if certificate is not None else None
    return next_check.after_run(stored, facts.failure, status=status, now=now)


def _status_now(context: StepContext, certificate: Certificate | None) -> CertificateStatus | None:
    """The status, which may have changed since the run failed. None if it cannot be read."""
    with suppress(Permanent):
        if certificate is not None:
            return context.uncached.home.certificate_status(certificate.id)
    return None
