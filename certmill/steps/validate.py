"""Step 5: ask the CA to validate the challenges (RFC 8555 §7.5.1) and poll the authorizations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from certmill.acme.client import AcmeClient
from certmill.acme.problems import problem_error
from certmill.acme.resources import Authorization, AuthorizationStatus, ChallengeStatus
from certmill.errors import CAUnavailable, CertmillError, NameRefused, OrderGone, OrderRefused, RateLimited
from certmill.issuers import account
from certmill.runs.backoff import poll_delay
from certmill.runs.facts import ChallengeFacts, Facts
from certmill.runs.outcomes import Advanced, Failed, Outcome, Restart, Waiting
from certmill.runs.step_context import StepContext

_OPEN = (AuthorizationStatus.PENDING, AuthorizationStatus.PROCESSING)
_LINGER_NAMES = 3
_LINGER_SECONDS = (0.03, 0.06, 0.12, 0.24, 0.35)


def validate(context: StepContext) -> Outcome:
    """Answer each challenge once, then poll the authorizations until all are valid or one has failed."""
    acme = account.client(context.ports, context.issuer)
    facts = context.facts
    if facts.answered_at is None:
        facts = _answer(context, acme)
    pending, retry_after = list(facts.challenges), None
    for pause in (*_LINGER_SECONDS, 0.0):
        found = _looked_at(context, acme, pending)
        for challenge, authorization in found:
            if authorization.status not in (*_OPEN, AuthorizationStatus.VALID):
                return _ended(facts, _why(challenge, authorization))
        still = [
            (challenge, authorization.retry_after)
            for challenge, authorization in found
            if authorization.status in _OPEN
        ]
        if not still:
            return Advanced(facts=facts)
        pending = [challenge for challenge, _ in still]
        # Respect each Retry-After of the CA: the longest one counts.
        retry_after = max((seconds for _, seconds in still if seconds is not None), default=None)
        if not pause or len(pending) > _LINGER_NAMES or retry_after is not None:
            break
        context.ports.clock.pause(pause)
    return _not_yet(context, facts, pending[0], retry_after)


def _looked_at(
    context: StepContext, acme: AcmeClient, challenges: Sequence[ChallengeFacts]
) -> list[tuple[ChallengeFacts, Authorization]]:
    """Each challenge with its authorization as the CA has it now. Raises OrderGone."""
    found = []
    for challenge in challenges:
        context.renew_lease()
        found.append((challenge, acme.authorization(challenge.authorization)))
    return found


def _ended(facts: Facts, error: CertmillError) -> Outcome:
    """The outcome for a failed authorization. A rate limit does not mean that the name is wrong: a new order
    is created when the limit has passed."""
    if isinstance(error, RateLimited):
        return Restart(step="create_order", reason=str(error), facts=facts.without_order(), after=error)
    return Failed(error=error, facts=facts)


def _answer(context: StepContext, acme: AcmeClient) -> Facts:
    """Answer all challenges and store the time of the answer. Raises LeaseLost.

    After a crash the request is repeated, and a CA may refuse it because the challenge is no longer pending.
    This error is ignored, because the poll shows the state."""
    for challenge in context.facts.challenges:
        context.renew_lease()
        try:
            acme.answer(challenge.url)
        except (OrderRefused, OrderGone):
            continue
    facts = replace(context.facts, answered_at=context.ports.clock.now())
    context.checkpoint(facts)
    return facts


def _not_yet(
    context: StepContext, facts: Facts, challenge: ChallengeFacts, retry_after: float | None
) -> Outcome:
    elapsed = context.since(facts.answered_at)
    if elapsed >= context.ports.limits.validation_timeout:
        # A slow CA does not mean that the name is wrong: the next run continues with this order.
        return Failed(
            error=CAUnavailable(f"the CA has not validated {challenge.name} within {elapsed / 60:.0f} min"),
            facts=facts,
        )
    seconds = min(retry_after, 60.0) if retry_after is not None else poll_delay(elapsed)
    return Waiting(reason=f"the CA is validating {challenge.name}", seconds=seconds, facts=facts)


def _why(challenge: ChallengeFacts, authorization: Authorization) -> CertmillError:
    """The error of the failed challenge. An authorization may also end without an error (deactivated,
    expired, revoked)."""
    for answered in authorization.challenges:
        if answered.error is not None and answered.status is ChallengeStatus.INVALID:
            return problem_error(answered.error, name=challenge.name)
    return NameRefused(
        f"the authorization for {challenge.name} is {authorization.status}", identifiers=(challenge.name,)
    )
