"""The responder's open connections, and the choice of the connection to close when the limit is reached.
Pure.

A connection is silent until the complete head of its request has arrived. An attacker can open silent
connections at no cost, so only silent ones are closed. A proxy in front of the responder sends complete
requests, so it is not affected although all its connections have the same address."""

from __future__ import annotations

import ipaddress
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

ConnectionT = TypeVar("ConnectionT", bound=Hashable)

_IPV6_SITE_BITS: Final = 64
"""RFC 6177: a site gets at least a /64, so all addresses of a /64 count as one."""


def address_group(address: str) -> str:
    """The group of an address: the IPv4 address itself, or the /64 of an IPv6 address."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((int(found), _IPV6_SITE_BITS), strict=False))


class Connections(Generic[ConnectionT]):
    """At most `limit` connections. Not thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._groups: dict[ConnectionT, str] = {}
        self._silent: dict[str, dict[ConnectionT, None]] = {}

    def all(self) -> tuple[ConnectionT, ...]:
        """All open connections."""
        return tuple(self._groups)

    def to_cut(self) -> ConnectionT | None:
        """The connection to close before another one is added: the oldest silent connection of the address
        with the most silent connections. None if there is room, or if no connection is silent."""
        if self.has_room() or not self._silent:
            return None
        most = max(self._silent, key=lambda group: len(self._silent[group]))
        return next(iter(self._silent[most]))

    def has_room(self) -> bool:
        """Whether another connection can be added."""
        return len(self._groups) < self._limit

    def add(self, connection: ConnectionT, address: str) -> None:
        """Add a new connection; it is silent."""
        group = address_group(address)
        self._groups[connection] = group
        self._silent.setdefault(group, {})[connection] = None

    def note_activity(self, connection: ConnectionT) -> None:
        """The complete head of its request has arrived."""
        group = self._groups.get(connection, "")
        members = self._silent.get(group, {})
        members.pop(connection, None)
        if not members:
            self._silent.pop(group, None)

    def remove(self, connection: ConnectionT) -> None:
        """Remove a connection that is closed or being closed."""
        self.note_activity(connection)
        self._groups.pop(connection, None)
