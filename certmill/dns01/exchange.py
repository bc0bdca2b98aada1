"""Sends one query to one server, once, in limited time: by UDP, and by TCP if the answer is too large for
UDP."""

from __future__ import annotations

import time

import dns.exception
import dns.message
import dns.query

from certmill.dns01.servers import address_of
from certmill.errors import NameRefused


class Unanswered(Exception):
    """A server gave no usable answer. The message continues a sentence after the server's name: "did not
    answer"."""


def question(name: str, type_: str) -> dns.message.Message:
    """Return a query with RD set. Raises NameRefused if the name is not valid in DNS: "_acme-challenge." in
    front may make it too long."""
    try:
        return dns.message.make_query(name, type_)
    except dns.exception.DNSException:
        raise NameRefused(
            f"{name} cannot be looked up: a name has at most 253 characters, and 63 between two dots"
        ) from None


def exchange(
    query: dns.message.Message, host: str, port: int, *, timeout_seconds: float
) -> dns.message.Message:
    """Ask one server, once: by UDP, then by TCP if that answer was truncated. Both must end within
    `timeout_seconds`. Raises Unanswered.

    `host` is an address, or a name that this machine can resolve. Answers to other queries (a wrong id, a
    forged source) are ignored, so that they cannot end the wait.
    """
    deadline = time.monotonic() + timeout_seconds
    try:
        address = address_of(host)
    except OSError:
        raise Unanswered("has no address that this machine can find") from None
    try:
        return dns.query.udp(
            query,
            address,
            timeout_seconds,
            port,
            ignore_unexpected=True,
            ignore_errors=True,
            ignore_trailing=True,
            raise_on_truncation=True,
        )
    except dns.message.Truncated:
        return _by_tcp(query, address, port, max(0.1, deadline - time.monotonic()))
    except dns.exception.Timeout:
        raise Unanswered("did not answer") from None
    except (dns.exception.DNSException, OSError, ValueError):
        raise Unanswered("cannot be reached") from None


def _by_tcp(
    query: dns.message.Message, address: str, port: int, timeout_seconds: float
) -> dns.message.Message:
    try:
        return dns.query.tcp(query, address, timeout_seconds, port)
    except dns.exception.Timeout:
        raise Unanswered("did not answer by TCP, and its answer is too large for UDP") from None
    except (OSError, EOFError):
        raise Unanswered("cannot be reached by TCP, and its answer is too large for UDP") from None
    except dns.exception.DNSException:
        raise Unanswered("answered with something that is not a DNS message") from None
