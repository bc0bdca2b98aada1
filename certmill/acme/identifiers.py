"""Match an authorization with an identifier of the order (RFC 8555 §7.1.4). Pure. The CA's data is not
trusted."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import replace

from certmill.acme.fields import clean
from certmill.acme.resources import Authorization
from certmill.model.names import Identifier, IdentifierType


def canonical(identifier: Identifier) -> Identifier:
    """The identifier in a form that can be compared. CAs change the case of names and the notation of IPv6
    addresses."""
    if identifier.type is not IdentifierType.IP:
        return replace(identifier, value=identifier.value.lower())
    try:
        return replace(identifier, value=str(ipaddress.ip_address(identifier.value)))
    except ValueError:
        return identifier


def ordered_identifier(authorization: Authorization, ordered: Iterable[Identifier]) -> Identifier | None:
    """The identifier of the order that `authorization` is for; None if the order does not contain it.

    RFC 8555 §7.1.4: the authorization of a wildcard has its base name without `*.`, and `wildcard: true`. An
    order may have fewer authorizations than identifiers (§7.1.3: the server decides which ones are
    required)."""
    found = authorization.identifier
    asked = canonical(replace(found, value=f"*.{found.value}") if authorization.wildcard else found)
    return next((identifier for identifier in ordered if canonical(identifier) == asked), None)


def names_text(identifiers: Sequence[Identifier]) -> str:
    """The first three names, for messages."""
    more = f" and {len(identifiers) - 3} more" if len(identifiers) > 3 else ""
    return clean(", ".join(identifier.value for identifier in identifiers[:3]), 120) + more
