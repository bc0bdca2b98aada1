"""Solver selection, as cert-manager's solverpicker ranks."""

from __future__ import annotations

import pytest

from certmill.dns01.providers.rfc2136 import Rfc2136
from certmill.errors import SolverMisconfigured
from certmill.model.issuer import Dns01Solver, Http01Solver, Issuer, SecretKeyRef, Selector, Solver
from certmill.steps import solvers

BOTH = ("http-01", "dns-01")


def http01(**selector):
    return Solver(http01=Http01Solver(), selector=Selector(**selector) if selector else None)


def dns01(server="192.0.2.1", **selector):
    return Solver(
        dns01=Dns01Solver(provider=Rfc2136(nameserver=server)),
        selector=Selector(**selector) if selector else None,
    )


def issuer(*list_):
    return Issuer(
        kind="ClusterIssuer",
        namespace="",
        name="prod",
        server="https://ca.test/dir",
        private_key=SecretKeyRef(name="k", key="tls.key"),
        solvers=list_,
    )


def picked(name, *list_, labels=None, offered=BOTH):
    return list_.index(solvers.pick(issuer(*list_), name, labels=labels or {}, offered=offered))


def test_an_exact_name_wins_over_a_zone_and_a_zone_over_none():
    assert (
        picked(
            "a.example.com", http01(), dns01(dns_zones=("example.com",)), http01(dns_names=("a.example.com",))
        )
        == 2
    )
    assert (
        picked(
            "b.example.com", http01(), dns01(dns_zones=("example.com",)), http01(dns_names=("a.example.com",))
        )
        == 1
    )
    assert picked("c.test", http01(), dns01(dns_zones=("example.com",))) == 0


@pytest.mark.parametrize("selector", [None, Selector()])
def test_a_solver_without_a_selector_is_for_every_name_and_ranks_last(selector):
    default = Solver(http01=Http01Solver(), selector=selector)

    assert picked("x.test", default) == 0
    assert picked("x.test", default, dns01(match_labels={"a": "1"}), labels={"a": "1"}) == 1
    assert picked("x.test", default, Solver(http01=Http01Solver())) == 0


def test_the_longest_zone_wins():
    assert (
        picked(
            "a.dev.example.com",
            dns01(dns_zones=("example.com",)),
            dns01("192.0.2.2", dns_zones=("dev.example.com", "com")),
        )
        == 1
    )


def test_a_zone_matches_whole_labels_only():
    assert picked("badexample.com", http01(), dns01(dns_zones=("example.com",))) == 0


def test_more_matching_labels_win_and_one_that_does_not_match_disqualifies():
    one, two = http01(match_labels={"a": "1"}), dns01(match_labels={"a": "1", "b": "2"})

    assert picked("x.test", one, two, labels={"a": "1", "b": "2"}) == 1
    assert picked("x.test", one, two, labels={"a": "1"}) == 0


def test_the_first_in_the_list_wins_a_tie():
    assert picked("x.test", dns01("192.0.2.1"), dns01("192.0.2.2")) == 0


def test_a_wildcard_matches_as_written_for_names_and_without_the_star_for_zones():
    assert (
        picked(
            "*.example.com",
            dns01(dns_zones=("example.com",)),
            dns01("192.0.2.2", dns_names=("*.example.com",)),
        )
        == 1
    )
    assert (
        picked(
            "*.example.com", dns01("192.0.2.2", dns_names=("example.com",)), dns01(dns_zones=("example.com",))
        )
        == 1
    )


def test_a_solver_whose_challenge_the_ca_does_not_offer_is_passed_over():
    assert picked("*.example.com", http01(), dns01(), offered=("dns-01",)) == 1


def test_two_exact_hits_are_decided_by_zone_then_labels():
    exact = ("a.example.com",)

    assert (
        picked("a.example.com", http01(dns_names=exact), dns01(dns_names=exact, dns_zones=("example.com",)))
        == 1
    )


def test_no_match_says_which_name_and_what_to_do():
    with pytest.raises(SolverMisconfigured, match=r"\*\.example\.com.*dns-01.*spec\.acme\.solvers"):
        picked("*.example.com", http01(), offered=("dns-01",))
