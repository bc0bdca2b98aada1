"""Describes in one plain line what happens next to a certificate, when and why. Decides nothing: it calls the
functions with which the pipeline decides. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from certmill.certificates.candidates import Candidate
from certmill.contract import STEP_NAMES
from certmill.model.certificate import Certificate
from certmill.model.issuer import Issuer
from certmill.model.secret import Secret
from certmill.model.status import failure_of
from certmill.renewal.decision import BackingOff, Issue, Keep, decide
from certmill.renewal.observation import observe
from certmill.renewal.plan import RenewalRule
from certmill.state.record import Record
from certmill.views.causes import Observed, known_facts, no_worker_line
from certmill.views.times import away, duration, moment

_DOES = {
    "register_account": "registers the account at the CA",
    "create_order": "asks the CA for an order",
    "set_up_challenge": "sets up the challenges",
    "wait_for_propagation": "checks whether the challenges can be seen",
    "validate": "asks the CA to validate the challenges",
    "finalize": "asks the CA to issue the certificate",
    "store_secret": "stores the pair",
    "clean_up": "removes what was set up for the challenges",
}

_RULES = {
    RenewalRule.TWO_THIRDS: "2/3 of its lifetime",
    RenewalRule.FIRST_TENTH: "not in the first tenth of its lifetime",
    RenewalRule.WINDOW: "when the next of renewal.windows opens",
}
_NOT_RENEWED = "spec.renewal.policy is Disabled, so it is issued again only by `certmill renew`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The observed data of a certificate, its candidate issuers (the one of its run first) and its Secret.
    `candidates` is empty if the issuer is not valid; `secret` is None if there is none. `renewal_jitter`: the
    setting, in seconds."""

    observed: Observed
    candidates: tuple[Candidate, ...]
    secret: Secret | None
    renewal_jitter: float

    @property
    def issuer(self) -> Issuer | None:
        """The first candidate; None if it does not exist or is not valid."""
        return self.candidates[0].issuer if self.candidates else None


def next_line(known: Known, now: float) -> str:
    """One line that says what happens next to the certificate."""
    seen = known.observed
    if seen.record is not None and seen.record.step:
        return in_flight(seen.record, now)
    if seen.owner:
        secret = seen.certificate.secret_name
        return (
            f"nothing, while Secret {secret} belongs to Certificate {seen.owner}: give one of them another "
            "secretName"
        )
    return idle(known, now)


def in_flight(record: Record, now: float) -> str:
    """What the current step of a run does next."""
    does, facts = _DOES.get(record.step, record.step), known_facts(record)
    if facts.failure is not None:
        again = facts.failure.next_attempt
        return (
            f"{does}, then tries again at {moment(again)} ({away(again, now)}), because "
            f"{facts.failure.message}"
        )
    if record.lease > now:
        return f"a worker {does} now"
    if record.reason and record.due > now:
        sooner = ", or as soon as the issuer is ready" if record.step == STEP_NAMES[0] else ""
        return f"tries {record.step} again {away(record.due, now)}{sooner}, because {record.reason}"
    return f"a worker {does} as soon as one is free; {no_worker_line(record, now)}"


def idle(known: Known, now: float) -> str:
    """What the next check of a certificate without a run will decide. The certificate waits for its renewal
    time, waits until a back-off ends, or is issued."""
    certificate, status = known.observed.certificate, known.observed.status
    specs = tuple(candidate.spec for candidate in known.candidates)
    seen = observe(certificate, known.secret, status, specs, jitter_seconds=known.renewal_jitter)
    decision = decide(seen, now)
    match decision:
        case Keep():
            # The workers' time, if they have written one: their jitter may be another setting.
            at = status.renewal_time if status.renewal_time is not None else decision.renewal.instant
            if at is None or decision.renewal.reason is RenewalRule.DISABLED:
                return f"expires at {moment(decision.renewal.check_at)}; {_NOT_RENEWED}"
            when = (
                f"renews at {moment(at)} ({away(at, now)})"
                if at > now
                else "renews as soon as a worker reconciles it"
            )
            return f"{when}, {_rule(certificate, decision.renewal.reason)}"
        case BackingOff():
            why = failure_of(status) or decision.violation.message
            if decision.only_on_request:
                return f"{_NOT_RENEWED}: {why}"
            return f"tries again at {moment(decision.until)} ({away(decision.until, now)}), because {why}"
        case Issue():
            missing = (
                ""
                if known.issuer is not None
                else f"; first apply {certificate.issuer_ref.kind or 'Issuer'} {certificate.issuer_ref.name}"
            )
            soon = (
                "a minute" if status.failed_issuance_attempts else "30 s"
            )  # the renewals tick of beat, or beat's re-read of the home
            why = decision.violation.message
            return f"is issued when a worker reconciles it (within {soon}): {why}{missing}"


def _rule(certificate: Certificate, rule: RenewalRule) -> str:
    """The rule that set the renewal time, as text for people."""
    if rule is RenewalRule.RENEW_BEFORE and certificate.renew_before is not None:
        return f"{duration(certificate.renew_before.total_seconds())} before its end (renewBefore)"
    if rule is RenewalRule.RENEW_BEFORE_PERCENTAGE:
        return f"with {certificate.renew_before_percentage} % of its lifetime left (renewBeforePercentage)"
    return _RULES.get(rule, rule.value)


def step_number(step: str) -> str:
    """For example `step 4 of 8`; "" if the step is not known to this release."""
    return f"step {STEP_NAMES.index(step) + 1} of {len(STEP_NAMES)}" if step in STEP_NAMES else ""
