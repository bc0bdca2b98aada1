"""Which zone holds a name: our own walk for an SOA, from the name upwards, and CNAMEs followed."""

from __future__ import annotations

import threading

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from certmill.clock import Clock
from certmill.dns01.resolver import Resolver
from certmill.errors import NameRefused, SolverMisconfigured

_KEPT_SECONDS = 60.0
_MAX_KEPT = 10_000
_MAX_CNAMES = 8


class Zones:
    """Zone cuts, remembered for a minute in this process. Safe for many threads."""

    def __init__(self, resolver: Resolver, clock: Clock) -> None:
        self._resolver = resolver
        self._clock = clock
        self._known: dict[str, tuple[float, bool]] = {}
        self._guard = threading.Lock()

    def zone_of(self, name: str) -> str:
        """The zone that holds `name`, without a final dot. Raises DnsUnavailable, or SolverMisconfigured if there is none."""
        labels = name.rstrip(".").lower().split(".")
        for start in range(len(labels)):
            candidate = ".".join(labels[start:])
            if self._is_zone(candidate):
                return candidate
        raise SolverMisconfigured(f"no zone was found for {name}: see that its domain is delegated, and that our resolvers know it")

    def follow_cnames(self, name: str) -> str:
        """The name at the end of the CNAMEs of `name`; itself if it has none. Raises NameRefused for a loop or a long chain."""
        seen = [name.rstrip(".").lower()]
        while len(seen) <= _MAX_CNAMES:
            target = self._cname(seen[-1])
            if not target:
                return seen[-1]
            if target in seen:
                raise NameRefused(f"the CNAMEs of {name} lead back to {target}; break the loop")
            seen.append(target)
        raise NameRefused(f"{name} has more than {_MAX_CNAMES} CNAMEs one after the other; shorten the chain")

    def _is_zone(self, name: str) -> bool:
        """Whether an SOA stands at exactly this name. It may be anywhere in the answer (a server may send NS records first)."""
        now = self._clock.now()
        with self._guard:
            known = self._known.get(name)
        if known is not None and known[0] > now:
            return known[1]
        answer = self._resolver.ask(name, "SOA")
        found = any(r.rdtype == dns.rdatatype.SOA and r.name == dns.name.from_text(name) for r in answer.answer)
        with self._guard:
            if len(self._known) >= _MAX_KEPT:
                self._known.clear()
            self._known[name] = (now + _KEPT_SECONDS, found)
        return found

    def _cname(self, name: str) -> str:
        answer = self._resolver.ask(name, "CNAME")
        at = dns.name.from_text(name)
        targets = [record.target for r in answer.answer if r.rdtype == dns.rdatatype.CNAME and r.name == at for record in r]
        return targets[0].to_text(omit_final_dot=True).lower() if targets else ""
