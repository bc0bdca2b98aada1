from __future__ import annotations

import pytest

from certmill.http01.connections import Connections, address_group


def opened(*addresses, limit):
    """Connections 0, 1, … in the order of their addresses."""
    connections = Connections(limit)
    for number, address in enumerate(addresses):
        connections.add(number, address)
    return connections


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1:2::3", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_an_ipv6_site_counts_as_one_address(address, group):
    assert address_group(address) == group


def test_nobody_is_cut_while_there_is_room():
    connections = opened("192.0.2.1", "192.0.2.1", limit=3)

    assert connections.has_room()
    assert connections.to_cut() is None


def test_the_oldest_silent_one_of_the_address_with_the_most_is_cut():
    assert opened("192.0.2.9", "192.0.2.1", "192.0.2.1", limit=3).to_cut() == 1


def test_one_whose_request_has_come_is_not_cut():
    connections = opened("192.0.2.1", "192.0.2.1", "192.0.2.9", limit=3)
    connections.note_activity(0)
    assert connections.to_cut() == 1

    connections.note_activity(1)
    connections.note_activity(2)
    assert connections.to_cut() is None
    assert not connections.has_room()


def test_a_closed_one_makes_room_and_may_be_removed_twice():
    connections = opened("192.0.2.1", "192.0.2.2", limit=2)
    connections.remove(0)
    connections.remove(0)

    assert connections.all() == (1,)
    assert connections.has_room()
