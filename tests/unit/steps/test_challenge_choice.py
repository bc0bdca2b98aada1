"""The challenge that is chosen for an authorization."""

from __future__ import annotations

import pytest

from certmill.acme import challenges
from certmill.acme.resources import Authorization, AuthorizationStatus, Challenge, ChallengeStatus
from certmill.dns01.providers.rfc2136 import Rfc2136
from certmill.errors import OrderRefused, SolverMisconfigured
from certmill.model.issuer import Dns01Solver, Solver
from certmill.model.names import Identifier, IdentifierType
from certmill.steps import challenge_choice
from tests.support.builders import a_certificate, an_issuer

DNS = Solver(dns01=Dns01Solver(provider=Rfc2136(nameserver="192.0.2.1")))
FOLLOWING = Dns01Solver(provider=Rfc2136(nameserver="192.0.2.1"), follow_cname=True)


class ZonesWithOneAlias:
    """DNS in which the challenge's name is a CNAME. Keeps the time-out of each lookup."""

    def __init__(self) -> None:
        self.timeouts: list[float] = []

    def follow_cnames(self, name, *, within_seconds):
        self.timeouts.append(within_seconds)
        return f"{name.split('.')[1]}.acme.test"

    def zone_of(self, name, *, within_seconds):
        self.timeouts.append(within_seconds)
        return ".".join(name.split(".")[-2:])


def authorization(name="web.example.test", *, wildcard=False, offers=("http-01", "dns-01")):
    return Authorization(
        url="https://ca.test/authz/1",
        identifier=Identifier(type=IdentifierType.DNS, value=name),
        status=AuthorizationStatus.PENDING,
        wildcard=wildcard,
        challenges=tuple(
            Challenge(
                type=type_,
                url=f"https://ca.test/challenge/{type_}",
                token=f"token-{type_}",
                status=ChallengeStatus.PENDING,
            )
            for type_ in offers
        ),
    )


def test_the_solver_of_the_issuer_decides_the_type_of_the_challenge():
    chosen, solver = challenge_choice.choose(a_certificate(), an_issuer(solvers=(DNS,)), authorization())

    assert solver is DNS
    assert (chosen.type, chosen.token, chosen.url) == (
        "dns-01",
        "token-dns-01",
        "https://ca.test/challenge/dns-01",
    )
    assert (chosen.identifier, chosen.record_name, chosen.route) == ("web.example.test", "", "")


def test_a_wildcard_gets_its_challenge_at_the_base_name():
    certificate = a_certificate(dns_names=("*.example.test",))

    chosen, _ = challenge_choice.choose(
        certificate, an_issuer(solvers=(DNS,)), authorization("example.test", wildcard=True)
    )

    assert (chosen.identifier, chosen.wildcard, chosen.name) == ("example.test", True, "*.example.test")


def test_a_name_that_the_certificate_does_not_have_is_refused():
    with pytest.raises(OrderRefused, match=r"bank\.test is not for a name of Certificate default/web"):
        challenge_choice.choose(a_certificate(), an_issuer(), authorization("bank.test"))


def test_a_type_that_the_ca_does_not_offer_is_not_chosen():
    with pytest.raises(SolverMisconfigured):
        challenge_choice.choose(
            a_certificate(), an_issuer(solvers=(DNS,)), authorization(offers=("http-01",))
        )


@pytest.mark.parametrize(
    ("solver", "name", "zone", "lookups"),
    [
        (DNS.dns01, "_acme-challenge.web.example.test", "example.test", 1),
        (FOLLOWING, "web.acme.test", "acme.test", 2),
    ],
    ids=["as it is", "behind a CNAME"],
)
def test_the_txt_record_is_where_the_solver_searches_it(solver, name, zone, lookups):
    zones = ZonesWithOneAlias()
    chosen, _ = challenge_choice.choose(a_certificate(), an_issuer(solvers=(DNS,)), authorization())

    found = challenge_choice.dns01_record(zones, chosen, solver, "thumb", within_seconds=0.5)

    assert (found.record_name, found.zone) == (name, zone)
    assert found.value == challenges.dns01_value("token-dns-01", "thumb")
    assert zones.timeouts == [0.5] * lookups
