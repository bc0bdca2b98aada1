"""Looking things up as a stub resolver: through the system's servers, through given ones (host:port), or by DNS over HTTPS.

Answers are never cached here. One question goes to each server in turn until one answers; SERVFAIL everywhere is an error, NXDOMAIN an answer.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.rrset
import requests
import urllib3

from certmill.errors import DnsUnavailable

_GOOD = (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)
_MAX_DOH_BYTES = 128 * 1024
_DNS_PORT = 53


class Resolver:
    """Asks recursive servers. Safe for many threads."""

    def __init__(self, nameservers: Sequence[str] = (), *, timeout_seconds: float = 5.0) -> None:
        """`nameservers`: host:port or https:// URLs; none: the system's (read when first needed)."""
        self._given = tuple(nameservers)
        self._timeout = timeout_seconds

    def ask(self, name: str, type_: str) -> dns.message.Message:
        """The whole answer, NOERROR or NXDOMAIN. Raises DnsUnavailable with the last reason."""
        query = dns.message.make_query(name, type_)
        reason = "no name servers are configured"
        for server in self._given or self._system():
            try:
                answer = self._send(query, server)
            except (dns.exception.DNSException, OSError, ValueError, requests.RequestException, urllib3.exceptions.HTTPError) as error:
                reason = "did not answer" if isinstance(error, dns.exception.Timeout | requests.Timeout) else "cannot be reached"
                continue
            if answer.rcode() in _GOOD:
                return answer
            reason = f"answered {dns.rcode.to_text(answer.rcode())}"
        raise DnsUnavailable(f"looking up {type_} of {name}: the resolver {reason}")

    def addresses(self, name: str) -> list[str]:
        """IPv4 then IPv6 addresses of a name (CNAMEs followed by the server); an address is its own. Raises DnsUnavailable if there is none."""
        try:
            return [str(ipaddress.ip_address(name))]
        except ValueError:
            found = [text for type_ in ("A", "AAAA") for text in self.records(name, type_)]
        if not found:
            raise DnsUnavailable(f"{name} has no address")
        return found

    def records(self, name: str, type_: str) -> list[str]:
        """The texts of the records of one type in the answer, whatever else comes with them."""
        wanted = dns.rdatatype.from_text(type_)
        return [record.to_text() for rrset in self.ask(name, type_).answer if rrset.rdtype == wanted for record in rrset]

    def _send(self, query: dns.message.Message, server: str) -> dns.message.Message:
        if server.startswith("https://"):
            return self._over_https(query, server)
        host, port = split_server(server)
        answer, _ = dns.query.udp_with_fallback(query, host, timeout=self._timeout, port=port)
        return answer

    def _over_https(self, query: dns.message.Message, url: str) -> dns.message.Message:
        headers = {"Content-Type": "application/dns-message", "Accept": "application/dns-message"}
        with requests.post(
            url, data=query.to_wire(), headers=headers, timeout=self._timeout, stream=True, allow_redirects=False
        ) as response:
            response.raise_for_status()
            body = response.raw.read(_MAX_DOH_BYTES + 1, decode_content=True)
        if len(body) > _MAX_DOH_BYTES:
            raise ValueError("the answer is too large")
        return dns.message.from_wire(body)

    def _system(self) -> Iterable[str]:
        try:
            system = dns.resolver.Resolver()
        except dns.resolver.NoResolverConfiguration:
            return ()
        return [str(server) for server in system.nameservers]


def split_server(server: str) -> tuple[str, int]:
    """(address, port) of `192.0.2.1`, `192.0.2.1:5353`, `[2001:db8::1]:5353` or `2001:db8::1`."""
    try:
        return str(ipaddress.ip_address(server)), _DNS_PORT
    except ValueError:
        host, _, port = server.rpartition(":")
        return (host.strip("[]"), int(port)) if host else (server, _DNS_PORT)
