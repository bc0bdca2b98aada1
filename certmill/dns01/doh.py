"""DNS over HTTPS (RFC 8484), one query at a time. Answers are limited in size and time, redirects are not
followed, connections are reused."""

from __future__ import annotations

import dns.exception
import dns.message

from certmill.dns01.exchange import Unanswered
from certmill.http.transport import Connections, NoAnswer, TlsTrust, Transport

MAX_ANSWER_BYTES = 128 * 1024
_HEADERS = {"Content-Type": "application/dns-message", "Accept": "application/dns-message"}
_OK = 200


class DnsOverHttps:
    """Sends queries to DoH servers. Safe for many threads, which share connections. The proxies of the
    environment are used."""

    def __init__(self, trust: TlsTrust) -> None:
        self._trust = trust
        self._connections = Connections()

    def ask(self, query: dns.message.Message, url: str, *, timeout_seconds: float) -> dns.message.Message:
        """Return the server's answer to `query`. Raises Unanswered."""
        transport = Transport(
            trust=self._trust, connections=self._connections, timeout_seconds=timeout_seconds
        )
        try:
            answer = transport.request("POST", url, body=query.to_wire(), headers=_HEADERS)
        except NoAnswer as error:
            raise Unanswered(error.why) from None
        if answer.status != _OK:
            raise Unanswered(f"answered HTTP {answer.status}")
        if len(answer.body) > MAX_ANSWER_BYTES:
            raise Unanswered(f"answered more than {MAX_ANSWER_BYTES} bytes")
        return _parsed(query, answer.body)


def _parsed(query: dns.message.Message, wire: bytes) -> dns.message.Message:
    try:
        answer = dns.message.from_wire(wire)
    except (dns.exception.DNSException, ValueError):
        raise Unanswered("answered with something that is not a DNS message") from None
    if not query.is_response(answer):
        raise Unanswered("answered another question")
    return answer
