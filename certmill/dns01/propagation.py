"""Checks whether the CA can see the TXT value. Every authoritative server is asked once, directly, without a
cache. The result names the server that lacks the value.

The servers are asked in parallel, and the whole check ends within twice the time-out, whatever they answer.
Reasons are stable text, because they are compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import dns.flags
import dns.message
import dns.rcode
from dns.rdtypes.ANY.CNAME import CNAME
from dns.rdtypes.ANY.TXT import TXT

from certmill.dns01.exchange import Unanswered, exchange, question
from certmill.dns01.resolver import ANSWERED, Resolver, records, split_server
from certmill.errors import DnsUnavailable

_Answer = TypeVar("_Answer")

_MAX_SERVERS = 16
_MAX_ADDRESSES = 4
# In seconds. Once one address of a server has shown the value, the query to another address that may be
# unreachable for us (IPv6) gets at most this time.
_SECOND_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Visibility:
    """Whether every server has the value; if not, the reason as stable text: which server lacks it, and
    why."""

    visible: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """The value to check for, and the end of the check (on the monotonic clock)."""

    name: str
    value: str
    zone: str
    resolver: Resolver
    port: int
    timeout_seconds: float
    deadline: float

    def seconds(self, at_most: float | None = None) -> float:
        """Return the seconds that one query may take now."""
        return max(0.1, min(at_most or self.timeout_seconds, self.deadline - time.monotonic()))


def is_visible(
    record_name: str,
    value: str,
    zone: str,
    *,
    resolver: Resolver,
    authoritative_port: int = 53,
    nameservers: Sequence[str] = (),
    timeout_seconds: float = 3.0,
) -> Visibility:
    """Ask each authoritative server of the zone once; if `nameservers` (host:port or https:// URLs) are
    given, ask each of those instead.

    `timeout_seconds` is for each server; the whole check takes at most twice as long. Raises DnsUnavailable
    when the zone's servers cannot be found, and NameRefused for a text that cannot be a name.
    """
    look = _Look(
        name=record_name,
        value=value,
        zone=zone,
        resolver=resolver,
        port=authoritative_port,
        timeout_seconds=timeout_seconds,
        deadline=time.monotonic() + 2 * timeout_seconds,
    )
    if nameservers:
        return _judged(
            _side_by_side(lambda nameserver: _through(look, nameserver), nameservers[:_MAX_SERVERS])
        )
    answers = _side_by_side(lambda server: _at(look, server), _servers(look))
    if all(answer is None for answer in answers):
        raise DnsUnavailable(f"no name server of the zone {zone} has an address: see its NS records")
    return _judged(answer for answer in answers if answer is not None)


def _judged(reasons: Iterable[str]) -> Visibility:
    reason = next((reason for reason in reasons if reason), "")
    return Visibility(visible=not reason, reason=reason)


def _side_by_side(ask: Callable[[str], _Answer], servers: Sequence[str]) -> list[_Answer]:
    if len(servers) == 1:
        return [ask(servers[0])]
    with ThreadPoolExecutor(max_workers=len(servers), thread_name_prefix="propagation") as pool:
        return list(pool.map(ask, servers))


def _servers(look: _Look) -> list[str]:
    answer = look.resolver.ask(look.zone, "NS", within_seconds=look.seconds())
    names = sorted({record.to_text().rstrip(".").lower() for record in records(answer, "NS", at=look.zone)})
    if not names:
        raise DnsUnavailable(
            f"the zone {look.zone} has no name servers: see that it is delegated, and that our resolvers "
            "know it"
        )
    return names[:_MAX_SERVERS]


def _at(look: _Look, server: str) -> str | None:
    """Return why an authoritative server lacks the value; "" if it has it; None if the server has no address,
    so that the CA will not ask it either.

    An address that cannot be reached is ignored if another address of the same server has the value.
    """
    try:
        addresses = look.resolver.find_addresses(server, within_seconds=look.seconds())
    except DnsUnavailable as error:
        return str(error)
    if not addresses:
        return None
    seen, unreached = False, ""
    # IPv4 first, then sorted: servers shuffle their answers, and a fixed order makes the reason stable.
    for address in sorted(addresses, key=lambda address: (":" in address, address))[:_MAX_ADDRESSES]:
        shown = f"{server} ({address})" if server != address else server
        query = question(look.name, "TXT")
        query.flags &= ~dns.flags.RD
        try:
            answer = exchange(
                query,
                address,
                look.port,
                timeout_seconds=look.seconds(_SECOND_LOOK_SECONDS if seen else None),
            )
        except Unanswered as error:
            unreached = unreached or f"{shown} {error}"
            continue
        if not answer.answer and not answer.flags & dns.flags.AA and answer.rcode() == dns.rcode.NOERROR:
            return f"{shown} does not serve the zone {look.zone}, although it is one of its name servers"
        if lack := _lack(answer, look):
            return f"{shown} {lack}"
        seen = True
    return "" if seen else unreached


def _through(look: _Look, nameserver: str) -> str:
    """Return why a recursive server does not see the value; "" if it does."""
    shown = nameserver if nameserver.startswith("https://") else split_server(nameserver)[0]
    try:
        answer = Resolver((nameserver,)).ask(look.name, "TXT", within_seconds=look.timeout_seconds)
    except DnsUnavailable as error:
        return str(error)
    lack = _lack(answer, look)
    return f"{shown} {lack}" if lack else ""


def _lack(answer: dns.message.Message, look: _Look) -> str:
    if answer.rcode() not in ANSWERED:
        return f"answered {dns.rcode.to_text(answer.rcode())}"
    values = {b"".join(record.strings) for record in records(answer, "TXT") if isinstance(record, TXT)}
    if look.value.encode() in values:
        return ""
    aliases = [
        record.target for record in records(answer, "CNAME", at=look.name) if isinstance(record, CNAME)
    ]
    if aliases:
        return (
            f"has a CNAME to {aliases[0].to_text(omit_final_dot=True)} there: set cnameStrategy: Follow, or "
            "remove it"
        )
    return "does not have it yet"
