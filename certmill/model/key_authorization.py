"""Defines what the responder answers for a token (RFC 8555 §8.3), and for which hosts."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAuthorization:
    """A key authorization and the hosts that it is for: DNS names as lower-case A-labels, IP addresses in
    canonical form."""

    text: str = field(repr=False)
    hosts: frozenset[str] = frozenset()
    """Empty: it was written by a release that does not store hosts. It is then served for every host until
    its challenge ends."""

    def is_for(self, host: str) -> bool:
        """Whether it is served for a request to `host` (canonical form; "" if the request named no host)."""
        return not self.hosts or host in self.hosts
