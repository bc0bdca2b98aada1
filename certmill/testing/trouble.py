"""The faults of the CA in memory (`testing.memory_ca`), which a test sets."""

from __future__ import annotations

from collections.abc import Callable

from certmill.acme.ari import RenewalInfo
from certmill.acme.problems import Problem
from certmill.errors import CertmillError


class Trouble:
    """The faults of a CA in memory. When a fault is reset, requests that waited for it are completed."""

    def __init__(self) -> None:
        self.validation = False
        """Answered challenges stay pending."""
        self.issuance = False
        """Finalized orders stay processing."""
        self.down: CertmillError | None = None
        """The next requests for an authorization raise this error."""
        self.before_next_authorization: Callable[[], None] | None = None
        """Called once, at the next request for an authorization."""
        self.other_key = False
        """Certificates are issued for a key that is in no CSR."""
        self.other_names: tuple[str, ...] = ()
        """Certificates are issued for these DNS names instead of the requested ones."""
        self.problem = Problem(type="unauthorized", detail="not what was expected", status=403)
        """The problem of challenges that cannot be validated."""
        self.lifetime_seconds = 90 * 86_400.0
        """How long certificates are valid."""
        self.valid_in_seconds = 0.0
        """How long after their issue certificates become valid."""
        self.renewal_info: RenewalInfo | CertmillError | None = None
        """The renewal information of every certificate, or the error of each request for it. None: the
        directory has none."""
