"""Keeps the requests of this process within the request rates of a CA (budgets.request_rates): a request
waits for less than a second, or is put off (Busy).

The rates of a CA are for one IP address. Each worker process counts its own requests."""

from __future__ import annotations

import threading
from typing import Final

from cachetools import LRUCache

from certmill.acme.actions import Action
from certmill.budgets.request_rates import RequestRate, rates_of
from certmill.clock import Clock, SystemClock
from certmill.errors import Busy

_LONGEST_PAUSE_SECONDS: Final = 0.9
_MAX_CAS: Final = 256


class RequestRates:
    """The rates of one CA. Thread-safe."""

    def __init__(self, server: str, *, clock: Clock | None = None) -> None:
        self._rates = rates_of(server)
        self._clock = clock or SystemClock()
        self._guard = threading.Lock()
        self._full_at: dict[str, float] = {}

    def admit(self, action: Action) -> None:
        """Wait until the request may be sent. Raises Busy if that takes too long for a thread to wait."""
        rate = self._rates.get(action, self._rates.get(""))
        if rate is None:
            return
        kind = action if action in self._rates else ""
        with self._guard:
            pause = self._pause(kind, rate)
        if pause > _LONGEST_PAUSE_SECONDS:
            raise Busy("waits for its turn: the CA limits the requests in a second", retry_after=pause)
        if pause > 0:
            self._clock.pause(pause)

    def _pause(self, kind: str, rate: RequestRate) -> float:
        """Seconds until the request may be sent; it is counted, unless a thread may not wait so long. The
        bucket is a GCRA, like those in Redis."""
        now = self._clock.monotonic()
        full_at = max(now, self._full_at.get(kind, 0.0))
        pause = full_at - (rate.burst - 1) / rate.per_second - now
        if pause <= _LONGEST_PAUSE_SECONDS:
            self._full_at[kind] = full_at + 1 / rate.per_second
        return pause


class RequestRatesOfCas:
    """The RequestRates of each directory URL. Make one per process."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._of: LRUCache[str, RequestRates] = LRUCache(_MAX_CAS)

    def of(self, server: str) -> RequestRates:
        """The rates of a CA; they are created at the first call."""
        with self._guard:
            return self._of.setdefault(server, RequestRates(server))
