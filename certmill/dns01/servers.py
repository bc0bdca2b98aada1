"""The address of a name server that is given by its name. This machine's own resolver is used, with search
domains and the hosts file."""

from __future__ import annotations

import ipaddress
import socket


def address_of(host: str) -> str:
    """Return `host` itself if it is an address, else the first address of the name. IPv4 comes before IPv6,
    because a server that has both does not always listen on both. Raises OSError."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, "no name") from error
    return str(min(found, key=lambda one: one[0] != socket.AF_INET)[4][0])
