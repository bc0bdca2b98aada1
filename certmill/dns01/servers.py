"""A name server that is given by its name: where it is, as this machine's own resolver has it (search domains
and hosts file too)."""

from __future__ import annotations

import ipaddress
import socket


def address_of(host: str) -> str:
    """The address itself, or the first of a name: IPv4 before IPv6, as a server on both need not listen on
    both. Raises OSError."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, "no name") from error
    return str(min(found, key=lambda one: one[0] != socket.AF_INET)[4][0])
