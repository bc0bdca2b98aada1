"""Which identifier of an order an authorization is for (RFC 8555 §7.1.4). Pure: a CA names identifiers, and
it may be anybody's."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import replace

from certmill.acme.resources import Authorization
from certmill.model.names import Identifier, IdentifierType


def canonical(identifier: Identifier) -> Identifier:
    """Comparable: CAs change the case of names, and write IPv6 addresses in their own way."""
    if identifier.type is not IdentifierType.IP:
        return replace(identifier, value=identifier.value.lower())
    try:
        return replace(identifier, value=str(ipaddress.ip_address(identifier.value)))
    except ValueError:
        return identifier


def ordered_identifier(authorization: Authorization, ordered: Iterable[Identifier]) -> Identifier | None:
    """The identifier of the order that `authorization` is for; None if it is for none of them.

    RFC 8555 §7.1.4: that of a wildcard has no `*.` and says `wildcard`. An order may have fewer
    authorizations than identifiers (§7.1.3: the server decides which are needed), but none for a name that
    was not asked for."""
    found = authorization.identifier
    asked = canonical(replace(found, value=f"*.{found.value}") if authorization.wildcard else found)
    return next((identifier for identifier in ordered if canonical(identifier) == asked), None)
