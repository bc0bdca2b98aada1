"""Name servers that are given by their names."""

from __future__ import annotations

import pytest

from certmill.dns01.exchange import Unanswered, exchange, question
from certmill.dns01.servers import address_of


@pytest.mark.parametrize("address", ["127.0.0.1", "2001:db8::53", "fe80::1%lo"])
def test_an_address_is_its_own(address):
    assert address_of(address) == address


def test_a_name_is_resolved_and_ipv4_comes_first():
    assert address_of("localhost") == "127.0.0.1"


@pytest.mark.parametrize("name", ["no-such-host.invalid", "a" * 300])
def test_a_name_without_an_address_is_an_error(name):
    with pytest.raises(OSError, match=r"."):
        address_of(name)


def test_a_server_whose_name_has_no_address_gives_no_answer():
    with pytest.raises(Unanswered, match="has no address"):
        exchange(question("example.test", "A"), "no-such-host.invalid", 53, timeout_seconds=1)
