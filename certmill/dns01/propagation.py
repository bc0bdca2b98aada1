"""Can the CA see the TXT value? Every authoritative server is asked once, directly, without a cache; the answer says which one lacks it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from certmill.dns01.resolver import Resolver, split_server
from certmill.errors import DnsUnavailable

_MAX_SERVERS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Visibility:
    """Whether every server has the value; if not, which one does not, and why: stable text."""

    visible: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    """An authoritative server: its name and one of its addresses."""

    name: str
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.name} ({self.address})" if self.name != self.address else self.address


def is_visible(  # noqa: PLR0913 - all but the record by name
    record_name: str,
    value: str,
    zone: str,
    *,
    resolver: Resolver,
    authoritative_port: int = 53,
    nameservers: Sequence[str] = (),
    timeout_seconds: float = 3.0,
) -> Visibility:
    """Ask each server of the zone (or each of `nameservers`) once. Raises DnsUnavailable when the zone's servers cannot be found."""
    if nameservers:
        return _through_resolvers(record_name, value, nameservers, timeout_seconds)
    servers = _servers(zone, resolver, authoritative_port)
    if len(servers) == 1:
        reasons = [_lacks(servers[0], record_name, value, timeout_seconds)]
    else:
        with ThreadPoolExecutor(max_workers=len(servers), thread_name_prefix="propagation") as pool:
            reasons = list(pool.map(lambda server: _lacks(server, record_name, value, timeout_seconds), servers))
    return _judged(servers, reasons)


def _judged(servers: Sequence[_Server], reasons: Sequence[str]) -> Visibility:
    """A server with an address that answered counts by that one: an IPv6 that we cannot reach says nothing about the CA's view."""
    by_name: dict[str, list[str]] = {}
    for server, reason in zip(servers, reasons, strict=True):
        by_name.setdefault(server.name, []).append(reason)
    for server, reason in zip(servers, reasons, strict=True):
        others = by_name[server.name]
        unreached = reason.endswith(("cannot be reached", "did not answer"))
        if reason and not (unreached and "" in others):
            return Visibility(visible=False, reason=reason)
    return Visibility(visible=True)


def _servers(zone: str, resolver: Resolver, port: int) -> list[_Server]:
    names = sorted(name.rstrip(".").lower() for name in resolver.records(zone, "NS"))[:_MAX_SERVERS]
    found, reason = [], ""
    for name in names:
        try:
            found += [_Server(name=name, address=address, port=port) for address in resolver.addresses(name)]
        except DnsUnavailable as error:
            reason = str(error)
    if not found:
        raise DnsUnavailable(reason or f"the zone {zone} has no name servers")
    return found[:_MAX_SERVERS]


def _lacks(server: _Server, record_name: str, value: str, timeout_seconds: float) -> str:
    """"" if this server has the value, else why not."""
    query = dns.message.make_query(record_name, "TXT")
    query.flags &= ~dns.flags.RD
    try:
        answer, _ = dns.query.udp_with_fallback(query, server.address, timeout=timeout_seconds, port=server.port)
    except dns.exception.Timeout:
        return f"{server} did not answer"
    except (OSError, EOFError):
        return f"{server} cannot be reached"
    except dns.exception.DNSException:
        return f"{server} answered with nonsense"
    return _reading(answer, str(server), value)


def _reading(answer: dns.message.Message, server: str, value: str) -> str:
    if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return f"{server} answered {dns.rcode.to_text(answer.rcode())}"
    values = {b"".join(r.strings) for rrset in answer.answer if rrset.rdtype == dns.rdatatype.TXT for r in rrset}
    return "" if value.encode() in values else f"{server} does not have it yet"


def _through_resolvers(record_name: str, value: str, nameservers: Sequence[str], timeout_seconds: float) -> Visibility:
    for nameserver in nameservers:
        host = nameserver if nameserver.startswith("https://") else split_server(nameserver)[0]
        answer = Resolver((nameserver,), timeout_seconds=timeout_seconds).ask(record_name, "TXT")
        reason = _reading(answer, host, value)
        if reason:
            return Visibility(visible=False, reason=reason)
    return Visibility(visible=True)
