"""A name server in front of a real one, which misbehaves for names of one's choice: a name meets the fault whose word is one of its
labels."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset


class FaultyNameserver:
    """UDP and TCP on one free port of loopback. `faults`: label → "servfail", "silent", "slow" or "ns-first"; "txt-" before it: TXT
    questions only."""

    def __init__(self) -> None:
        self.faults: dict[str, str] = {}
        self.asked: list[tuple[str, str]] = []
        self.slow_seconds = 1.2
        self._upstream = ("127.0.0.1", 0)
        self._tcp = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(self._tcp.getsockname())
        self.port: int = self._tcp.getsockname()[1]
        for listen in (self._listen_udp, self._listen_tcp):
            threading.Thread(target=listen, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def ask(self, address: str) -> None:
        """Answer as the server at `address` (host:port) does."""
        host, _, port = address.rpartition(":")
        self._upstream = (host, int(port))

    def heal(self, *labels: str) -> None:
        """Be good to these names again."""
        for label in labels:
            self.faults.pop(label, None)

    def close(self) -> None:
        for listener in (self._udp, self._tcp):
            listener.shutdown(socket.SHUT_RDWR) if listener is self._tcp else None
            listener.close()

    def _listen_udp(self) -> None:
        while True:
            try:
                wire, client = self._udp.recvfrom(4096)
            except OSError:
                return
            threading.Thread(target=self._answer_udp, args=(wire, client), daemon=True).start()

    def _answer_udp(self, wire: bytes, client: object) -> None:
        answer = self._answer(wire)
        if answer is not None:
            self._udp.sendto(answer, client)  # type: ignore[arg-type]

    def _listen_tcp(self) -> None:
        while True:
            try:
                connection, _ = self._tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._answer_tcp, args=(connection,), daemon=True).start()

    def _answer_tcp(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(5)
            try:
                size = int.from_bytes(connection.recv(2, socket.MSG_WAITALL))
                answer = self._answer(connection.recv(size, socket.MSG_WAITALL)) if size else None
                if answer is not None:
                    connection.sendall(len(answer).to_bytes(2) + answer)
            except OSError:
                return

    def _answer(self, wire: bytes) -> bytes | None:
        query = dns.message.from_wire(wire)
        question = query.question[0]
        labels = question.name.to_text().lower().split(".")
        self.asked.append((question.name.to_text(), dns.rdatatype.to_text(question.rdtype)))
        fault = next((fault for label, fault in self.faults.items() if label in labels), "")
        if fault.startswith("txt-"):
            fault = fault.removeprefix("txt-") if question.rdtype == dns.rdatatype.TXT else ""
        match fault:
            case "silent":
                return None
            case "servfail":
                refused = dns.message.make_response(query)
                refused.set_rcode(dns.rcode.SERVFAIL)
                return refused.to_wire()
            case "slow":
                time.sleep(self.slow_seconds)
        answer = dns.query.udp(query, self._upstream[0], port=self._upstream[1], timeout=3, ignore_unexpected=True)
        if fault == "ns-first":
            answer.authority = _with_ns_first(answer.authority)
            answer.answer = _with_ns_first(answer.answer) if question.rdtype == dns.rdatatype.SOA else answer.answer
        return answer.to_wire(max_size=65_535)


def _with_ns_first(section: Iterable[dns.rrset.RRset]) -> list[dns.rrset.RRset]:
    """An NS record before the SOA, in whichever section has it; GHSA-gx3x-vq4p-mhhv ended cert-manager that way."""
    ordered: list[dns.rrset.RRset] = []
    for rrset in section:
        if rrset.rdtype == dns.rdatatype.SOA:
            ordered.append(dns.rrset.from_text(rrset.name, 60, "IN", "NS", f"ns1.{rrset.name}"))
        ordered.append(rrset)
    return ordered
