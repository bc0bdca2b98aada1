"""Names that lead nowhere: a DNS server that says nothing about some, and an HTTP port that takes connections
and says nothing either."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

SILENT, HANGING = "silent.test", "hanging.test"
"""Nothing is ever answered about names in the first; those in the second lead to the address of the port that
hangs."""

_HANGING_ADDRESS = "127.0.0.66"
_BACKLOG = 1024


@contextmanager
def hanging_port(port: int) -> Iterator[None]:
    """Take connections on _HANGING_ADDRESS, and never answer: the kernel accepts, nobody reads."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((_HANGING_ADDRESS, port))
        listening.listen(_BACKLOG)
        yield


class _Question(socketserver.BaseRequestHandler):
    """Answers, keeps silent, or asks the real server."""

    server: _Server

    def handle(self) -> None:
        wire, own = self.request
        query = dns.message.from_wire(wire)
        name = query.question[0].name.to_text(omit_final_dot=True).lower()
        if name.endswith(SILENT):
            return
        answer = _address(query) if name.endswith(HANGING) else self._ask(wire)
        if answer is not None:
            own.sendto(answer, self.client_address)

    def _ask(self, wire: bytes) -> bytes | None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking, contextlib.suppress(TimeoutError):
            asking.settimeout(2.0)
            asking.sendto(wire, ("127.0.0.1", self.server.upstream_port))
            return asking.recv(65_535)
        return None


class _Server(socketserver.ThreadingUDPServer):
    daemon_threads = True
    upstream_port = 0


@contextmanager
def forgetful_dns(upstream_port: int) -> Iterator[str]:
    """A DNS server (UDP) in front of the one on `upstream_port`; yields its host:port."""
    with _Server(("127.0.0.1", 0), _Question) as server:
        server.upstream_port = upstream_port
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _address(query: dns.message.Message) -> bytes:
    answer = dns.message.make_response(query, recursion_available=True)
    question = query.question[0]
    if question.rdtype == dns.rdatatype.A:
        answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", "A", _HANGING_ADDRESS))
    return answer.to_wire()
