"""Shows in the home, after the commit, what has become of a step: events, and what the run waits for."""

from __future__ import annotations

from contextlib import suppress

from certmill.certificates import conditions, statuses
from certmill.errors import CertmillError
from certmill.model.status import CertificateStatus
from certmill.observe import certificates
from certmill.renewal.risk import with_risk
from certmill.runs.step_context import StepContext

LONG_WAIT_SECONDS = 60.0
"""A wait that is not shorter is also shown in the status and in the log."""


def record_event(context: StepContext, reason: str, message: str, *, warning: bool = False) -> None:
    """Record an event for the Certificate, if its manifest was read."""
    if context.found_certificate is not None:
        context.ports.events.record_event(context.found_certificate, reason, message, warning=warning)


def report_risk(context: StepContext, before: CertificateStatus, after: CertificateStatus) -> None:
    """Record an event if the level of risk has changed, if the Certificate's manifest was read."""
    if context.found_certificate is not None:
        statuses.report_risk(context.ports, context.found_certificate, before, after)


def show_risk(context: StepContext) -> None:
    """Show in the status, and by an event, that the level of risk has changed while the run waits. An error
    of the home is ignored: the next wait tries again."""
    home, certificate, now = context.ports.home, context.certificate_id, context.ports.clock.now()
    with suppress(CertmillError):
        if (status := home.certificate_status(certificate)) != with_risk(status, now):
            before = statuses.update(home, certificate, lambda status: with_risk(status, now))
            report_risk(context, before, with_risk(before, now))


def show_wait(context: StepContext, *, step: str, reason: str, until: float) -> None:
    """Show in the log and in the Certificate's status what the run waits for. `until`: seconds since the
    epoch. An error of the home is ignored, because the record has the reason too."""
    certificates.waiting(
        context.certificate_id, run=context.record.run, step=step, reason=reason, until=until
    )
    if context.found_certificate is None:
        return
    with suppress(CertmillError):
        statuses.update(
            context.ports.home, context.certificate_id, lambda status: conditions.waiting(status, reason)
        )
