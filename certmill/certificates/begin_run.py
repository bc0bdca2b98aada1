"""What beginning a run takes: who asked and when we looked, the record's beginning in one call, and what
people are told of it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from certmill.certificates import conditions, statuses, temporary
from certmill.errors import Conflict
from certmill.model.certificate import Certificate
from certmill.model.status import MANUALLY_TRIGGERED
from certmill.model.trigger import Origin, ReconcileOptions
from certmill.observe import certificates
from certmill.renewal.origin import origin_of
from certmill.renewal.policy import Issue, Seen, Violation
from certmill.runs import chain
from certmill.runs.context import Ports
from certmill.state.records import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What was found and done.

    `right`: the stored pair is what is wanted. Else `run` is the number of the run that makes it right, or of
    the one that failed and whose back-off holds; 0: nothing can be done, for `reason`. `ring`: the run's
    chain is to be published now."""

    reason: str
    right: bool = False
    run: int = 0
    publish_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When we looked, and what the record said before that (Records.outlook): what has changed since is not
    decided about."""

    options: ReconcileOptions
    now: float
    again: str
    as_of: str

    @property
    def forced(self) -> bool:
        """Whether a new certificate is asked for, now or while the last run went on."""
        return self.options.force or self.again == "force"


def begin_run(ports: Ports, decision: Issue, seen: Seen, moment: Moment) -> Reconciled | None:
    """Begin a run: rung at once while the queue is short, else among the arrivals. None: a run has ended
    since we looked.

    A temporary pair comes first: whoever dies after the beginning writes it no more. What was not told of a
    run that goes on, because the home was away in that moment, is told now."""
    certificate, options, now, violation = seen.certificate, moment.options, moment.now, decision.violation
    stored = temporary.is_asked_for(certificate) and temporary.store(ports.home, ports.events, seen, now=now)
    publish_run = options.may_publish and ports.due.queue_length() < ports.limits.high_water
    origin = origin_of(options.origin, violation, forced=moment.forced)
    verdict, run = ports.records.begin(
        certificate.id,
        now=now,
        steps=(chain.FIRST, *chain.SENT),
        spec=seen.spec,
        origin=origin,
        in_flight_until=now + ports.limits.grace if publish_run else None,
        force=moment.forced,
        as_of="" if options.force else moment.as_of,
    )
    if verdict is Verdict.STALE:
        return None
    if verdict is Verdict.BEGUN:
        _log_begun(certificate, violation, run=run, origin=origin)
    untold = verdict is Verdict.JOINED and ports.home.watched and not conditions.is_issuing(seen.status)
    if verdict is Verdict.BEGUN or untold:
        _record_begun(
            ports,
            seen,
            violation,
            servable=stored or temporary.is_ready(seen),
            ours=verdict is Verdict.BEGUN,
            now=now,
        )
    elif verdict is Verdict.JOINED:
        _tell_times(ports, seen, now)
    # Rung again with what was untold: whoever began the run may have failed at telling, and have rung nobody.
    return Reconciled(
        reason=violation.message, run=run, publish_run=publish_run and (verdict is Verdict.BEGUN or untold)
    )


def _tell_times(ports: Ports, seen: Seen, now: float) -> None:
    """A run goes on: say when the pair that it is to replace expires, and that it has expired."""
    if (status := conditions.while_issuing(seen, now=now)) != seen.status:
        with suppress(Conflict):  # the run has just told more
            statuses.write(ports, seen.certificate, status)


def _record_begun(
    ports: Ports, seen: Seen, violation: Violation, *, servable: bool, ours: bool, now: float
) -> None:
    """Show in status and events that a run is under way. Of two looks at once the one that began it (`ours`)
    knows why; the other has nothing to say then."""
    home, certificate, status = ports.home, seen.certificate, conditions.of_pair(seen)
    ready = servable or violation.reason in ("Renewing", MANUALLY_TRIGGERED)
    try:
        statuses.write(ports, certificate, conditions.issuing(status, violation, ready=ready, now=now))
    except Conflict:
        status = conditions.of_pair(replace(seen, status=home.certificate_status(certificate.id)))
        if conditions.is_issuing(status) and not ours:
            return
        statuses.write(ports, certificate, conditions.issuing(status, violation, ready=ready, now=now))
    ports.events.record_event(certificate, "Issuing", violation.message)


def _log_begun(certificate: Certificate, violation: Violation, *, run: int, origin: Origin) -> None:
    certificates.run_begun(
        certificate.id,
        run=run,
        trigger=origin.trigger.value,
        reason=violation.reason,
        message=violation.message,
        issuer=certificate.issuer_ref.name,
    )
