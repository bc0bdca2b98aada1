"""Step 3: choose a solver for each authorization that is not valid yet, and present its challenge. Each
challenge is stored in the record and the journal before it is presented."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from certmill.acme.client import AcmeClient
from certmill.acme.identifiers import ordered_identifier
from certmill.acme.jws import AccountKey
from certmill.acme.resources import Authorization, AuthorizationStatus
from certmill.errors import OrderGone, OrderRefused
from certmill.issuers import account
from certmill.runs.facts import ChallengeFacts
from certmill.runs.outcomes import Advanced, Failed, Outcome
from certmill.runs.step_context import StepContext
from certmill.steps import challenge_choice, challenges

_OPEN = (AuthorizationStatus.PENDING, AuthorizationStatus.PROCESSING)


def set_up_challenge(context: StepContext) -> Outcome:
    """Present the challenges (RFC 8555 §8.3, §8.4). Authorizations that are valid already are skipped.

    Raises OrderGone if an authorization has ended, SolverMisconfigured, DnsUnavailable, Busy, LeaseLost."""
    acme = account.client(context.ports, context.issuer)
    authorizations = _fetch(context, acme)
    outside = [a for a in authorizations if ordered_identifier(a, context.certificate.identifiers) is None]
    if outside:
        return _refuse_other_name(context, outside[0])
    ended = [a for a in authorizations if a.status not in (*_OPEN, AuthorizationStatus.VALID)]
    if ended:
        raise OrderGone(f"the authorization for {ended[0].identifier.value} is {ended[0].status}")
    key = AccountKey.from_pem(account.require_registered(context.ports, context.issuer).key_pem)
    presented = tuple(_challenge(context, a, key) for a in authorizations if a.status in _OPEN)
    _clean_up_stale(context, presented)
    facts = replace(context.facts, challenges=presented, labels=dict(context.certificate.labels))
    context.checkpoint(facts)
    challenges.present(context, presented, key.thumbprint)
    if any(challenge.route for challenge in presented) and context.ports.routes.redirects(
        context.certificate
    ):
        context.store_temporary_pair(context.certificate)
    return Advanced(facts=replace(facts, presented_at=context.ports.clock.now()))


def _clean_up_stale(context: StepContext, presented: Sequence[ChallengeFacts]) -> None:
    """Clean up the challenges of an earlier order, and all earlier challenges if the labels have changed,
    because other labels may choose other solvers."""
    relabelled = dict(context.facts.labels) != dict(context.certificate.labels)
    stale = [challenge for challenge in context.facts.challenges if relabelled or challenge not in presented]
    if stale:
        challenges.clean_up(
            context.ports,
            context.certificate_id,
            context.issuer,
            context.facts.labels,
            stale,
            context.renew_lease,
        )
        context.ports.journal.remove(
            [
                challenges.entry(context.certificate_id, context.issuer, challenge, context.facts.labels)
                for challenge in stale
            ]
        )


def _fetch(context: StepContext, acme: AcmeClient) -> Sequence[Authorization]:
    found = []
    for url in context.facts.authorizations:
        found.append(acme.authorization(url))
        context.renew_lease()
    return found


def _refuse_other_name(context: StepContext, authorization: Authorization) -> Failed:
    """Fail the run if the order has an authorization for another name. If certmill presented a challenge for
    it, the CA could choose where certmill writes."""
    found = authorization.identifier.value
    name = f"*.{found}" if authorization.wildcard else found
    error = OrderRefused(
        f"the CA's order for {context.certificate.identifiers[0].value} has an authorization for {name}, "
        "which is not in the order; nothing was presented. "
        f"See whether spec.acme.server of {context.issuer.reference} is the CA that you mean"
    )
    return Failed(error=error, facts=context.facts.without_order())


def _challenge(context: StepContext, authorization: Authorization, key: AccountKey) -> ChallengeFacts:
    """The challenge to present for an authorization. Raises SolverMisconfigured, DnsUnavailable, Busy."""
    challenge, solver = challenge_choice.choose(context.certificate, context.issuer, authorization)
    if solver.http01 is not None:
        return replace(challenge, route=context.ports.routes.route_name(context.certificate, solver.http01))
    assert solver.dns01 is not None
    context.renew_lease()
    zones = context.ports.checks.zones(solver.dns01)
    with context.slow_lookup() as seconds:
        return challenge_choice.dns01_record(
            zones, challenge, solver.dns01, key.thumbprint, within_seconds=seconds
        )
