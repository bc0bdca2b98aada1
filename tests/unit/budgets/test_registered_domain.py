"""The registered domain of identifiers, with the public suffix list's own test vectors."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from certmill.budgets.registered_domain import registered_domain
from certmill.model.names import Identifier, IdentifierType

VECTOR = re.compile(r"^checkPublicSuffix\((null|'[^']*'), (null|'[^']*')\);", re.MULTILINE)


def dns(value):
    return Identifier(type=IdentifierType.DNS, value=value)


def ip(value):
    return Identifier(type=IdentifierType.IP, value=value)


def vectors():
    text = resources.files("publicsuffixlist").joinpath("test_psl.txt").read_text(encoding="utf-8")
    return [tuple(part.strip("'") for part in found) for found in VECTOR.findall(text)]


def test_the_vectors_of_the_public_suffix_list_hold():
    tried = 0
    for spelled, expected in vectors():
        if spelled == "null" or spelled.startswith("."):
            continue  # no name that an order can have
        name = spelled.lower()
        assert registered_domain(dns(name)) == (name if expected == "null" else expected), name
        tried += 1
    assert tried > 60


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("www.example.com", "example.com"),
        ("*.www.example.com", "example.com"),
        ("*.example.co.uk", "example.co.uk"),
        ("WWW.Example.COM", "example.com"),
        ("a.b.user.github.io", "user.github.io"),
        ("github.io", "github.io"),
        ("co.uk", "co.uk"),
        ("a.b.no-such-suffix", "b.no-such-suffix"),
        ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
    ],
)
def test_private_rules_count_and_a_suffix_counts_as_itself(name, expected):
    assert registered_domain(dns(name)) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
    ],
)
def test_an_address_counts_as_its_network(address, expected):
    assert registered_domain(ip(address)) == expected
