"""Checks whether the CA can see the TXT value. Every authoritative server is asked once, directly, without a
cache. The result names the server that lacks the value.

The servers are asked in parallel, and the whole check ends within twice the time-out, whatever they answer.
Reasons are stable text, because they are compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum, auto

import dns.flags
import dns.message
import dns.rcode
from dns.rdtypes.ANY.CNAME import CNAME
from dns.rdtypes.ANY.TXT import TXT

from certmill.dns01.exchange import Unanswered, exchange, question
from certmill.dns01.resolver import ANSWERED, Resolver, records, split_server
from certmill.dns01.zone_servers import ZoneServers
from certmill.errors import DnsUnavailable

_MAX_SERVERS = 16
_MAX_ADDRESSES = 4
# In seconds. Once one address of a server has shown the value, the query to another address that may be
# unreachable for us (IPv6) gets at most this time.
_NEXT_ADDRESS_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Visibility:
    """Whether every server has the value; if not, the reason as stable text: which server lacks it, and
    why."""

    visible: bool
    reason: str = ""


class _State(Enum):
    """What one server has."""

    VISIBLE = auto()
    MISSING = auto()
    TROUBLED = auto()
    """It gave no usable answer: it may have been replaced."""
    NO_ADDRESS = auto()
    """The CA does not ask it either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    """What one server has, and the reason unless the value is visible there."""

    state: _State
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """The value to check for, and the end of the check (on the monotonic clock)."""

    name: str
    value: str
    zone: str
    servers: ZoneServers
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
    servers: ZoneServers,
    authoritative_port: int = 53,
    nameservers: Sequence[str] = (),
    timeout_seconds: float = 3.0,
) -> Visibility:
    """Ask each authoritative server of the zone once; if `nameservers` (host:port or https:// URLs) are
    given, ask each of those instead.

    `timeout_seconds` is for each server; the whole check takes at most twice as long. Raises DnsUnavailable
    when the zone's servers cannot be found, and NameRefused for a text that cannot be a name.
    """
    check = _Check(
        name=record_name,
        value=value,
        zone=zone,
        servers=servers,
        port=authoritative_port,
        timeout_seconds=timeout_seconds,
        deadline=time.monotonic() + 2 * timeout_seconds,
    )
    if nameservers:
        return _judged(
            _in_parallel(lambda nameserver: _through(check, nameserver), nameservers[:_MAX_SERVERS])
        )
    findings = _in_parallel(lambda server: _at(check, server), _authoritative(check))
    if any(finding.state in (_State.TROUBLED, _State.NO_ADDRESS) for finding in findings):
        servers.forget(zone)
    if all(finding.state is _State.NO_ADDRESS for finding in findings):
        raise DnsUnavailable(f"no name server of the zone {zone} has an address: see its NS records")
    return _judged([finding for finding in findings if finding.state is not _State.NO_ADDRESS])


def _judged(findings: Sequence[_Finding]) -> Visibility:
    for finding in findings:
        if finding.state is not _State.VISIBLE:
            return Visibility(visible=False, reason=finding.reason)
    return Visibility(visible=True)


def _in_parallel(ask: Callable[[str], _Finding], servers: Sequence[str]) -> list[_Finding]:
    if len(servers) == 1:
        return [ask(servers[0])]
    with ThreadPoolExecutor(max_workers=len(servers), thread_name_prefix="propagation") as pool:
        return list(pool.map(ask, servers))


def _authoritative(check: _Check) -> Sequence[str]:
    names = check.servers.names(check.zone, within_seconds=check.seconds())
    if not names:
        raise DnsUnavailable(
            f"the zone {check.zone} has no name servers: check that it is delegated, and that our resolvers "
            "know it"
        )
    return names[:_MAX_SERVERS]


def _at(check: _Check, server: str) -> _Finding:
    """Ask an authoritative server at its addresses.

    An address that cannot be reached is ignored if another address of the same server has the value.
    """
    try:
        addresses = check.servers.addresses(server, within_seconds=check.seconds())
    except DnsUnavailable as error:
        return _Finding(state=_State.TROUBLED, reason=str(error))
    if not addresses:
        return _Finding(state=_State.NO_ADDRESS)
    found, unreached = False, ""
    # IPv4 first, then sorted: servers shuffle their answers, and a fixed order makes the reason stable.
    for address in sorted(addresses, key=lambda address: (":" in address, address))[:_MAX_ADDRESSES]:
        shown = f"{server} ({address})" if server != address else server
        query = question(check.name, "TXT")
        query.flags &= ~dns.flags.RD
        seconds = check.seconds(_NEXT_ADDRESS_SECONDS if found else None)
        try:
            answer = exchange(query, address, check.port, timeout_seconds=seconds)
        except Unanswered as error:
            unreached = unreached or f"{shown} {error}"
            continue
        finding = _in_answer(answer, check, shown)
        if finding.state is not _State.VISIBLE:
            return finding
        found = True
    return _Finding(state=_State.VISIBLE) if found else _Finding(state=_State.TROUBLED, reason=unreached)


def _through(check: _Check, nameserver: str) -> _Finding:
    """Ask a recursive server."""
    shown = nameserver if nameserver.startswith("https://") else split_server(nameserver)[0]
    try:
        answer = Resolver((nameserver,)).ask(check.name, "TXT", within_seconds=check.timeout_seconds)
    except DnsUnavailable as error:
        return _Finding(state=_State.TROUBLED, reason=str(error))
    why = _why_missing(answer, check)
    return (
        _Finding(state=_State.MISSING, reason=f"{shown} {why}")
        if why is not None
        else _Finding(state=_State.VISIBLE)
    )


def _in_answer(answer: dns.message.Message, check: _Check, shown: str) -> _Finding:
    """What the answer of an authoritative server means; `shown` is its name for messages."""
    if not answer.answer and not answer.flags & dns.flags.AA and answer.rcode() == dns.rcode.NOERROR:
        reason = f"{shown} does not serve the zone {check.zone}, although it is one of its name servers"
        return _Finding(state=_State.TROUBLED, reason=reason)
    why = _why_missing(answer, check)
    if why is None:
        return _Finding(state=_State.VISIBLE)
    state = _State.MISSING if answer.rcode() in ANSWERED else _State.TROUBLED
    return _Finding(state=state, reason=f"{shown} {why}")


def _why_missing(answer: dns.message.Message, check: _Check) -> str | None:
    """Why the value is not in the answer, as the end of a sentence after the server's name; None if it is."""
    if answer.rcode() not in ANSWERED:
        return f"answered {dns.rcode.to_text(answer.rcode())}"
    values = {b"".join(record.strings) for record in records(answer, "TXT") if isinstance(record, TXT)}
    if check.value.encode() in values:
        return None
    aliases = [
        record.target for record in records(answer, "CNAME", at=check.name) if isinstance(record, CNAME)
    ]
    if aliases:
        return (
            f"has a CNAME to {aliases[0].to_text(omit_final_dot=True)} there: set cnameStrategy: Follow, or "
            "remove it"
        )
    return "does not have it yet"
