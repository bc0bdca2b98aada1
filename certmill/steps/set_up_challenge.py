"""Step 3: for each authorization that is not valid yet, choose a solver and present its challenge. Everything
is noted before it is presented."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from certmill.acme import challenges as acme_challenges
from certmill.acme.client import AcmeClient
from certmill.acme.identifiers import ordered_identifier
from certmill.acme.jws import AccountKey
from certmill.acme.resources import Authorization, AuthorizationStatus
from certmill.errors import OrderRefused
from certmill.issuers import account
from certmill.model.issuer import Solver
from certmill.runs.context import Work
from certmill.runs.facts import ChallengeFacts
from certmill.runs.outcomes import Advanced, Failed, Outcome, Restart
from certmill.steps import challenges, solvers

_OPEN = (AuthorizationStatus.PENDING, AuthorizationStatus.PROCESSING)


def set_up_challenge(work: Work) -> Outcome:
    """Present what the CA will look for (RFC 8555 §8.3, §8.4). Authorizations that are valid already are
    skipped."""
    acme = account.client(work.ports, work.issuer)
    authorizations = _fetch(work, acme)
    outside = [a for a in authorizations if ordered_identifier(a, work.certificate.identifiers) is None]
    if outside:
        return _refuse_foreign(work, outside[0])
    ended = [a for a in authorizations if a.status not in (*_OPEN, AuthorizationStatus.VALID)]
    if ended:
        return _start_over(work, f"the authorization for {ended[0].identifier.value} is {ended[0].status}")
    key = AccountKey.from_pem(account.require_registered(work.ports, work.issuer).key_pem)
    setting_up = tuple(challenge_for(work, a, key) for a in authorizations if a.status in _OPEN)
    _take_down_stale(work, setting_up)
    facts = replace(work.facts, challenges=setting_up, labels=dict(work.certificate.labels))
    work.keep(facts, None)
    challenges.present(work, setting_up, key.thumbprint)
    if any(challenge.way for challenge in setting_up) and work.ports.routes.redirects(work.certificate):
        work.store_temporary()
    return Advanced(facts=replace(facts, presented_at=work.ports.clock.now()))


def _take_down_stale(work: Work, setting_up: Sequence[ChallengeFacts]) -> None:
    """What an order that is gone had put up is not needed any more, nor what other labels had put
    elsewhere."""
    relabelled = dict(work.facts.labels) != dict(work.certificate.labels)
    stale = [challenge for challenge in work.facts.challenges if relabelled or challenge not in setting_up]
    if stale:
        challenges.take_down(work.ports, work.id, work.issuer, work.facts.labels, stale, work.hold)
        work.ports.journal.remove(
            [challenges.entry(work.id, work.issuer, challenge, work.facts.labels) for challenge in stale]
        )


def _fetch(work: Work, acme: AcmeClient) -> Sequence[Authorization]:
    found = []
    for url in work.facts.authorizations:
        found.append(acme.authorization(url))
        work.hold()
    return found


def _start_over(work: Work, reason: str) -> Restart:
    """The order cannot be used any more: forget it and create another with the same key."""
    return Restart(
        step="create_order", reason=f"{reason}; a new order is created", facts=work.facts.without_order()
    )


def _refuse_foreign(work: Work, authorization: Authorization) -> Failed:
    """Nothing is presented for a name that was not asked for: whoever runs the CA would choose where we
    write. The order is given up."""
    found = authorization.identifier.value
    name = f"*.{found}" if authorization.wildcard else found
    error = OrderRefused(
        f"the CA's order for {work.certificate.identifiers[0].value} has an authorization for {name}, which "
        "was not asked for; "
        f"nothing was set up. See whether spec.acme.server of {work.issuer.reference} is the CA that you mean"
    )
    return Failed(error=error, facts=work.facts.without_order())


def challenge_for(work: Work, authorization: Authorization, key: AccountKey) -> ChallengeFacts:
    """The challenge to set up for an authorization. Raises SolverMisconfigured when no solver is for the
    name."""
    asked = ordered_identifier(authorization, work.certificate.identifiers)
    if asked is None:
        raise OrderRefused(
            f"the authorization for {authorization.identifier.value} is for no name of Certificate {work.id}"
        )
    offered = {challenge.type: challenge for challenge in authorization.challenges}
    solver = solvers.pick(work.issuer, asked.value, labels=work.certificate.labels, offered=offered.keys())
    challenge = offered[solvers.challenge_type(solver)]
    facts = ChallengeFacts(
        authorization=authorization.url,
        url=challenge.url,
        type=challenge.type,
        token=challenge.token,
        identifier=asked.base,
        wildcard=asked.is_wildcard,
    )
    if solver.http01 is not None:
        return replace(facts, way=work.ports.routes.route_name(work.certificate, solver.http01))
    return _with_record(work, facts, solver, key.thumbprint)


def _with_record(work: Work, facts: ChallengeFacts, solver: Solver, thumbprint: str) -> ChallengeFacts:
    """Where the TXT value goes: CNAMEs followed if the solver says so, and the zone that holds the name."""
    assert solver.dns01 is not None
    work.hold()
    zones = work.ports.checks.zones(solver.dns01)
    name = acme_challenges.dns01_record_name(facts.identifier)
    with work.slow_lookup() as seconds:
        if solver.dns01.follow_cname:
            name = zones.follow_cnames(name, within_seconds=seconds)
        zone = zones.zone_of(name, within_seconds=seconds)
    return replace(
        facts, record_name=name, zone=zone, value=acme_challenges.dns01_value(facts.token, thumbprint)
    )
