"""What can be told of the resolver without a network."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.dns01.exchange import question
from certmill.dns01.resolver import Resolver, split_server
from certmill.errors import DnsUnavailable, NameRefused


@pytest.mark.parametrize(
    ("server", "split"),
    [
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("192.0.2.1:5353", ("192.0.2.1", 5353)),
        ("2001:db8::1", ("2001:db8::1", 53)),
        ("[2001:db8::1]", ("2001:db8::1", 53)),
        ("[2001:db8::1]:5353", ("2001:db8::1", 5353)),
    ],
)
def test_a_server_is_an_address_and_perhaps_a_port(server, split):
    assert split_server(server) == split


@given(st.ip_addresses(), st.integers(1, 65535))
def test_every_address_with_a_port_is_read_as_it_was_written(address, port):
    text = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"

    host, found = split_server(text)

    assert (ipaddress.ip_address(host), found) == (address, port)


@pytest.mark.parametrize(
    "name", [f"{'a' * 64}.test", ".".join(["_acme-challenge", *["a" * 60] * 4]), "a..test"]
)
def test_what_cannot_be_a_name_is_refused(name):
    with pytest.raises(NameRefused, match="cannot be looked up"):
        question(name, "TXT")


def test_an_address_is_its_own():
    assert Resolver(["192.0.2.1:53"]).find_addresses("2001:DB8::1") == ["2001:db8::1"]


def test_a_server_that_is_not_there_is_named_with_what_to_do():
    with pytest.raises(
        DnsUnavailable,
        match=r"the resolver 127\.0\.0\.1 cannot be reached; check .*CERTMILL_RECURSIVE_NAMESERVERS",
    ):
        Resolver(["127.0.0.1:0"], timeout_seconds=0.2).ask("example.test", "TXT")
