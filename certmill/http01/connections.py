"""The responder's open connections, and which of them has to go when there is no place for another. Pure.

A connection is silent until the whole head of its request has come. Anybody can open silent connections at no
cost, so only these are cut. A proxy in front of the responder sends whole requests: that they all come from
its one address is no harm to them."""

from __future__ import annotations

import ipaddress
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

ConnectionT = TypeVar("ConnectionT", bound=Hashable)

_IPV6_SITE_BITS: Final = 64
"""One site has a /64 at least (RFC 6177), so all its addresses count as one."""


def address_group(address: str) -> str:
    """What counts as one address: an IPv4 address, an IPv6 /64."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((int(found), _IPV6_SITE_BITS), strict=False))


class Connections(Generic[ConnectionT]):
    """At most `limit` connections. For one thread."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._groups: dict[ConnectionT, str] = {}
        self._silent: dict[str, dict[ConnectionT, None]] = {}

    def all(self) -> tuple[ConnectionT, ...]:
        """Those that are open."""
        return tuple(self._groups)

    def to_cut(self) -> ConnectionT | None:
        """Whom another one takes the place of: the oldest silent connection of the address that has the most
        of them; None if there is room, or nobody is silent."""
        if self.has_room() or not self._silent:
            return None
        most = max(self._silent, key=lambda group: len(self._silent[group]))
        return next(iter(self._silent[most]))

    def has_room(self) -> bool:
        """Whether another one may come."""
        return len(self._groups) < self._limit

    def add(self, connection: ConnectionT, address: str) -> None:
        """It has been opened, and is silent."""
        group = address_group(address)
        self._groups[connection] = group
        self._silent.setdefault(group, {})[connection] = None

    def heard(self, connection: ConnectionT) -> None:
        """The whole head of its request has come."""
        group = self._groups.get(connection, "")
        members = self._silent.get(group, {})
        members.pop(connection, None)
        if not members:
            self._silent.pop(group, None)

    def remove(self, connection: ConnectionT) -> None:
        """It is closed, or being closed."""
        self.heard(connection)
        self._groups.pop(connection, None)
