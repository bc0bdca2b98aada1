"""Step 5: tell the CA to look (RFC 8555 §7.5.1), and poll the authorizations until it has."""

from __future__ import annotations

from dataclasses import replace

from certmill.acme.client import AcmeClient
from certmill.acme.problems import problem_error
from certmill.acme.resources import Authorization, AuthorizationStatus, ChallengeStatus
from certmill.errors import CAUnavailable, CertmillError, NameRefused, OrderGone, OrderRefused
from certmill.pipeline import account
from certmill.pipeline.backoff import poll_delay
from certmill.pipeline.context import Work
from certmill.pipeline.facts import ChallengeFacts, Facts
from certmill.pipeline.outcome import Advanced, Back, Failed, Outcome, Waiting

_LINGER_NAMES = 3
_LINGER_SECONDS = (0.03, 0.06, 0.12, 0.24, 0.35)


def validate(work: Work) -> Outcome:
    """Answer each challenge once, then look at each authorization until all are valid or one is not."""
    acme = account.client(work.ports, work.issuer)
    facts = work.facts
    if facts.answered_at is None:
        facts = _answer(work, acme)
    pending = list(facts.challenges)
    retry_after = None
    for pause in (*_LINGER_SECONDS, 0.0):
        still: list[ChallengeFacts] = []
        for challenge in pending:
            work.hold()
            try:
                authorization = acme.authorization(challenge.authorization)
            except OrderGone as error:
                return Back(step="create_order", reason=str(error), facts=facts.without_order())
            if authorization.status in (AuthorizationStatus.PENDING, AuthorizationStatus.PROCESSING):
                still.append(challenge)
                retry_after = authorization.retry_after
            elif authorization.status is not AuthorizationStatus.VALID:
                return Failed(error=_why(challenge, authorization), facts=facts)
        pending = still
        if not pending:
            return Advanced(facts=facts)
        if not pause or len(pending) > _LINGER_NAMES or retry_after is not None:
            break
        work.ports.clock.pause(pause)
    return _not_yet(work, facts, pending[0], retry_after)


def _answer(work: Work, acme: AcmeClient) -> Facts:
    """Answer them all, and keep that we did. Asked again after a crash, a CA may refuse what is no longer pending: the poll tells."""
    for challenge in work.facts.challenges:
        work.hold()
        try:
            acme.answer(challenge.url)
        except (OrderRefused, OrderGone):
            continue
    facts = replace(work.facts, answered_at=work.ports.clock.now())
    work.keep(facts, None)
    return facts


def _not_yet(work: Work, facts: Facts, challenge: ChallengeFacts, retry_after: float | None) -> Outcome:
    elapsed = work.since(facts.answered_at)
    if elapsed >= work.ports.limits.validation_timeout:
        # That the CA is slow says nothing of the name: the next run goes on with this order.
        return Failed(error=CAUnavailable(f"the CA has not validated {challenge.name} within {elapsed / 60:.0f} min"), facts=facts)
    seconds = min(retry_after, 60.0) if retry_after is not None else poll_delay(elapsed)
    return Waiting(reason=f"the CA is validating {challenge.name}", seconds=seconds, facts=facts)


def _why(challenge: ChallengeFacts, authorization: Authorization) -> CertmillError:
    """The error of the challenge that failed; an authorization may also end without one (deactivated, expired, revoked)."""
    for answered in authorization.challenges:
        if answered.error is not None and answered.status is ChallengeStatus.INVALID:
            return problem_error(answered.error, name=challenge.name)
    return NameRefused(f"the authorization for {challenge.name} is {authorization.status}", identifiers=(challenge.name,))
