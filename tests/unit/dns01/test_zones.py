"""The walk for an SOA, and CNAMEs, over answers that are made up here."""

from __future__ import annotations

from itertools import pairwise

import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.dns01.resolver import Resolver
from certmill.dns01.zones import Zones
from certmill.errors import DnsUnavailable, NameRefused, SolverMisconfigured
from certmill.testing.clock import FakeClock

SOA = "ns1.example.com. hostmaster.example.com. 1 3600 600 86400 60"


class MadeUp(Resolver):
    """Answers with the records of `answers`: (name, type) → (owner, type, text) in this order; what is not
    there is NXDOMAIN."""

    def __init__(self, answers=None, *, authority=None):
        """`authority`: name → the zone whose SOA its answer carries in the authority section."""
        super().__init__(["192.0.2.1:53"])
        self.answers = answers or {}
        self.authority = authority or {}
        self.asked = []

    def ask(self, name, type_, *, within_seconds=None):
        self.asked.append((name, type_))
        response = dns.message.make_response(dns.message.make_query(name, type_))
        found = self.answers.get((name, type_))
        if isinstance(found, Exception):
            raise found
        response.set_rcode(dns.rcode.NOERROR if found else dns.rcode.NXDOMAIN)
        response.answer = [
            dns.rrset.from_text(f"{owner}.", 60, "IN", kind, text) for owner, kind, text in found or ()
        ]
        if name in self.authority:
            response.authority = [dns.rrset.from_text(f"{self.authority[name]}.", 60, "IN", "SOA", SOA)]
        return response


def zone(name):
    return {(name, "SOA"): [(name, "SOA", SOA)]}


def cname(name, target):
    return {(name, "CNAME"): [(name, "CNAME", f"{target}.")]}


def test_the_nearest_zone_above_a_name_is_its_zone():
    zones = Zones(MadeUp(zone("example.com") | zone("dev.example.com") | zone("com")), FakeClock())

    assert zones.zone_of("_acme-challenge.www.dev.example.com") == "dev.example.com"
    assert zones.zone_of("_acme-challenge.www.example.com.") == "example.com"
    assert zones.zone_of("_ACME-challenge.Example.COM") == "example.com"


def test_an_ns_record_before_the_soa_changes_nothing_neither_at_first_nor_cached():
    answer = [("example.com", "NS", "ns1.example.com."), ("example.com", "SOA", SOA)]
    zones = Zones(MadeUp({("example.com", "SOA"): answer}), FakeClock())

    assert [zones.zone_of("www.example.com") for _ in range(2)] == ["example.com"] * 2


def test_an_soa_of_another_name_in_the_answer_is_no_zone_cut_here():
    answer = [("www.example.com", "CNAME", "cdn.example.net."), ("cdn.example.net", "SOA", SOA)]
    zones = Zones(MadeUp(zone("example.com") | {("www.example.com", "SOA"): answer}), FakeClock())

    assert zones.zone_of("www.example.com") == "example.com"


def test_zone_cuts_are_remembered_for_a_minute():
    clock, resolver = FakeClock(), MadeUp(zone("example.com"))
    zones = Zones(resolver, clock)

    zones.zone_of("a.example.com")
    zones.zone_of("a.example.com")
    asked_at_first = len(resolver.asked)
    resolver.answers |= zone("a.example.com")
    clock.advance(61)

    assert asked_at_first == 2
    assert zones.zone_of("a.example.com") == "a.example.com"


def test_the_soa_of_a_negative_answer_saves_the_questions_up_to_its_zone():
    name = "_acme-challenge.a.b.example.com"
    resolver = MadeUp(zone("example.com"), authority={name: "example.com"})

    assert Zones(resolver, FakeClock()).zone_of(name) == "example.com"
    assert resolver.asked == [(name, "SOA"), ("example.com", "SOA")]


def test_the_walk_goes_on_above_a_zone_that_shows_no_soa_of_its_own():
    name = "_acme-challenge.www.example.com"
    resolver = MadeUp(zone("com"), authority={name: "example.com"})

    assert Zones(resolver, FakeClock()).zone_of(name) == "com"
    assert resolver.asked == [(name, "SOA"), ("example.com", "SOA"), ("com", "SOA")]


def test_the_soa_after_a_cname_is_that_of_the_target_and_hides_no_zone():
    name = "www.host.dev.example.com"
    answer = [(name, "CNAME", "cdn.example.com.")]
    answers = zone("dev.example.com") | zone("example.com") | {(name, "SOA"): answer}
    zones = Zones(MadeUp(answers, authority={name: "example.com"}), FakeClock())

    assert zones.zone_of(name) == "dev.example.com"


@pytest.mark.parametrize(
    "strange", ["other.test", "ample.com", "www.example.com", "_acme-challenge.www.example.com"]
)
def test_an_unexpected_soa_in_the_authority_section_changes_no_result(strange):
    name = "_acme-challenge.www.example.com"
    zones = Zones(MadeUp(zone("example.com"), authority={name: strange}), FakeClock())

    assert zones.zone_of(name) == "example.com"


def test_trouble_is_not_remembered():
    resolver = MadeUp({("example.com", "SOA"): DnsUnavailable("answered SERVFAIL")})
    zones = Zones(resolver, FakeClock())

    with pytest.raises(DnsUnavailable):
        zones.zone_of("example.com")
    resolver.answers = zone("example.com")

    assert zones.zone_of("example.com") == "example.com"


def test_a_name_in_no_zone_is_reported_with_what_to_do():
    with pytest.raises(
        SolverMisconfigured,
        match=r"^no zone was found for www\.nowhere\.test: check that its domain is delegated",
    ):
        Zones(MadeUp(), FakeClock()).zone_of("www.nowhere.test")


def test_cnames_are_followed_to_the_end():
    chain = cname("_acme-challenge.a.test", "Alias.B.test") | cname("alias.b.test", "end.c.test")

    assert Zones(MadeUp(chain), FakeClock()).follow_cnames("_acme-challenge.a.test.") == "end.c.test"
    assert Zones(MadeUp(), FakeClock()).follow_cnames("_acme-challenge.a.test") == "_acme-challenge.a.test"


@pytest.mark.parametrize("loop", [("a.test",), ("b.test", "a.test"), ("b.test", "c.test", "b.test")])
def test_a_loop_of_cnames_is_refused(loop):
    names = ("a.test", *loop)
    answers = {}
    for name, target in pairwise(names):
        answers |= cname(name, target)

    with pytest.raises(NameRefused, match=rf"the CNAMEs of a\.test lead back to {loop[-1]}; break the loop"):
        Zones(MadeUp(answers), FakeClock()).follow_cnames("a.test")


def test_a_long_chain_of_cnames_is_refused_and_eight_are_not():
    answers = {}
    for number in range(9):
        answers |= cname(f"n{number}.test", f"n{number + 1}.test")
    zones = Zones(MadeUp(answers), FakeClock())

    assert zones.follow_cnames("n2.test") == "n9.test"
    with pytest.raises(NameRefused, match="more than 8 CNAMEs"):
        zones.follow_cnames("n0.test")


labels = st.lists(st.from_regex(r"[a-z]{1,5}", fullmatch=True), min_size=2, max_size=6)


@given(labels, st.data())
def test_the_zone_is_a_suffix_of_the_name_and_the_longest_there_is(labels, data):
    suffixes = [".".join(labels[start:]) for start in range(len(labels))]
    cuts = data.draw(st.lists(st.sampled_from(suffixes), min_size=1, unique=True))
    answers = {}
    for cut in cuts:
        answers |= zone(cut)

    assert Zones(MadeUp(answers), FakeClock()).zone_of(suffixes[0]) == max(cuts, key=len)
