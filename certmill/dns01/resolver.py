"""A stub resolver. It sends queries to the system's servers, to given ones (host:port), or by DNS over HTTPS
(RFC 8484).

Answers are never cached here. A query goes to one server after the other until one answers. SERVFAIL from all
servers is an error; NXDOMAIN is an answer. Every record is selected by owner and type, at any position:
servers send additional records, in any order.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Sequence

import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.resolver

from certmill.dns01.doh import DnsOverHttps
from certmill.dns01.exchange import Unanswered, exchange, question
from certmill.errors import DnsUnavailable
from certmill.http.transport import TlsTrust

ANSWERED = (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)
_DNS_PORT = 53
_ADVICE = (
    "check that it looks names up for this machine, or set others: CERTMILL_RECURSIVE_NAMESERVERS, or the "
    "solver's own"
)


class Resolver:
    """Sends queries to recursive servers. Safe for many threads."""

    def __init__(
        self, nameservers: Sequence[str] = (), *, timeout_seconds: float = 5.0, trust: TlsTrust | None = None
    ) -> None:
        """`nameservers`: host:port or https:// URLs; if empty, the system's servers (read on first use). The
        time-out is for each server.

        `trust`: the CA certificates that an https:// server is verified with.
        """
        self._given = tuple(nameservers)
        self._timeout_seconds = timeout_seconds
        self._https = DnsOverHttps(trust or TlsTrust())

    def ask(self, name: str, type_: str, *, within_seconds: float | None = None) -> dns.message.Message:
        """Return the whole answer: NOERROR or NXDOMAIN. `within_seconds` is for all servers together.

        Raises DnsUnavailable with the last server's reason, and NameRefused for a text that cannot be a name.
        """
        query = question(name, type_)
        servers = self._given or _system()
        each = (
            min(self._timeout_seconds, within_seconds / max(1, len(servers)))
            if within_seconds is not None
            else self._timeout_seconds
        )
        reason = (
            "this machine has no name servers: see /etc/resolv.conf, or set CERTMILL_RECURSIVE_NAMESERVERS"
        )
        for server in servers:
            try:
                answer = self._send(query, server, each)
            except Unanswered as error:
                reason = f"{_shown(server)} {error}; {_ADVICE}"
                continue
            if answer.rcode() in ANSWERED:
                return answer
            reason = f"{_shown(server)} answered {dns.rcode.to_text(answer.rcode())}; {_ADVICE}"
        raise DnsUnavailable(f"looking up {type_} of {name}: {reason}")

    def find_addresses(self, name: str, *, within_seconds: float | None = None) -> list[str]:
        """Return the IPv4, then the IPv6 addresses of a name; [] if it has none. The server follows CNAMEs.
        For an address, the address itself is returned.

        One family is enough: some servers answer AAAA with an error, or not at all. NXDOMAIN applies to every
        type (RFC 8020 §2), so AAAA is not asked for after it. `within_seconds` is for both; each gets half of
        the remaining time, so that there is time left to use what was found. Raises DnsUnavailable when there
        is no usable answer.
        """
        deadline = time.monotonic() + within_seconds if within_seconds is not None else None
        try:
            return [str(ipaddress.ip_address(name))]
        except ValueError:
            pass
        found: list[str] = []
        trouble: DnsUnavailable | None = None
        for type_ in ("A", "AAAA"):
            try:
                share = max(0.1, (deadline - time.monotonic()) / 2) if deadline is not None else None
                answer = self.ask(name, type_, within_seconds=share)
            except DnsUnavailable as error:
                trouble = trouble or error
                continue
            found += [record.to_text() for record in records(answer, type_)]
            if answer.rcode() == dns.rcode.NXDOMAIN:
                return found
        if not found and trouble is not None:
            raise trouble
        return found

    def _send(self, query: dns.message.Message, server: str, timeout_seconds: float) -> dns.message.Message:
        if server.startswith("https://"):
            return self._https.ask(query, server, timeout_seconds=timeout_seconds)
        host, port = split_server(server)
        return exchange(query, host, port, timeout_seconds=timeout_seconds)


def records(answer: dns.message.Message, type_: str, *, at: str | None = None) -> list[dns.rdata.Rdata]:
    """Return the records of one type in the answer section; with `at`, only those of that name."""
    wanted = dns.rdatatype.from_text(type_)
    owner = dns.name.from_text(at) if at is not None else None
    return [
        record
        for rrset in answer.answer
        if rrset.rdtype == wanted and owner in (None, rrset.name)
        for record in rrset
    ]


def split_server(server: str) -> tuple[str, int]:
    """Return (address, port) of `192.0.2.1`, `192.0.2.1:5353`, `[2001:db8::1]:5353` or `2001:db8::1`."""
    try:
        return str(ipaddress.ip_address(server)), _DNS_PORT
    except ValueError:
        host, _, port = server.rpartition(":")
        return (host.strip("[]"), int(port)) if host and port.isdecimal() else (server.strip("[]"), _DNS_PORT)


def _shown(server: str) -> str:
    """Return the server as messages name it: without its port."""
    return f"the resolver {server if server.startswith('https://') else split_server(server)[0]}"


def _system() -> Sequence[str]:
    try:
        return [str(server) for server in dns.resolver.Resolver().nameservers]
    except dns.resolver.NoResolverConfiguration:
        return ()
