"""An authoritative name server on loopback (UDP and TCP), for tests. It answers from a mapping, or forwards
to another server, and can be made to behave wrongly.

`behaviour`, `forward_to` and hide_txt()/reveal() may be changed while it runs: a secondary that lags behind,
then catches up.
"""

from __future__ import annotations

import errno
import socketserver
import threading
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from io import BytesIO
from typing import Final, Self, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset

Zone = Mapping[str, Mapping[str, Sequence[str]]]
"""Maps a name to types, and each type to the texts of its records, as in {"example.test": {"NS":
["ns1.example.test."]}}. `*.` at the front is a wildcard."""

_TTL_SECONDS: Final = 1
_MAX_CNAMES: Final = 16
_STARTS: Final = 20
_POLL_SECONDS: Final = 0.05
_FORWARD_SECONDS: Final = 3.0
_MIN_UDP_BYTES: Final = 512


class Behaviour(StrEnum):
    """How the server answers a query."""

    NORMAL = "normal"
    SERVFAIL = "servfail"
    LAME = "lame"
    """REFUSED: the zone's NS records name this server, but it does not serve the zone."""
    SILENT = "silent"
    SLOW = "slow"
    TRUNCATED = "truncated"
    """Empty with TC over UDP; the whole answer over TCP."""
    WRONG_ID = "wrong-id"
    NS_FIRST = "ns-first"
    """An NS record before the SOA in the answer section (GHSA-gx3x-vq4p-mhhv)."""


class FakeNameserver:
    """One server at `address`:`port` (0: a free port); a context manager. `asked` has the queries, as (name,
    type).

    `forward_to`: the server (host:port) to forward to, or a function that returns it for a name.
    """

    def __init__(
        self,
        address: str = "127.0.0.1",
        port: int = 0,
        *,
        records: Zone | Callable[[], Zone] | None = None,
        behaviour: Behaviour = Behaviour.NORMAL,
        slow_seconds: float = 0.5,
        forward_to: str | Callable[[str], str] = "",
        hide_txt: bool = False,
    ) -> None:
        self.records: Zone | Callable[[], Zone] = records if records is not None else {}
        self.behaviour = behaviour
        self.slow_seconds = slow_seconds
        self.forward_to = forward_to
        self.asked: list[tuple[str, str]] = []
        self.host = address
        self.port = port
        self._hidden = hide_txt
        self._closing = threading.Event()
        self._servers: list[_Udp | _Tcp] = []

    @property
    def address(self) -> str:
        """host:port."""
        return f"{self.host}:{self.port}"

    def hide_txt(self) -> None:
        """Answer TXT queries as if there were no values."""
        self._hidden = True

    def reveal(self) -> None:
        """Answer TXT queries normally again."""
        self._hidden = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, or listen again on the same port. Raises OSError if a requested port is in use."""
        self._closing.clear()
        tcp, udp = self._bind()
        self.port = tcp.server_address[1]
        self._servers = [tcp, udp]
        for server in self._servers:
            threading.Thread(
                target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True, name="fake-nameserver"
            ).start()

    def stop(self) -> None:
        """Stop listening."""
        self._closing.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()
        self._servers = []

    def _bind(self) -> tuple[_Tcp, _Udp]:
        """Bind a port that is free for both protocols."""
        for attempt in range(1, _STARTS + 1):
            tcp = _Tcp((self.host, self.port), self)
            try:
                return tcp, _Udp((self.host, tcp.server_address[1]), self)
            except OSError as error:
                tcp.server_close()
                if self.port or error.errno != errno.EADDRINUSE or attempt == _STARTS:
                    raise
        raise OSError(errno.EADDRINUSE, "no port is free for UDP and TCP")

    def answer(self, wire: bytes, *, udp: bool) -> bytes | None:
        """Return the answer to a query in wire format; None: no answer is sent."""
        query = dns.message.from_wire(wire)
        question = query.question[0]
        self.asked.append(
            (question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype))
        )
        if self.behaviour is Behaviour.SILENT:
            return None
        if self.behaviour is Behaviour.SLOW:
            self._closing.wait(self.slow_seconds)
        response = self._response(query, udp=udp)
        try:
            return response.to_wire(max_size=max(_MIN_UDP_BYTES, query.payload) if udp else 65_535)
        except dns.exception.TooBig:
            return _truncated(query).to_wire()

    def _response(self, query: dns.message.Message, *, udp: bool) -> dns.message.Message:
        refusals = {Behaviour.SERVFAIL: dns.rcode.SERVFAIL, Behaviour.LAME: dns.rcode.REFUSED}
        if self.behaviour in refusals:
            response = dns.message.make_response(query)
            response.set_rcode(refusals[self.behaviour])
            return response
        if self.behaviour is Behaviour.TRUNCATED and udp:
            return _truncated(query)
        response = self._forwarded(query) if self.forward_to else self._own(query)
        if self.behaviour is Behaviour.NS_FIRST:
            response.answer = _with_ns_first(response.answer)
        if self.behaviour is Behaviour.WRONG_ID:
            response.id ^= 1
        return response

    def _forwarded(self, query: dns.message.Message) -> dns.message.Message:
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        if self._hidden and query.question[0].rdtype == dns.rdatatype.TXT:
            return response
        name = query.question[0].name.to_text(omit_final_dot=True).lower()
        host, _, port = (self.forward_to(name) if callable(self.forward_to) else self.forward_to).rpartition(
            ":"
        )
        try:
            answer, _ = dns.query.udp_with_fallback(query, host, port=int(port), timeout=_FORWARD_SECONDS)
        except (dns.exception.DNSException, OSError, EOFError):
            response.set_rcode(dns.rcode.SERVFAIL)
            return response
        return answer

    def _own(self, query: dns.message.Message) -> dns.message.Message:
        response = dns.message.make_response(query)
        # RA is set too: Pebble uses Go's resolver, which takes an empty answer without RA for that of a lame
        # server.
        response.flags |= dns.flags.AA | dns.flags.RA
        question = query.question[0]
        zone = {
            name.lower().rstrip("."): types
            for name, types in (self.records() if callable(self.records) else self.records).items()
        }
        name, type_ = (
            question.name.to_text(omit_final_dot=True).lower(),
            dns.rdatatype.to_text(question.rdtype),
        )
        for _ in range(_MAX_CNAMES):
            types = _at(zone, name)
            if types is None:
                response.set_rcode(dns.rcode.NXDOMAIN)
                return response
            found = types.get(type_, ())
            if found and not (self._hidden and type_ == "TXT"):
                response.answer.append(dns.rrset.from_text(f"{name}.", _TTL_SECONDS, "IN", type_, *found))
                return response
            if "CNAME" not in types:
                return response
            response.answer.append(
                dns.rrset.from_text(f"{name}.", _TTL_SECONDS, "IN", "CNAME", types["CNAME"][0])
            )
            name = types["CNAME"][0].lower().rstrip(".")
        return response


def _at(zone: Zone, name: str) -> Mapping[str, Sequence[str]] | None:
    """Return what is at a name: its own records, or those of the nearest wildcard (RFC 4592, simplified); {}
    if there are only names below it; None: NXDOMAIN."""
    if name in zone:
        return zone[name]
    if any(other.endswith(f".{name}") for other in zone):
        return {}
    labels = name.split(".")
    wildcards = (f"*.{'.'.join(labels[start:])}" for start in range(1, len(labels)))
    return next((zone[wildcard] for wildcard in wildcards if wildcard in zone), None)


def _truncated(query: dns.message.Message) -> dns.message.Message:
    response = dns.message.make_response(query)
    response.flags |= dns.flags.AA | dns.flags.TC
    return response


def _with_ns_first(answer: Sequence[dns.rrset.RRset]) -> list[dns.rrset.RRset]:
    ordered: list[dns.rrset.RRset] = []
    for rrset in answer:
        if rrset.rdtype == dns.rdatatype.SOA:
            ordered.append(dns.rrset.from_text(rrset.name, _TTL_SECONDS, "IN", "NS", f"ns1.{rrset.name}"))
        ordered.append(rrset)
    return ordered


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], nameserver: FakeNameserver) -> None:
        self.nameserver = nameserver
        super().__init__(address, _UdpHandler)


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], nameserver: FakeNameserver) -> None:
        self.nameserver = nameserver
        super().__init__(address, _TcpHandler)


class _UdpHandler(socketserver.DatagramRequestHandler):
    def handle(self) -> None:
        try:
            answer = cast("_Udp", self.server).nameserver.answer(self.rfile.read(), udp=True)
        except dns.exception.DNSException:
            return
        if answer is not None:
            self.wfile.write(answer)

    def finish(self) -> None:
        """Send the answer if there is one: an empty datagram would be an answer."""
        written = cast("BytesIO", self.wfile).getvalue()
        try:
            if written:
                self.socket.sendto(written, self.client_address)
        except OSError:
            return


class _TcpHandler(socketserver.StreamRequestHandler):
    timeout = 5

    def handle(self) -> None:
        nameserver = cast("_Tcp", self.server).nameserver
        try:
            while size := int.from_bytes(self.rfile.read(2)):
                answer = nameserver.answer(self.rfile.read(size), udp=False)
                if answer is None:
                    return
                self.wfile.write(len(answer).to_bytes(2) + answer)
        except (dns.exception.DNSException, OSError):
            return
