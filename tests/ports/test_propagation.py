"""Whether the CA can see a value, asked of name servers on loopback, good and bad: all on one port, each at
an address of its own."""

from __future__ import annotations

import base64
import time
from contextlib import ExitStack

import dns.flags
import dns.message
import pytest

from certmill.clock import SystemClock
from certmill.dns01.base import TxtRecord
from certmill.dns01.propagation import Visibility, is_visible
from certmill.dns01.providers.rfc2136 import Rfc2136, TsigAlgorithm
from certmill.dns01.providers.rfc2136.update import Rfc2136Provider
from certmill.dns01.resolver import Resolver
from certmill.dns01.zone_servers import ZoneServers
from certmill.errors import DnsUnavailable, NameRefused
from certmill.testing.clock import FakeClock
from certmill.testing.nameserver import Behaviour, FakeNameserver
from compose.servers.bind import Bind

NAME, VALUE = "_acme-challenge.web.example.test", "gfj9Xq-Rg85nM_Hn1wYTK8bbHfQhC5hOyAbCdEfGhIj"
HAS_IT = {NAME: {"TXT": [f'"{VALUE}"']}}
LACKS_IT = {NAME: {"TXT": ['"another value"']}}
ONE, TWO = "127.0.0.2", "127.0.0.3"


class Net:
    """A resolver, and name servers `ns1` (at 127.0.0.2) and `ns2` (at 127.0.0.3) of example.test."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.delegation = {
            "example.test": {
                "SOA": ["ns1.example.test. h.example.test. 1 2 3 4 5"],
                "NS": ["ns1.example.test."],
            },
            "ns1.example.test": {"A": [ONE]},
            "ns2.example.test": {"A": [TWO]},
        }
        self.recursive = self._stack.enter_context(FakeNameserver(records=lambda: self.delegation))
        self.clock = FakeClock()
        self.servers = ZoneServers(Resolver([self.recursive.address], timeout_seconds=2), self.clock)

    def close(self) -> None:
        self._stack.close()

    def serve(self, *servers: FakeNameserver) -> None:
        """Start the name servers on one port, the first at 127.0.0.2."""
        for server, address in zip(servers, (ONE, TWO), strict=False):
            server.host, server.port = address, servers[0].port
            self._stack.enter_context(server)
        self.port = servers[0].port
        self.delegation["example.test"]["NS"] = [
            f"ns{number}.example.test." for number in range(1, len(servers) + 1)
        ]

    def look(self, *, timeout_seconds: float = 2.0, nameservers: tuple[str, ...] = ()) -> Visibility:
        return is_visible(
            NAME,
            VALUE,
            "example.test",
            servers=self.servers,
            authoritative_port=self.port,
            nameservers=nameservers,
            timeout_seconds=timeout_seconds,
        )


@pytest.fixture
def net():
    net = Net()
    yield net
    net.close()


def test_a_value_that_every_server_has_is_visible(net):
    one, two = FakeNameserver(records=HAS_IT), FakeNameserver(records=HAS_IT)
    net.serve(one, two)

    assert net.look() == Visibility(visible=True)
    assert one.asked == two.asked == [(NAME, "TXT")]


def test_the_server_that_lacks_it_is_named_in_the_same_words_each_time(net):
    net.serve(FakeNameserver(records=HAS_IT), FakeNameserver(records=LACKS_IT))

    seen = [net.look() for _ in range(3)]

    assert seen == [Visibility(visible=False, reason="ns2.example.test (127.0.0.3) does not have it yet")] * 3


def test_a_name_that_is_not_there_yet_is_queried_each_time(net):
    records: dict[str, dict[str, list[str]]] = {}
    net.serve(FakeNameserver(records=lambda: records))

    before = net.look()
    records.update(HAS_IT)

    assert before.reason == "ns1.example.test (127.0.0.2) does not have it yet"
    assert net.look().visible


LOOKED_UP = [("example.test", "NS"), ("ns1.example.test", "A"), ("ns1.example.test", "AAAA")]


def test_the_servers_of_a_zone_are_resolved_once_a_minute(net):
    server = FakeNameserver(records=HAS_IT)
    net.serve(server)

    for _ in range(3):
        assert net.look().visible
    in_a_minute = list(net.recursive.asked)
    net.clock.advance(61)

    assert net.look().visible
    assert in_a_minute == LOOKED_UP
    assert net.recursive.asked == LOOKED_UP * 2
    assert server.asked == [(NAME, "TXT")] * 4


def test_a_server_without_the_value_yet_is_asked_again_without_a_lookup(net):
    net.serve(FakeNameserver(records=LACKS_IT))

    for _ in range(3):
        assert not net.look().visible

    assert net.recursive.asked == LOOKED_UP


@pytest.mark.parametrize(
    "trouble", [Behaviour.SERVFAIL, Behaviour.LAME, Behaviour.SILENT, Behaviour.WRONG_ID]
)
def test_after_trouble_with_a_server_the_zones_servers_are_resolved_again(net, trouble):
    net.serve(FakeNameserver(behaviour=trouble), FakeNameserver(records=HAS_IT))
    net.delegation["example.test"]["NS"] = ["ns1.example.test."]

    seen = [net.look(timeout_seconds=0.5).visible]
    net.delegation["ns1.example.test"]["A"] = [TWO]
    seen.append(net.look().visible)

    assert seen == [False, True]


def test_after_a_server_that_does_not_serve_the_zone_its_servers_are_resolved_again(net):
    net.serve(Unaware(), FakeNameserver(records=HAS_IT))
    net.delegation["example.test"]["NS"] = ["ns1.example.test."]

    seen = [net.look().visible]
    net.delegation["example.test"]["NS"] = ["ns2.example.test."]
    seen.append(net.look().visible)

    assert seen == [False, True]


def test_a_name_server_without_an_address_is_not_remembered_as_such(net):
    net.serve(FakeNameserver(records=HAS_IT), FakeNameserver(records=LACKS_IT))
    here = net.delegation.pop("ns2.example.test")

    seen = [net.look().visible]
    net.delegation["ns2.example.test"] = here
    seen.append(net.look().visible)

    assert seen == [True, False]


def test_one_value_among_many_is_found_although_the_answer_is_too_large_for_udp(net):
    others = [f'"{number:043d}"' for number in range(40)]
    net.serve(FakeNameserver(records={NAME: {"TXT": [*others, f'"{VALUE}"']}}))

    assert net.look().visible


def test_a_value_in_several_strings_is_one_value(net):
    net.serve(FakeNameserver(records={NAME: {"TXT": [f'"{VALUE[:20]}" "{VALUE[20:]}"']}}))

    assert net.look().visible


@pytest.mark.parametrize("behaviour", [Behaviour.TRUNCATED, Behaviour.NS_FIRST, Behaviour.SLOW])
def test_an_odd_answer_is_an_answer(net, behaviour):
    net.serve(FakeNameserver(records=HAS_IT, behaviour=behaviour, slow_seconds=0.2))

    assert net.look(timeout_seconds=5).visible


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (Behaviour.SERVFAIL, "ns2.example.test (127.0.0.3) answered SERVFAIL"),
        (Behaviour.LAME, "ns2.example.test (127.0.0.3) answered REFUSED"),
        (Behaviour.SILENT, "ns2.example.test (127.0.0.3) did not answer"),
        (Behaviour.WRONG_ID, "ns2.example.test (127.0.0.3) did not answer"),
    ],
)
def test_a_server_in_trouble_is_named_although_the_other_has_it(net, behaviour, reason):
    net.serve(FakeNameserver(records=HAS_IT), FakeNameserver(records=HAS_IT, behaviour=behaviour))

    assert net.look() == Visibility(visible=False, reason=reason)


class Unaware(FakeNameserver):
    """Answers without authority, and with nothing: a name server that was never told of the zone."""

    def answer(self, wire: bytes, *, udp: bool) -> bytes | None:
        response = dns.message.make_response(dns.message.from_wire(wire))
        response.flags &= ~dns.flags.AA
        return response.to_wire()


def test_a_server_that_does_not_serve_the_zone_is_distinguished_from_a_late_one(net):
    net.serve(Unaware())

    assert (
        net.look().reason == "ns1.example.test (127.0.0.2) does not serve the zone example.test, "
        "although it is one of its name servers"
    )


def test_a_cname_at_the_name_is_reported_with_what_to_do(net):
    net.serve(FakeNameserver(records={NAME: {"CNAME": ["elsewhere.test."]}}))

    assert net.look().reason == (
        "ns1.example.test (127.0.0.2) has a CNAME to elsewhere.test there: set cnameStrategy: Follow, or "
        "remove it"
    )


def test_an_unreachable_address_does_not_count_if_the_server_answers_at_another(net):
    net.delegation["ns1.example.test"]["AAAA"] = ["2001:db8::53"]
    net.serve(FakeNameserver(records=HAS_IT))

    assert net.look().visible


def test_a_server_at_addresses_out_of_reach_only_is_in_the_way(net):
    net.serve(FakeNameserver(records=HAS_IT), FakeNameserver(records=HAS_IT))
    net.delegation["ns2.example.test"] = {"AAAA": ["2001:db8::53"]}

    assert net.look().reason.startswith("ns2.example.test (2001:db8::53) ")


def test_a_name_server_without_an_address_is_passed_over_as_the_ca_does(net):
    net.serve(FakeNameserver(records=HAS_IT))
    net.delegation["example.test"]["NS"] = ["ns1.example.test.", "gone.example.test."]

    assert net.look().visible


def test_a_zone_whose_name_servers_have_no_addresses_is_an_error(net):
    net.serve(FakeNameserver(records=HAS_IT))
    net.delegation["example.test"]["NS"] = ["gone.example.test."]

    with pytest.raises(DnsUnavailable, match=r"no name server of the zone example\.test has an address"):
        net.look()


def test_a_zone_without_name_servers_is_an_error(net):
    net.serve(FakeNameserver(records=HAS_IT))
    del net.delegation["example.test"]

    with pytest.raises(DnsUnavailable, match=r"the zone example\.test has no name servers"):
        net.look()


@pytest.mark.parametrize(
    ("behaviour", "reason"), [(Behaviour.SERVFAIL, "answered SERVFAIL"), (Behaviour.SILENT, "did not answer")]
)
def test_a_resolver_in_trouble_is_an_error(net, behaviour, reason):
    net.serve(FakeNameserver(records=HAS_IT))
    net.recursive.behaviour = behaviour

    with pytest.raises(
        DnsUnavailable,
        match=rf"^looking up NS of example\.test: the resolver 127\.0\.0\.1 {reason}; check that",
    ):
        net.look()


def test_the_solvers_own_servers_are_asked_instead(net):
    authoritative = FakeNameserver(records=HAS_IT)
    net.serve(authoritative)
    net.delegation |= LACKS_IT

    seen = net.look(nameservers=(net.recursive.address,))

    assert seen == Visibility(visible=False, reason="127.0.0.1 does not have it yet")
    assert authoritative.asked == []


def test_each_of_the_solvers_own_servers_has_to_see_it(net):
    one, two = FakeNameserver(records=HAS_IT), FakeNameserver(records=HAS_IT, behaviour=Behaviour.SERVFAIL)
    net.serve(one, two)
    both = (one.address, two.address)

    troubled = net.look(nameservers=both)
    two.behaviour = Behaviour.NORMAL

    assert not troubled.visible
    assert troubled.reason.startswith(
        f"looking up TXT of {NAME}: the resolver 127.0.0.3 answered SERVFAIL; check that"
    )
    assert net.look(nameservers=both).visible


def test_all_of_it_ends_within_twice_the_time_out_whatever_servers_do(net):
    silent = Behaviour.SILENT
    net.serve(FakeNameserver(behaviour=silent), FakeNameserver(behaviour=silent))
    net.delegation["ns1.example.test"]["A"] = [ONE, "127.0.0.4", "127.0.0.5", "127.0.0.6"]

    begun = time.monotonic()
    seen = net.look(timeout_seconds=1.0)

    assert seen.reason == "ns1.example.test (127.0.0.2) did not answer"
    assert time.monotonic() - begun < 3.5, "four addresses, one after the other, would take four seconds"


def test_what_cannot_be_a_name_is_refused(net):
    net.serve(FakeNameserver())

    with pytest.raises(NameRefused, match="at most 253 characters"):
        is_visible(
            f"_acme-challenge.{'a' * 64}.test",
            VALUE,
            "example.test",
            servers=net.servers,
            authoritative_port=net.port,
        )


def test_a_value_that_only_begins_like_ours_is_another(net):
    net.serve(FakeNameserver(records={NAME: {"TXT": [f'"{VALUE}x"', f'"{VALUE[:-1]}"']}}))

    assert not net.look().visible


def test_a_server_that_is_not_there_is_named(net):
    one, two = FakeNameserver(records=HAS_IT), FakeNameserver(records=HAS_IT)
    net.serve(one, two)
    two.stop()

    assert net.look().reason.startswith("ns2.example.test (127.0.0.3) ")


def test_a_secondary_of_bind_lags_until_it_catches_up(tmp_path):
    secret, zone = base64.b64encode(b"the secret of the key").decode(), "example.test"
    with Bind(
        directory=tmp_path, zones=(zone,), tsig={"k": ("hmac-sha256", secret)}, secondaries={zone: ONE}
    ) as bind:
        config = Rfc2136(
            nameserver="127.0.0.1", port=bind.port, tsig_key_name="k", tsig_algorithm=TsigAlgorithm.HMACSHA256
        )
        Rfc2136Provider(config, tsig_secret=secret).present(TxtRecord(name=NAME, value=VALUE, zone=zone))
        with FakeNameserver(ONE, bind.port, forward_to=bind.address, hide_txt=True) as secondary:
            servers = ZoneServers(Resolver([bind.address]), SystemClock())
            before = is_visible(NAME, VALUE, zone, servers=servers, authoritative_port=bind.port)
            secondary.reveal()
            after = is_visible(NAME, VALUE, zone, servers=servers, authoritative_port=bind.port)

    assert before.reason == "ns2.example.test (127.0.0.2) does not have it yet"
    assert after.visible
