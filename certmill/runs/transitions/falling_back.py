"""Replaces the outcome of a step if another candidate issuer must take over (renewal.fallback decides): the
run ends with its clean-up, and the next run uses that issuer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from certmill.certificates.candidates import Candidate, candidate_of, candidates_for, next_candidate
from certmill.errors import CAUnavailable, CertmillError
from certmill.model.fallback import Fallback
from certmill.model.status import CertificateStatus, as_of
from certmill.observe import certificates
from certmill.renewal.fallback import Reserve, Stay, decide, trouble_of
from certmill.runs import backoff
from certmill.runs.chain import CLEAN_UP
from certmill.runs.facts import Facts
from certmill.runs.outcomes import Advanced, Drop, Failed, Outcome, Restart, StepResult, Trouble, Waiting
from certmill.runs.step_context import StepContext
from certmill.runs.transitions import commits, reports
from certmill.runs.transitions.waiting import validity_of
from certmill.state.records import Due

EVENT = "Fallback"


@dataclass(frozen=True, slots=True, kw_only=True)
class UseFallback:
    """The run ends, and the next one uses the candidate `following` instead of `used`."""

    used: Candidate
    following: Candidate
    reason: str
    facts: Facts


def reconsidered(context: StepContext, outcome: Outcome) -> Outcome | UseFallback:
    """The outcome, or what takes its place: another candidate takes over, or the run fails because no further
    candidate is left. The next run then begins with the first candidate, after a back-off."""
    match outcome:
        case Advanced() if outcome.facts.ca_out_since is not None:
            return replace(outcome, facts=replace(outcome.facts, ca_out_since=None))
        case Waiting():
            return _instead_of_wait(context, outcome)
        case Failed():
            trouble = trouble_of(outcome.error)
            found = _decided(
                context, trouble, outcome.facts, str(outcome.error), seconds=0.0, has_failed=True
            )
            return found if isinstance(found, UseFallback) else outcome
        case Restart() if outcome.after is not None:
            seconds = backoff.step_delay(outcome.after, 1, context.ports.jitter())
            trouble = trouble_of(outcome.after)
            found = _decided(context, trouble, outcome.facts, outcome.reason, seconds=seconds)
            return outcome if isinstance(found, Stay) else found
    return outcome


def _instead_of_wait(context: StepContext, outcome: Waiting) -> Outcome | UseFallback:
    now = context.ports.clock.now()
    facts = _noted(outcome, outcome.facts if outcome.facts is not None else context.facts, now)
    if facts.ca_out_since != context.facts.ca_out_since:
        outcome = replace(outcome, facts=facts)
    found = _decided(context, outcome.trouble, facts, outcome.reason, seconds=outcome.seconds)
    if not isinstance(found, Stay):
        return found
    if found.until is None:
        return outcome
    return replace(outcome, seconds=min(outcome.seconds, max(1.0, found.until - now)))


def _noted(outcome: Waiting, facts: Facts, now: float) -> Facts:
    """The facts with the time since when the CA is out. A wait for a lock does not show that the CA
    answers."""
    if outcome.trouble is Trouble.CA_IS_OUT:
        known = facts.ca_out_since
        return replace(facts, ca_out_since=min(known, now) if known is not None else now)
    is_answer = outcome.counted and not outcome.failed
    return replace(facts, ca_out_since=None) if is_answer else facts


def _decided(
    context: StepContext,
    trouble: Trouble | None,
    facts: Facts,
    reason: str,
    *,
    seconds: float,
    has_failed: bool = False,
) -> UseFallback | Failed | Stay:
    """What becomes of a run that must wait `seconds`, or that has failed."""
    certificate = context.found_certificate
    if trouble is None or certificate is None or not certificate.fallback_issuers or facts.stored is not None:
        return Stay()
    now, ports = context.ports.clock.now(), context.ports
    try:
        candidates = candidates_for(ports.home, certificate)
        validity = _validity(ports.home.certificate_status(certificate.id), now)
    except CertmillError:  # the next try decides
        return Stay()
    decision = decide(
        trouble,
        Reserve.of(validity, patience=ports.limits.fallback_after, now=now),
        now=now,
        since=facts.ca_out_since if facts.ca_out_since is not None else now,
        until=now + seconds,
        is_first=candidates[0].spec == context.record.spec,
        has_failed=has_failed,
    )
    return decision if isinstance(decision, Stay) else _passed_on(context, candidates, facts, reason)


def _passed_on(
    context: StepContext, candidates: Sequence[Candidate], facts: Facts, reason: str
) -> UseFallback | Failed | Stay:
    """The run passes to the next candidate. It fails if it already uses the last one of several."""
    used = candidate_of(candidates, context.record.spec)
    if used is None:
        return Stay()
    why = f"{used.identity} cannot issue now: {reason}"
    if (following := next_candidate(candidates, used.spec)) is not None:
        return UseFallback(used=used, following=following, reason=why, facts=facts)
    if len(candidates) == 1:
        return Stay()
    error = CAUnavailable(f"{why}; it is the last fall-back issuer, so {candidates[0].identity} is next")
    return Failed(error=error, facts=facts)


def _validity(status: CertificateStatus, now: float) -> backoff.Validity | None:
    """The validity of the stored certificate; None if it is not Ready."""
    ready = as_of(status, now).condition("Ready")
    return validity_of(status) if ready is not None and ready.status else None


def use_fallback(context: StepContext, outcome: UseFallback) -> StepResult:
    """End the run: the clean-up is next, and then a run that uses the other issuer. Raises LeaseLost,
    StateUnavailable."""
    now, record = context.ports.clock.now(), context.record
    fallback = Fallback(run=record.run + 1, spec=outcome.following.spec, reason=outcome.reason, at=now)
    used, following = str(outcome.used.identity), str(outcome.following.identity)
    commits.commit(
        context,
        step=CLEAN_UP,
        due=Due.IN_FLIGHT,
        at=now + context.ports.limits.grace,
        fields={
            "facts": replace(outcome.facts, fallback=fallback).to_json(),
            "reason": outcome.reason,
            "due": f"{now:.3f}",
            "wait_class": "",
        },
        drop=commits.UNREAD_FIELDS,
    )
    certificates.fell_back(
        context.certificate_id,
        run=record.run,
        step=context.step,
        used=used,
        following=following,
        reason=outcome.reason,
    )
    message = f"{outcome.reason}; {following} is used instead"
    reports.record_event(context, EVENT, message, warning=True)
    return Drop(publish_run=True)
