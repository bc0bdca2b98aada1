"""What the responder answers for a token (RFC 8555 §8.3), and for which hosts."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAuthorization:
    """A key authorization, and the hosts that it is for: DNS names as A-labels in lower case, IP addresses in
    canonical form."""

    text: str = field(repr=False)
    hosts: frozenset[str] = frozenset()
    """None: a release that does not note hosts put it there. It is answered for every host until its
    challenge is over."""

    def is_for(self, host: str) -> bool:
        """Whether a request for `host` (canonical, "" if it named none) may have it."""
        return not self.hosts or host in self.hosts
