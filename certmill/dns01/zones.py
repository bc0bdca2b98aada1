"""Finds the zone that holds a name: walks upwards from the name until it finds an SOA record, and follows
CNAMEs."""

from __future__ import annotations

import threading

import dns.message
import dns.name
import dns.rdatatype
from cachetools import TTLCache
from dns.rdtypes.ANY.CNAME import CNAME

from certmill.clock import Clock
from certmill.dns01.resolver import Resolver, records
from certmill.errors import NameRefused, SolverMisconfigured

_CACHED_SECONDS = 60.0
_MAX_CACHED = 10_000
_MAX_CNAMES = 8


class Zones:
    """Zone cuts, cached for a minute in this process. Safe for many threads."""

    def __init__(self, resolver: Resolver, clock: Clock) -> None:
        self._resolver = resolver
        self._known: TTLCache[str, bool] = TTLCache(_MAX_CACHED, _CACHED_SECONDS, clock.monotonic)
        self._guard = threading.Lock()

    def zone_of(self, name: str, *, within_seconds: float | None = None) -> str:
        """Return the zone that holds `name`, without a final dot. `within_seconds` is for each look-up.

        Raises DnsUnavailable, NameRefused, or SolverMisconfigured if there is no zone.
        """
        labels = _canonical(name).split(".")
        for start in range(len(labels)):
            candidate = ".".join(labels[start:])
            if self._is_zone(candidate, within_seconds):
                return candidate
        raise SolverMisconfigured(
            f"no zone was found for {name}: check that its domain is delegated and our resolvers know it"
        )

    def follow_cnames(self, name: str, *, within_seconds: float | None = None) -> str:
        """Return the name at the end of the CNAMEs of `name`; `name` itself if it has none. `within_seconds`
        is for each look-up.

        Raises DnsUnavailable, or NameRefused for a loop or a long chain.
        """
        seen = [_canonical(name)]
        while len(seen) <= _MAX_CNAMES:
            target = self._cname(seen[-1], within_seconds)
            if target is None:
                return seen[-1]
            if target in seen:
                raise NameRefused(f"the CNAMEs of {name} lead back to {target}; break the loop")
            seen.append(target)
        raise NameRefused(f"{name} has more than {_MAX_CNAMES} CNAMEs one after the other; shorten the chain")

    def _is_zone(self, name: str, within_seconds: float | None) -> bool:
        """Whether there is an SOA record at exactly this name."""
        with self._guard:
            known = self._known.get(name)
        if known is not None:
            return known
        answer = self._resolver.ask(name, "SOA", within_seconds=within_seconds)
        found = bool(records(answer, "SOA", at=name))
        learned = {name: found} | dict.fromkeys(_not_zones(answer, name), False)
        with self._guard:
            self._known.update(learned)
        return found

    def _cname(self, name: str, within_seconds: float | None) -> str | None:
        answer = self._resolver.ask(name, "CNAME", within_seconds=within_seconds)
        targets = [record.target for record in records(answer, "CNAME", at=name) if isinstance(record, CNAME)]
        return _text(targets[0]) if targets else None


def _not_zones(answer: dns.message.Message, name: str) -> list[str]:
    """Return the names above `name` that are not zones, as a negative answer shows: those below the zone of
    its SOA.

    RFC 2308 section 3: "Name servers authoritative for a zone MUST include the SOA record of the zone in the
    authority section of the response when reporting an NXDOMAIN or indicating that no data of the requested
    type exists." After a CNAME this SOA is that of the target's zone (section 2.1), so it shows nothing here.
    """
    if answer.answer:
        return []
    zone = next((_text(rrset.name) for rrset in answer.authority if rrset.rdtype == dns.rdatatype.SOA), "")
    if not zone or not name.endswith(f".{zone}"):
        return []
    labels = name.removesuffix(f".{zone}").split(".")
    return [".".join([*labels[start:], zone]) for start in range(1, len(labels))]


def _canonical(name: str) -> str:
    return name.rstrip(".").lower()


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()
