"""Finds the registered domain of an identifier: the subject of "certificates per registered domain"."""

from __future__ import annotations

from functools import cache
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final

from certmill.model.names import Identifier, IdentifierType

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

_PREFIX_LENGTH: Final = {4: 32, 6: 64}


def registered_domain(identifier: Identifier) -> str:
    """The label below the public suffix, and the suffix. Private rules of the public suffix list count, and a
    name that is itself a public suffix counts as itself. An IP address counts as its network, /32 or /64.

    Source: coveringIdentifier in Boulder's ratelimits/utilities.go."""
    if identifier.type is IdentifierType.IP:
        address = ip_address(identifier.value)
        return str(ip_network((address, _PREFIX_LENGTH[address.version]), strict=False))
    name = identifier.base.lower().rstrip(".")
    return _suffixes().privatesuffix(name) or name


@cache
def _suffixes() -> PublicSuffixList:
    """The list that comes with the library. It is read (0.2 s) when an order first needs it."""
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()
