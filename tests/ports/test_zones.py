"""Which zone holds a name, and where its CNAMEs lead, asked of real sockets."""

from __future__ import annotations

import pytest

from certmill.dns01.resolver import Resolver
from certmill.dns01.zones import Zones
from certmill.errors import DnsUnavailable, NameRefused, SolverMisconfigured
from certmill.testing.clock import FakeClock
from certmill.testing.nameserver import Behaviour, FakeNameserver
from compose.servers.bind import Bind

SOA = ["ns1.example.test. host.example.test. 1 2 3 4 5"]
RECORDS = {
    "example.test": {"SOA": SOA, "NS": ["ns1.example.test."]},
    "sub.example.test": {"SOA": SOA, "NS": ["ns1.sub.example.test."]},
    "other.test": {"SOA": SOA},
    "_acme-challenge.www.example.test": {"CNAME": ["one.example.test."]},
    "one.example.test": {"CNAME": ["TWO.other.test."]},
    "loop-a.example.test": {"CNAME": ["loop-b.example.test."]},
    "loop-b.example.test": {"CNAME": ["loop-a.example.test."]},
    "self.example.test": {"CNAME": ["self.example.test."]},
    "alias.example.test": {"CNAME": ["other.test."]},
    **{f"n{number}.example.test": {"CNAME": [f"n{number + 1}.example.test."]} for number in range(20)},
}


@pytest.fixture
def server():
    with FakeNameserver(records=RECORDS) as server:
        yield server


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def zones(server, clock):
    return Zones(Resolver((server.address,), timeout_seconds=2.0), clock)


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("example.test", "example.test"),
        ("_acme-challenge.example.test", "example.test"),
        ("_acme-challenge.a.b.c.example.test", "example.test"),
        ("_acme-challenge.sub.example.test", "sub.example.test"),
        ("_acme-challenge.deep.sub.example.test", "sub.example.test"),
        ("_ACME-challenge.Example.TEST.", "example.test"),
        ("alias.example.test", "example.test"),
    ],
)
@pytest.mark.parametrize("behaviour", [Behaviour.NORMAL, Behaviour.NS_FIRST, Behaviour.TRUNCATED])
def test_the_nearest_soa_is_the_zone(server, zones, name, zone, behaviour):
    server.behaviour = behaviour

    assert zones.zone_of(name) == zone


def test_a_name_without_a_zone_is_a_configuration_error(zones):
    with pytest.raises(SolverMisconfigured, match=r"no zone was found for www\.nowhere\.invalid"):
        zones.zone_of("www.nowhere.invalid")


@pytest.mark.parametrize(
    ("behaviour", "reason"), [(Behaviour.SERVFAIL, "SERVFAIL"), (Behaviour.SILENT, "did not answer")]
)
def test_a_resolver_in_trouble_is_temporary_and_nothing_is_remembered_of_it(server, zones, behaviour, reason):
    server.behaviour = behaviour
    with pytest.raises(DnsUnavailable, match=reason):
        zones.zone_of("www.example.test")

    server.behaviour = Behaviour.NORMAL

    assert zones.zone_of("www.example.test") == "example.test"


def test_the_next_resolver_is_asked_when_one_is_in_trouble(server, clock):
    with (
        FakeNameserver(behaviour=Behaviour.SERVFAIL) as broken,
        FakeNameserver(behaviour=Behaviour.SILENT) as silent,
    ):
        resolver = Resolver((broken.address, silent.address, server.address), timeout_seconds=2.0)

        assert Zones(resolver, clock).zone_of("example.test") == "example.test"


def test_a_zone_is_remembered_for_a_minute(server, zones, clock):
    zones.zone_of("www.example.test")
    asked = len(server.asked)

    zones.zone_of("www.example.test")
    assert len(server.asked) == asked
    clock.advance(61)
    server.records = {**RECORDS, "www.example.test": {"SOA": SOA}}

    assert zones.zone_of("www.example.test") == "www.example.test"


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("_acme-challenge.www.example.test", "two.other.test"),
        ("one.example.test", "two.other.test"),
        ("plain.example.test", "plain.example.test"),
        ("example.test.", "example.test"),
        ("n15.example.test", "n20.example.test"),
    ],
)
def test_cnames_are_followed_to_their_end(zones, name, end):
    assert zones.follow_cnames(name) == end


@pytest.mark.parametrize("name", ["loop-a.example.test", "self.example.test"])
def test_a_loop_of_cnames_is_refused_and_named(zones, name):
    with pytest.raises(NameRefused, match=f"{name} lead back"):
        zones.follow_cnames(name)


def test_a_long_chain_of_cnames_is_refused(zones):
    with pytest.raises(NameRefused, match="more than 8 CNAMEs"):
        zones.follow_cnames("n0.example.test")


def test_bind_shows_a_delegated_sub_zone(tmp_path, clock):
    with Bind(directory=tmp_path, zones=("example.test", "sub.example.test")) as bind:
        zones = Zones(Resolver((bind.address,)), clock)

        assert zones.zone_of("_acme-challenge.sub.example.test") == "sub.example.test"
        assert zones.zone_of("_acme-challenge.example.test") == "example.test"
