from __future__ import annotations

import pytest

from certmill.acme.identifiers import ordered_identifier
from certmill.acme.resources import Authorization, AuthorizationStatus
from certmill.model.names import Identifier, IdentifierType


def dns(value):
    return Identifier(type=IdentifierType.DNS, value=value)


def ip(value):
    return Identifier(type=IdentifierType.IP, value=value)


def authorization(identifier, *, wildcard=False):
    url = "https://ca.example/authz/1"
    return Authorization(
        url=url, identifier=identifier, status=AuthorizationStatus.PENDING, wildcard=wildcard
    )


ORDER = (dns("a.example"), dns("*.b.example"), ip("2001:db8::1"))


@pytest.mark.parametrize(
    ("found", "wildcard", "expected"),
    [
        (dns("a.example"), False, dns("a.example")),
        (dns("A.Example"), False, dns("a.example")),
        (dns("b.example"), True, dns("*.b.example")),
        (ip("2001:DB8:0::1"), False, ip("2001:db8::1")),
    ],
)
def test_an_authorization_is_for_the_identifier_that_it_names(found, wildcard, expected):
    assert ordered_identifier(authorization(found, wildcard=wildcard), ORDER) == expected


@pytest.mark.parametrize(
    ("found", "wildcard"),
    [
        (dns("c.example"), False),
        (dns("example"), False),
        (dns("x.b.example"), False),
        (dns("a.example"), True),
        (dns("b.example"), False),  # RFC 8555 §7.1.4: it would have to say that it is a wildcard's
        (dns("*.b.example"), True),
        (ip("2001:db8::2"), False),
        (ip("2001:db8::1"), True),
        (dns("2001:db8::1"), False),
        (ip("a.example"), False),
    ],
)
def test_an_authorization_for_another_name_is_for_none_of_the_order(found, wildcard):
    assert ordered_identifier(authorization(found, wildcard=wildcard), ORDER) is None
