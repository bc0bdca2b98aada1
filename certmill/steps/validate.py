"""Step 5: ask the CA to validate the challenges (RFC 8555 §7.5.1) and poll the authorizations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from certmill.acme.challenges import DNS01, dns01_value, key_authorization
from certmill.acme.client import AcmeClient
from certmill.acme.jws import AccountKey
from certmill.acme.problems import problem_error
from certmill.acme.resources import Authorization, AuthorizationStatus, ChallengeStatus
from certmill.errors import CertmillError, NameRefused, OrderGone, OrderRefused
from certmill.issuers import account
from certmill.runs.facts import ChallengeFacts, Facts
from certmill.runs.outcomes import Advanced, Outcome
from certmill.runs.step_context import StepContext
from certmill.steps import polling, rate_limits

_OPEN = (AuthorizationStatus.PENDING, AuthorizationStatus.PROCESSING)
_MOST_NAMES_TO_POLL = 3
"""With more open authorizations, the step does not poll again but ends as waiting."""

_Polled = Sequence[tuple[ChallengeFacts, Authorization]]
"""Challenges, each with its authorization as the CA has it now."""


def validate(context: StepContext) -> Outcome:
    """Answer each challenge once, then poll the authorizations until all are valid or one has failed."""
    acme = account.client(context.ports, context.issuer)
    facts = context.facts
    if facts.answered_at is None:
        _require_same_key(context)
        facts = _answer(context, acme)
    polled = polling.poll(
        context,
        _ask(context, acme, facts.challenges),
        ask_again=lambda polled: _ask(context, acme, [challenge for challenge, _ in _open(polled)]),
        is_open=_may_poll_again,
    )
    if failed := _failed(polled):
        for challenge, authorization in failed:
            if authorization.status is AuthorizationStatus.INVALID:
                rate_limits.spend_failure(context, challenge)
        return polling.refused(_why(*failed[0]), facts)
    if still := _open(polled):
        return _wait(context, facts, still)
    rate_limits.forgive_failures(context)
    return Advanced(facts=facts)


def _require_same_key(context: StepContext) -> None:
    """Raises OrderGone if the account's key was changed since the challenges were presented: by RFC 8555 §8.1
    the CA expects the thumbprint of the new key. All challenges are presented with one key, so one is
    checked."""
    for challenge in context.facts.challenges[:1]:
        key = AccountKey.from_pem(account.require_registered(context.ports, context.issuer).key_pem)
        if challenge.type == DNS01:
            is_same = challenge.value == dns01_value(challenge.token, key.thumbprint)
        else:
            served = context.ports.key_authorizations.get(challenge.token)
            is_same = served is None or served.text == key_authorization(challenge.token, key.thumbprint)
        if not is_same:
            raise OrderGone(
                f"the account key of {context.issuer.reference} was changed during the validation"
            )


def _ask(context: StepContext, acme: AcmeClient, challenges: Sequence[ChallengeFacts]) -> _Polled:
    """The authorizations of these challenges. Raises OrderGone."""
    polled = []
    for challenge in challenges:
        context.renew_lease()
        polled.append((challenge, acme.authorization(challenge.authorization)))
    return polled


def _open(polled: _Polled) -> _Polled:
    return [each for each in polled if each[1].status in _OPEN]


def _failed(polled: _Polled) -> _Polled:
    ended_well = (*_OPEN, AuthorizationStatus.VALID)
    return [each for each in polled if each[1].status not in ended_well]


def _may_poll_again(polled: _Polled) -> bool:
    """Whether the CA may decide within this step: it has not asked for a longer wait."""
    still = _open(polled)
    return 0 < len(still) <= _MOST_NAMES_TO_POLL and not _failed(polled) and _retry_after(still) is None


def _retry_after(still: _Polled) -> float | None:
    """The longest Retry-After of the authorizations (seconds): each of them must be respected."""
    return max((found.retry_after for _, found in still if found.retry_after is not None), default=None)


def _wait(context: StepContext, facts: Facts, still: _Polled) -> Outcome:
    name, since = still[0][0].name, facts.answered_at
    return polling.timed_out(context, facts, since=since, what=f"validated {name}") or polling.wait(
        context, facts, since=since, reason=f"the CA is validating {name}", retry_after=_retry_after(still)
    )


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


def _why(challenge: ChallengeFacts, authorization: Authorization) -> CertmillError:
    """The error of the failed challenge. An authorization may also end without an error (deactivated,
    expired, revoked)."""
    for answered in authorization.challenges:
        if answered.error is not None and answered.status is ChallengeStatus.INVALID:
            return problem_error(answered.error, name=challenge.name)
    return NameRefused(
        f"the authorization for {challenge.name} is {authorization.status}", identifiers=(challenge.name,)
    )
