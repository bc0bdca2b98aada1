"""A name server in front of BIND that misbehaves for chosen names, and adds an NS record after every SOA."""

from __future__ import annotations

from dataclasses import dataclass

import dns.message
import dns.rdatatype

from certmill.testing.nameserver import Behaviour, FakeNameserver


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """The misbehaviour for all queries, or only for TXT queries, of a name."""

    behaviour: Behaviour
    txt_only: bool = False


class MoodyNameserver(FakeNameserver):
    """`troubles`: the misbehaviour, by a label of the queried name. It can be changed while the server
    runs."""

    def __init__(self) -> None:
        super().__init__(behaviour=Behaviour.NS_FIRST, slow_seconds=1.2)
        self.troubles: dict[str, Trouble] = {}

    def answer(self, wire: bytes, *, udp: bool) -> bytes | None:
        """Answer as a server with this misbehaviour."""
        question = dns.message.from_wire(wire).question[0]
        self.asked.append(
            (question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype))
        )
        labels = question.name.to_text().lower().split(".")
        trouble = next((trouble for label, trouble in self.troubles.items() if label in labels), None)
        spared = trouble is None or (trouble.txt_only and question.rdtype != dns.rdatatype.TXT)
        behaviour = self.behaviour if spared or trouble is None else trouble.behaviour
        server = FakeNameserver(
            behaviour=behaviour, forward_to=self.forward_to, slow_seconds=self.slow_seconds
        )
        return server.answer(wire, udp=udp)

    def heal(self, *labels: str) -> None:
        """Answer these names correctly from now on."""
        for label in labels:
            self.troubles.pop(label, None)
