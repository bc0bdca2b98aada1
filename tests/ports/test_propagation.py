"""Whether the CA can see a TXT value: every authoritative server of the zone is asked, and the one that lags is named."""

from __future__ import annotations

import base64
import time

import pytest

from certmill.dns01.base import TxtRecord
from certmill.dns01.propagation import is_visible
from certmill.dns01.resolver import Resolver
from certmill.dns01.rfc2136 import Rfc2136Provider
from certmill.errors import DnsUnavailable
from certmill.model.issuer import Rfc2136, TsigAlgorithm
from certmill.testing.nameserver import Behaviour, FakeNameserver
from compose.servers.bind import Bind

ZONE = "example.test"
NAME = f"_acme-challenge.{ZONE}"
VALUE = "gfj9Xq-Rg85nM_value"
TIMEOUT = 0.4


def zone(*values):
    return {
        ZONE: {"SOA": [f"ns1.{ZONE}. host.{ZONE}. 1 2 3 4 5"], "NS": [f"ns1.{ZONE}.", f"ns2.{ZONE}."]},
        f"ns1.{ZONE}": {"A": ["127.0.0.1"]},
        f"ns2.{ZONE}": {"A": ["127.0.0.2"]},
        NAME: {"TXT": [f'"{value}"' for value in values]},
    }


@pytest.fixture
def recursive():
    """The resolver's server: it knows where the zone's servers are, and nothing of the value."""
    with FakeNameserver(records=zone()) as server:
        yield server


@pytest.fixture
def first():
    with FakeNameserver(records=zone("another", VALUE)) as server:
        yield server


@pytest.fixture
def second(first):
    """On the same port as the first, at another address."""
    with FakeNameserver("127.0.0.2", first.port, records=zone(VALUE)) as server:
        yield server


def look(recursive, first, *, zone=ZONE, value=VALUE, **options):
    resolver = Resolver((recursive.address,), timeout_seconds=TIMEOUT)
    return is_visible(NAME, value, zone, resolver=resolver, authoritative_port=first.port, timeout_seconds=TIMEOUT, **options)


def test_a_value_that_every_server_has_is_visible(recursive, first, second):
    assert look(recursive, first).visible

    assert (NAME, "TXT") in first.asked
    assert (NAME, "TXT") in second.asked
    assert (NAME, "TXT") not in recursive.asked


def test_a_value_among_others_counts_only_whole(recursive, first, second):
    assert not look(recursive, first, value=VALUE[:-1]).visible


def test_a_server_that_lags_behind_is_named(recursive, first, second):
    second.hide_txt()
    lagging = look(recursive, first)
    second.reveal()

    assert not lagging.visible
    assert lagging.reason == f"ns2.{ZONE} (127.0.0.2) does not have it yet"
    assert look(recursive, first).visible


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (Behaviour.SERVFAIL, "answered SERVFAIL"),
        (Behaviour.LAME, "answered REFUSED"),
        (Behaviour.SILENT, "did not answer"),
        (Behaviour.WRONG_ID, "did not answer"),
    ],
)
def test_a_server_in_trouble_is_named_in_bounded_time_with_a_stable_reason(recursive, first, second, behaviour, reason):
    second.behaviour = behaviour
    began = time.monotonic()

    reasons = {look(recursive, first).reason for _ in range(2)}

    assert reasons == {f"ns2.{ZONE} (127.0.0.2) {reason}"}
    assert time.monotonic() - began < 2 * 2 * TIMEOUT + 1


def test_a_server_that_is_not_there_is_named(recursive, first):
    assert look(recursive, first).reason.startswith(f"ns2.{ZONE} (127.0.0.2) ")


@pytest.mark.parametrize("behaviour", [Behaviour.TRUNCATED, Behaviour.NS_FIRST])
def test_a_server_that_answers_otherwise_than_most_is_understood(recursive, first, second, behaviour):
    second.behaviour = behaviour

    assert look(recursive, first).visible


def test_a_server_that_is_slow_within_the_time_out_is_waited_for(recursive, first, second):
    second.behaviour, second.slow_seconds = Behaviour.SLOW, TIMEOUT / 2

    assert look(recursive, first).visible


def test_many_values_come_by_tcp(recursive, first, second):
    first.records = second.records = zone(*(f"{number:043}" for number in range(50)), VALUE)

    assert look(recursive, first).visible


def test_a_zone_without_name_servers_is_temporary(recursive, first):
    with pytest.raises(DnsUnavailable, match=r"missing\.test"):
        look(recursive, first, zone="missing.test")


@pytest.mark.parametrize("behaviour", [Behaviour.SERVFAIL, Behaviour.SILENT, Behaviour.LAME])
def test_a_resolver_in_trouble_is_temporary(recursive, first, behaviour):
    recursive.behaviour = behaviour

    with pytest.raises(DnsUnavailable, match=f"NS of {ZONE}"):
        look(recursive, first)


def test_the_solvers_own_name_servers_are_asked_instead(recursive, first, second):
    second.hide_txt()

    assert look(recursive, first, nameservers=(first.address,)).visible
    lagging = look(recursive, first, nameservers=(first.address, second.address))

    assert lagging.reason == "127.0.0.2 does not have it yet"


def test_a_secondary_that_forwards_to_bind_lags_until_it_catches_up(tmp_path):
    secret = base64.b64encode(b"the secret of the key").decode()
    with Bind(directory=tmp_path, zones=(ZONE,), tsig={"k": ("hmac-sha256", secret)}, secondaries={ZONE: "127.0.0.2"}) as bind:
        config = Rfc2136(nameserver="127.0.0.1", port=bind.port, tsig_key_name="k", tsig_algorithm=TsigAlgorithm.HMACSHA256)
        Rfc2136Provider(config, tsig_secret=secret).present(TxtRecord(name=NAME, value=VALUE, zone=ZONE))
        with FakeNameserver("127.0.0.2", bind.port, forward_to=bind.address, hide_txt=True) as secondary:
            lagging = look(bind, bind)
            secondary.reveal()
            later = look(bind, bind)

    assert lagging.reason == f"ns2.{ZONE} (127.0.0.2) does not have it yet"
    assert later.visible
