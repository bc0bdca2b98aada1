"""Step 4: check, as the CA will, whether every challenge is visible. A wait is returned as an outcome."""

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
from certmill.runs.context import Work
from certmill.runs.facts import ChallengeFacts
from certmill.runs.outcomes import Advanced, Failed, Outcome, Waiting
from certmill.steps import challenges, solvers

_LINGER_SECONDS = (0.05, 0.15, 0.3)
_LINGER_AT_MOST = 0.5
_GOOD_ANSWERS = 5
_APART_SECONDS = 0.1
"""In a cluster: while an ingress controller takes an Ingress in, one of its servers, or of their workers,
answers as before and another already as it should; the CA, whose no is final, may meet either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _NotYet:
    """Why a challenge cannot be seen. `may_linger`: a moment may help. `looked`: somebody was asked, so the
    deadline counts."""

    reason: str
    may_linger: bool = False
    looked: bool = True


def wait_for_propagation(work: Work) -> Outcome:
    """Advance when all challenges are visible. Otherwise wait with the reason, until the deadline."""
    found, began = None, work.ports.clock.now()
    for pause in (*_LINGER_SECONDS, 0.0):
        found = _not_yet(work, work.facts.challenges) or _wavering(work)
        if found is None:
            return Advanced(facts=work.facts)
        lingered = work.ports.clock.now() - began
        if not found.may_linger or not pause or not work.is_first_try or lingered >= _LINGER_AT_MOST:
            break
        work.ports.clock.pause(pause)
    assert found is not None
    elapsed = work.elapsed()
    if found.looked and elapsed >= work.ports.limits.propagation_timeout:
        return Failed(
            error=NameRefused(
                f"{found.reason}; given up after {elapsed / 60:.0f} min: see that this is public, then renew"
            ),
            facts=work.facts,
        )
    return Waiting(reason=found.reason, seconds=poll_delay(elapsed))


def _wavering(work: Work) -> _NotYet | None:
    """None if every challenge with an Ingress route stays visible in repeated checks."""
    led = [challenge for challenge in work.facts.challenges if challenge.way]
    for _ in range(_GOOD_ANSWERS - 1 if led else 0):
        work.ports.clock.pause(_APART_SECONDS)
        found = _not_yet(work, led)
        if found is not None:
            return found
    return None


def _not_yet(work: Work, challenges: Sequence[ChallengeFacts]) -> _NotYet | None:
    """None if all challenges are visible, otherwise the reason for the first one that is not."""
    for challenge in challenges:
        work.hold()
        solver = solvers.pick(
            work.issuer, challenge.name, labels=work.facts.labels, offered=(challenge.type,)
        )
        if solver.wait_instead_of_self_check is not None:
            found = _solver_waits(work, challenge, solver.wait_instead_of_self_check)
        else:
            found = (
                _dns01(work, challenge, solver.dns01)
                if solver.dns01 is not None
                else _http01(work, challenge)
            )
        if found is not None:
            return found
    return None


def _solver_waits(work: Work, challenge: ChallengeFacts, wait: timedelta) -> _NotYet | None:
    left = (work.facts.presented_at or 0.0) + wait.total_seconds() - work.ports.clock.now()
    return (
        _NotYet(reason=f"{challenge.name}: the solver waits {wait} instead of a self check", looked=False)
        if left > 0
        else None
    )


def _dns01(work: Work, challenge: ChallengeFacts, solver: Dns01Solver) -> _NotYet | None:
    try:
        with work.slow_lookup() as seconds:
            seen = work.ports.checks.visible(
                challenge.record_name, challenge.value, challenge.zone, solver, timeout_seconds=seconds
            )
    except Busy as error:
        return _NotYet(reason=str(error), looked=False)
    except DnsUnavailable as error:
        return _NotYet(reason=str(error))
    return None if seen.visible else _NotYet(reason=f"{challenge.name}: {seen.reason}", may_linger=True)


def _http01(work: Work, challenge: ChallengeFacts) -> _NotYet | None:
    found = account.require_registered(work.ports, work.issuer)
    expected = acme_challenges.key_authorization(
        challenge.token, AccountKey.from_pem(found.key_pem).thumbprint
    )
    try:
        with work.slow_lookup() as seconds:
            probe = work.ports.checks.probe(
                challenge.identifier, challenge.token, expected, timeout_seconds=seconds
            )
    except Busy as error:
        return _NotYet(reason=str(error), looked=False)
    if probe.ok:
        return None
    if probe.handshake_failed:
        work.keep(work.facts, None)  # still ours: a worker that was away for long must write nothing
        work.store_temporary()
    if not work.is_first_try:
        challenges.expose(
            work, challenge, work.facts.labels
        )  # somebody may have changed the Ingress meanwhile
    return _NotYet(reason=probe.reason, may_linger=bool(challenge.way) or probe.handshake_failed)
