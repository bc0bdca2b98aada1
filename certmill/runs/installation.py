"""One Redis, one installation: two of them would take each other's messages, and delete each other's runs as
those of no manifest."""

from __future__ import annotations

import threading
from collections.abc import Callable

from certmill.clock import Clock
from certmill.errors import CertmillError
from certmill.observe.log import get_logger
from certmill.state.installation import InstallationRecord, require_same

_ASK_AGAIN_SECONDS = 60.0

log = get_logger(__name__)


class Installation:
    """The id of this installation, and the check that Redis is its own. Safe from many threads."""

    def __init__(self, identity: Callable[[], str], record: InstallationRecord, clock: Clock) -> None:
        self._identity = identity
        self._record = record
        self._clock = clock
        self._guard = threading.Lock()
        self._own = ""
        self._asked_at: float | None = None

    def require(self) -> None:
        """Note that this installation uses Redis, if nobody does yet. Raises OtherInstallation,
        StateUnavailable.

        While the home does not tell the id (it is away, or a role lacks the right), nothing is checked, and a
        warning says so."""
        own = self.own()
        if own:
            require_same(own, self._record.claim(own))

    def own(self) -> str:
        """The id, or "" while the home does not tell it; a home that is away is asked once a minute."""
        with self._guard:
            now = self._clock.now()
            if not self._own and (self._asked_at is None or abs(now - self._asked_at) >= _ASK_AGAIN_SECONDS):
                self._asked_at = now
                try:
                    self._own = self._identity()
                except CertmillError as error:
                    log.warning(
                        "installation.unknown",
                        reason=str(error),
                        effect="it is not checked that this Redis is ours alone",
                    )
            return self._own
