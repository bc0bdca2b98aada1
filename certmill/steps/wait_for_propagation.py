"""Step 4: check that every challenge is visible, in the same way as the CA will. A wait is an outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from certmill.acme import challenges as acme_challenges
from certmill.acme.jws import AccountKey
from certmill.errors import Busy, DnsUnavailable, NameRefused
from certmill.issuers import account
from certmill.model.issuer import Dns01Solver
from certmill.runs.backoff import poll_delay
from certmill.runs.facts import ChallengeFacts
from certmill.runs.outcomes import Advanced, Failed, Outcome, Waiting
from certmill.runs.step_context import StepContext
from certmill.steps import challenges, polling, solvers

_PAUSES = (0.05, 0.15, 0.3)
_POLLS_AT_MOST_SECONDS = 0.5
_STABLE_CHECKS = 5
_APART_SECONDS = 0.1
"""While an ingress controller loads a changed Ingress, some of its servers still answer with the old
configuration. The CA may reach any of them, and a failed validation is final (RFC 8555 §7.1.6: "invalid"). So
the self check must succeed several times, with this pause between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _NotYet:
    """Why a challenge is not visible. `may_be_soon`: it may become visible within a second. `was_checked`: a
    server was asked, so the deadline applies."""

    reason: str
    may_be_soon: bool = False
    was_checked: bool = True


def wait_for_propagation(context: StepContext) -> Outcome:
    """Advance when all challenges are visible. Otherwise wait with the reason, until the deadline."""
    began = context.ports.clock.now()

    def check() -> _NotYet | None:
        return _not_yet(context, context.facts.challenges) or _unstable(context)

    def may_check_again(found: _NotYet | None) -> bool:
        is_early = context.ports.clock.now() - began < _POLLS_AT_MOST_SECONDS
        return found is not None and found.may_be_soon and context.is_first_try and is_early

    found = polling.poll(
        context, check(), ask_again=lambda _: check(), is_open=may_check_again, pauses=_PAUSES
    )
    if found is None:
        return Advanced(facts=context.facts)
    elapsed = context.elapsed()
    if found.was_checked and elapsed >= context.ports.limits.propagation_timeout:
        return Failed(
            error=NameRefused(
                f"{found.reason}; given up after {elapsed / 60:.0f} min: make this public, then renew"
            ),
            facts=context.facts,
        )
    return Waiting(reason=found.reason, seconds=poll_delay(elapsed))


def _unstable(context: StepContext) -> _NotYet | None:
    """None if every challenge with an Ingress route stays visible in repeated checks."""
    led = [challenge for challenge in context.facts.challenges if challenge.route]
    for _ in range(_STABLE_CHECKS - 1 if led else 0):
        context.ports.clock.pause(_APART_SECONDS)
        found = _not_yet(context, led)
        if found is not None:
            return found
    return None


def _not_yet(context: StepContext, challenges: Sequence[ChallengeFacts]) -> _NotYet | None:
    """None if all challenges are visible, otherwise the reason for the first one that is not."""
    for challenge in challenges:
        context.renew_lease()
        solver = solvers.pick(
            context.issuer, challenge.name, labels=context.facts.labels, offered=(challenge.type,)
        )
        if solver.wait_instead_of_self_check is not None:
            found = _solver_waits(context, challenge, solver.wait_instead_of_self_check)
        else:
            found = (
                _dns01(context, challenge, solver.dns01)
                if solver.dns01 is not None
                else _http01(context, challenge)
            )
        if found is not None:
            return found
    return None


def _solver_waits(context: StepContext, challenge: ChallengeFacts, wait: timedelta) -> _NotYet | None:
    left = (context.facts.presented_at or 0.0) + wait.total_seconds() - context.ports.clock.now()
    return (
        _NotYet(
            reason=f"{challenge.name}: the solver waits {wait} instead of a self check", was_checked=False
        )
        if left > 0
        else None
    )


def _dns01(context: StepContext, challenge: ChallengeFacts, solver: Dns01Solver) -> _NotYet | None:
    try:
        with context.slow_lookup() as seconds:
            seen = context.ports.checks.visible(
                challenge.record_name, challenge.value, challenge.zone, solver, timeout_seconds=seconds
            )
    except Busy as error:
        return _NotYet(reason=str(error), was_checked=False)
    except DnsUnavailable as error:
        return _NotYet(reason=str(error))
    return None if seen.visible else _NotYet(reason=f"{challenge.name}: {seen.reason}", may_be_soon=True)


def _http01(context: StepContext, challenge: ChallengeFacts) -> _NotYet | None:
    found = account.require_registered(context.ports, context.issuer)
    expected = acme_challenges.key_authorization(
        challenge.token, AccountKey.from_pem(found.key_pem).thumbprint
    )
    try:
        with context.slow_lookup() as seconds:
            probe = context.ports.checks.probe(
                challenge.identifier, challenge.token, expected, timeout_seconds=seconds
            )
    except Busy as error:
        return _NotYet(reason=str(error), was_checked=False)
    if probe.ok:
        return None
    if probe.handshake_failed:
        context.confirm_lease()  # without the lease, nothing must be written
        context.store_temporary_pair(context.certificate)
    if not context.is_first_try:
        # Another program may have changed the Ingress since.
        challenges.present_route(context, challenge, context.facts.labels)
    return _NotYet(reason=probe.reason, may_be_soon=bool(challenge.route) or probe.handshake_failed)
