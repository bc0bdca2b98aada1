"""Chooses the challenge of an authorization: the issuer's solver for the name decides its type."""

from __future__ import annotations

from dataclasses import replace

from certmill.acme import challenges as acme_challenges
from certmill.acme.identifiers import ordered_identifier
from certmill.acme.resources import Authorization
from certmill.dns01.zones import Zones
from certmill.errors import OrderRefused
from certmill.model.certificate import Certificate
from certmill.model.issuer import Dns01Solver, Issuer, Solver
from certmill.runs.facts import ChallengeFacts
from certmill.steps import solvers


def choose(
    certificate: Certificate, issuer: Issuer, authorization: Authorization
) -> tuple[ChallengeFacts, Solver]:
    """The challenge for an authorization and its solver. Pure: the route of an HTTP-01 challenge and the
    record of a DNS-01 challenge (`dns01_record`) are not in it yet.

    Raises SolverMisconfigured if no solver matches the name, and OrderRefused if the Certificate does not
    have the name."""
    asked = ordered_identifier(authorization, certificate.identifiers)
    if asked is None:
        raise OrderRefused(
            f"the authorization for {authorization.identifier.value} is not for a name of Certificate "
            f"{certificate.id}"
        )
    offered = {challenge.type: challenge for challenge in authorization.challenges}
    solver = solvers.pick(issuer, asked.value, labels=certificate.labels, offered=offered.keys())
    challenge = offered[solvers.challenge_type(solver)]
    facts = ChallengeFacts(
        authorization=authorization.url,
        url=challenge.url,
        type=challenge.type,
        token=challenge.token,
        identifier=asked.base,
        wildcard=asked.is_wildcard,
    )
    return facts, solver


def dns01_record(
    zones: Zones, challenge: ChallengeFacts, solver: Dns01Solver, thumbprint: str, *, within_seconds: float
) -> ChallengeFacts:
    """The challenge with its TXT record (RFC 8555 §8.4) and the zone that contains it. CNAMEs are followed if
    the solver says so. `thumbprint`: of the account key. Raises DnsUnavailable."""
    name = acme_challenges.dns01_record_name(challenge.identifier)
    if solver.follow_cname:
        name = zones.follow_cnames(name, within_seconds=within_seconds)
    zone = zones.zone_of(name, within_seconds=within_seconds)
    value = acme_challenges.dns01_value(challenge.token, thumbprint)
    return replace(challenge, record_name=name, zone=zone, value=value)
