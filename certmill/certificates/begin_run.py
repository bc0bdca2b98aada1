"""Begins a run of a Certificate: creates the run in the record, then writes the status and the event."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from certmill.certificates import conditions, statuses, temporary
from certmill.certificates.candidates import Candidate
from certmill.errors import Conflict
from certmill.model.certificate import Certificate
from certmill.model.fallback import FALLBACK_SECONDS, Fallback
from certmill.model.reason import Reason
from certmill.model.status import CertificateStatus
from certmill.model.trigger import ReconcileOptions
from certmill.observe import certificates
from certmill.renewal.decision import Issue
from certmill.renewal.observation import Observation, Violation
from certmill.renewal.origin import origin_of
from certmill.renewal.risk import with_risk
from certmill.runs import chain
from certmill.runs.ports import Ports
from certmill.state.run_state import RunState, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """The result of a reconcile request.

    `right`: the stored pair is the desired one. Otherwise `run` is the number of the run that was begun, or
    of the failed run whose back-off has not ended. `run` is 0 if nothing can be done; `reason` says why.
    `publish_run`: the caller publishes the run's chain now."""

    reason: str
    right: bool = False
    run: int = 0
    publish_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The time of an observation, and the run state in Redis before it.

    A decision is valid only for this run state: if a run has ended or the Certificate was deleted since, the
    observation is made again."""

    options: ReconcileOptions
    now: float
    state: RunState

    @property
    def forced(self) -> bool:
        """Whether a new certificate was requested, now or while the last run was under way."""
        return self.options.force or self.state.rerun_reason == "force"

    @property
    def spec(self) -> str:
        """The digest of the candidate that the run under way uses, or that the next one must use; "" if the
        next run uses the first candidate."""
        return self.state.spec or (self.fallback.spec if self.fallback is not None else "")

    @property
    def fallback(self) -> Fallback | None:
        """Set if the run under way, or the next one, uses a fall-back issuer."""
        found = self.state.fallback
        is_old = found is not None and not self.state.spec and self.now > found.at + FALLBACK_SECONDS
        return None if is_old else found


class ObservationOutdated(Exception):
    """The run state has changed since the observation. The observation is made again."""


def begin_run(
    ports: Ports, decision: Issue, observation: Observation, moment: Moment, candidate: Candidate
) -> Reconciled:
    """Begin a run that uses the candidate issuer. Its wake-up is published at once if the queue is short;
    otherwise the run waits among the arrivals. Raises ObservationOutdated.

    The temporary pair is stored first: if the process dies after the run has begun, no other process stores
    it. If a run is under way but its status was not written (the home was not available), the status is
    written now."""
    now, violation = moment.now, _with_issuer(decision.violation, moment.fallback, candidate)
    is_temporary_stored = temporary.is_asked_for(observation.certificate) and temporary.store(
        ports.home, ports.events, observation, now=now
    )
    publish_run = moment.options.may_publish and ports.due.queue_length() < ports.limits.high_water
    verdict, run = _begin(
        ports, violation, moment, candidate, certificate=observation.certificate, publish_run=publish_run
    )
    # A run under way whose status is missing: the process that began it may have failed before it wrote the
    # status and published the wake-up, so both are repeated.
    status_missing = (
        verdict is Verdict.JOINED and ports.home.watched and not conditions.is_issuing(observation.status)
    )
    if verdict is Verdict.BEGUN or status_missing:
        servable = is_temporary_stored or temporary.is_ready(observation)
        _record_begun(
            ports, observation, violation, servable=servable, ours=verdict is Verdict.BEGUN, now=now
        )
    elif verdict is Verdict.JOINED:
        _write_times(ports, observation, now)
    publish_run = publish_run and (verdict is Verdict.BEGUN or status_missing)
    return Reconciled(reason=violation.message, run=run, publish_run=publish_run)


def _with_issuer(violation: Violation, fallback: Fallback | None, candidate: Candidate) -> Violation:
    """The violation, whose message names the issuer if it is a fall-back issuer, and the reason."""
    if fallback is None or fallback.spec != candidate.spec:
        return violation
    message = f"{violation.message}; uses {candidate.identity}, because {fallback.reason}"
    return replace(violation, message=message)


def _begin(
    ports: Ports,
    violation: Violation,
    moment: Moment,
    candidate: Candidate,
    *,
    certificate: Certificate,
    publish_run: bool,
) -> tuple[Verdict, int]:
    """Create the run in its record, or join the run under way. Returns the verdict and the number of the run.
    Raises ObservationOutdated."""
    now = moment.now
    origin = origin_of(moment.options.origin, violation, forced=moment.forced)
    verdict, run = ports.records.begin(
        certificate.id,
        now=now,
        steps=(chain.FIRST, *chain.SENT),
        spec=candidate.spec,
        origin=origin,
        in_flight_until=now + ports.limits.grace if publish_run else None,
        force=moment.forced,
        expected=None if moment.options.force else moment.state,
    )
    if verdict is Verdict.STALE:
        raise ObservationOutdated
    if verdict is Verdict.BEGUN:
        certificates.run_begun(
            certificate.id,
            run=run,
            trigger=origin.trigger.value,
            reason=violation.reason.value,
            message=violation.message,
            issuer=candidate.ref.name,
        )
    return verdict, run


def _write_times(ports: Ports, observation: Observation, now: float) -> None:
    """While a run is under way, write when the pair that it replaces expires, or that it has expired."""
    status = with_risk(conditions.while_issuing(observation, now=now), now)
    if status != observation.status:
        with suppress(Conflict):  # the run has just written a newer status
            statuses.write(ports, observation.certificate, status, before=observation.status, now=now)


def _record_begun(
    ports: Ports, observation: Observation, violation: Violation, *, servable: bool, ours: bool, now: float
) -> None:
    """Write to the status and the events that a run is under way. If two processes reconcile at once, only
    the one that began the run (`ours`) knows its reason; the other writes nothing if the status already shows
    the run."""
    home, certificate = ports.home, observation.certificate
    ready = servable or violation.reason in (Reason.RENEWING, Reason.MANUALLY_TRIGGERED)

    def write_over(before: CertificateStatus) -> None:
        status = conditions.of_pair(replace(observation, status=before))
        status = conditions.issuing(status, violation, ready=ready, now=now)
        statuses.write(ports, certificate, status, before=before, now=now)

    try:
        write_over(observation.status)
    except Conflict:
        status = home.certificate_status(certificate.id)
        if conditions.is_issuing(status) and not ours:
            return
        write_over(status)
    ports.events.record_event(certificate, "Issuing", violation.message)
