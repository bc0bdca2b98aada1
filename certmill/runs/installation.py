"""Checks that only one installation uses a Redis. Two installations would consume each other's messages, and
would delete each other's runs because they have no manifests for them."""

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
    """The id of this installation, and the check that no other installation uses its Redis. Can be used by
    many threads."""

    def __init__(self, identity: Callable[[], str], record: InstallationRecord, clock: Clock) -> None:
        self._identity = identity
        self._record = record
        self._clock = clock
        self._guard = threading.Lock()
        self._own = ""
        self._asked_at: float | None = None

    def require(self) -> None:
        """Write this installation's id to Redis if there is none, otherwise compare it. Raises
        OtherInstallation, StateUnavailable.

        If the home does not give the id (it is not available, or a role has no permission), nothing is
        checked and a warning is logged."""
        own = self.own()
        if own:
            require_same(own, self._record.claim(own))

    def own(self) -> str:
        """The id, or "" if the home does not give it. The home is then asked once a minute."""
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
                        effect="it is not checked whether another installation uses this Redis",
                    )
            return self._own
