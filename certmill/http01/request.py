"""Parse the head of an HTTP request, and find its host (RFC 9112 §3, RFC 9110 §7.2). Pure. The input is
untrusted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from certmill.errors import InvalidManifest
from certmill.model.identifiers import MAX_NAME, dns_name, ip_address, is_ip_address, shown

_AUTHORITY: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]]+))(?::[0-9]*)?")


class BadRequest(Exception):
    """The request is malformed; RFC 9112 requires the answer 400."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The parts of a request that the responder needs. `host` is canonical, "" if it is missing or
    invalid."""

    method: str
    path: str
    host: str


def parse(head: str) -> Request:
    """Parse a head that was decoded as latin-1. Raises BadRequest."""
    first, *lines = head.split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadRequest
    method, target, _ = parts
    named = [
        value.strip(" \t")
        for name, _, value in (line.partition(":") for line in lines)
        if name.lower() == "host"
    ]
    if len(named) > 1:  # RFC 9112 §3.2
        raise BadRequest
    authority = named[0] if named else ""
    if target[:7].lower() == "http://":  # RFC 9112 §3.2.2: the absolute form goes over the Host field
        authority, slash, rest = target[7:].partition("/")
        target = slash + rest or "/"
    return Request(method=method, path=target.partition("?")[0], host=canonical_host(authority))


def canonical_host(authority: str) -> str:
    """The host of `authority` in the form that certificates use; "" if it is not a valid host.

    The port and a final dot are removed; a name is in lower case with A-labels; an IP address is canonical
    and without brackets."""
    if is_ip_address(authority):
        return ip_address(authority) if "%" not in authority else ""
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        return ""
    host = parts["v6"] or parts["host"].removesuffix(".")
    if len(host) > MAX_NAME:
        return ""
    try:
        if parts["v6"] or is_ip_address(host):
            return ip_address(host)
        return dns_name(host if host.isascii() else host.encode("latin-1").decode("utf-8"))
    except ValueError:  # a UnicodeError is one
        return ""


def shared_hosts(named: Iterable[str]) -> frozenset[str]:
    """The hosts of CERTMILL_RESPONDER_SHARED_HOSTS, canonical. Raises InvalidManifest."""
    found = {each: canonical_host(each) for each in named}
    if wrong := [each for each, host in found.items() if not host]:
        raise InvalidManifest(
            f"{shown(wrong[0])} is not a valid host: write a DNS name or an IP address",
            path="CERTMILL_RESPONDER_SHARED_HOSTS",
        )
    return frozenset(found.values())
