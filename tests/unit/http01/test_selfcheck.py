from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.errors import DnsUnavailable
from certmill.http01.fetch import Target
from certmill.http01.selfcheck import Probe, _redirect_target, probe

PORTS = frozenset({80, 443})
HERE = Target(scheme="http", host="example.com", port=80, path="/.well-known/acme-challenge/token")


def nowhere(host, *, within_seconds):
    return ()


def test_a_name_without_an_address_is_said_to_have_none():
    found = probe("example.com", "token", "token.thumbprint", addresses=nowhere)

    assert found == Probe(
        ok=False, reason="example.com has no address in DNS: add an A or AAAA record for this name"
    )


def test_a_lookup_that_fails_is_a_reason_and_no_exception():
    def broken(host, *, within_seconds):
        raise DnsUnavailable(f"{host}: every name server answered SERVFAIL")

    found = probe("example.com", "token", "token.thumbprint", addresses=broken)

    assert found == Probe(
        ok=False,
        reason=(
            "example.com could not be looked up: no resolver answered for it (CERTMILL_RECURSIVE_NAMESERVERS)"
        ),
    )


def test_a_lookup_gets_the_time_that_is_left_and_no_more():
    given = []

    def addresses(host, *, within_seconds):
        given.append(within_seconds)
        return ()

    probe("example.com", "token", "token.thumbprint", addresses=addresses, timeout_seconds=1)

    assert given == [pytest.approx(1, abs=0.5)]
    assert given[0] < 1


def test_a_lookup_is_not_begun_when_the_time_is_over():
    def addresses(host, *, within_seconds):
        pytest.fail("the name was looked up")

    found = probe("example.com", "token", "token.thumbprint", addresses=addresses, timeout_seconds=0)

    assert found == Probe(ok=False, reason="example.com could not be reached: time-out")


@pytest.mark.parametrize("token", ["", "../../etc/passwd", "a b", "a\r\nHost: other", "a" * 129])
def test_a_malformed_token_is_never_sent(token):
    def addresses(host, *, within_seconds):
        pytest.fail("the name was looked up")

    found = probe("example.com", token, "x", addresses=addresses)

    assert found == Probe(ok=False, reason="the CA's token for example.com is malformed; start a new order")


def test_what_is_not_an_address_is_not_connected_to():
    found = probe("example.com", "token", "x", addresses=lambda host, **_: ("localhost", "fe80::1%eth0"))

    assert found.reason == "example.com has no address in DNS: add an A or AAAA record for this name"


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("https://www.example.com/x", "https://www.example.com/x"),
        ("/other?token=1", "http://example.com/other?token=1"),
        ("other", "http://example.com/.well-known/acme-challenge/other"),
        ("//cdn.example.net/x", "http://cdn.example.net/x"),
        ("http://[2001:db8::1]/x", "http://[2001:db8::1]/x"),
        ("https://example.com:443/x", "https://example.com/x"),
        ("http://example.com:5002/x", "http://example.com:5002/x"),
        ("http://example.com/a b\u00e9", "http://example.com/a%20b%C3%A9"),
    ],
)
def test_a_redirect_is_followed_where_a_ca_would_follow_it(location, url):
    target = _redirect_target(HERE, location, ports=PORTS | {5002})

    assert target is not None
    assert target.url == url


@pytest.mark.parametrize(
    "location",
    [
        "ftp://example.com/x",
        "file:///etc/passwd",
        "gopher://example.com/x",
        "http://example.com:6379/x",
        "http://example.com:99999/x",
        "http://example.com:port/x",
        "https:///x",
        "http://[fe80::1%25eth0]/x",
        "http://[::1/x",
        "http://exa mple.com/x",
        "http://user@:80/",
    ],
)
def test_a_redirect_elsewhere_is_not_followed(location):
    assert _redirect_target(HERE, location, ports=PORTS) is None


@given(st.text(max_size=200))
def test_no_location_can_smuggle_a_line_into_the_request(location):
    target = _redirect_target(HERE, location, ports=PORTS)

    if target is not None:
        assert not set(target.path + target.authority) & set("\r\n \x00")
        (target.path + target.authority).encode("ascii")
