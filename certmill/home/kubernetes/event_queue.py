"""A bounded queue of events with one writer thread: a step does not wait for the request that writes one.
The events of one object are written in the order in which they were recorded.

An event is best effort. A process that is killed loses the events in its queue. A full queue drops its oldest
event: a step must not wait for an API server that is slow, and the newest events tell the current state.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from certmill.observe.log import get_logger

MOST: Final = 1_000
"""An event takes about 2 kB in memory."""
CLOSE_SECONDS: Final = 5.0
_ADVICE: Final = "the status of each Certificate has the current state; check that the API server answers"

log = get_logger(__name__)


class EventQueue:
    """Calls that each write one event. Safe from many threads. The writer thread starts with the first
    call."""

    def __init__(self, *, most: int = MOST) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._most = most
        self._dropped = 0
        self._closed = False
        self._changed = threading.Condition()
        self._writer: threading.Thread | None = None

    def put(self, write: Callable[[], None]) -> None:
        """Call `write` soon, after all earlier calls. It must log its own errors."""
        with self._changed:
            if len(self._waiting) >= self._most:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(write)
            if self._writer is None:
                self._start()
            self._changed.notify()

    def close(self, *, seconds: float = CLOSE_SECONDS) -> None:
        """Return when every event is written, or after `seconds`; then the number of events that are left is
        logged."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            writer = self._writer
        if writer is None:
            return
        writer.join(seconds)
        if left := len(self._waiting) + writer.is_alive():
            log.warning(
                "events.not_written",
                count=left,
                problem=f"the process stops, and the API server has not taken its events in {seconds:g} s",
                advice=_ADVICE,
            )

    def _start(self) -> None:
        self._writer = threading.Thread(target=self._write_all, name="events", daemon=True)
        self._writer.start()

    def _write_all(self) -> None:
        try:
            while (write := self._next()) is not None:
                write()
        finally:  # after an unforeseen error another thread continues
            with self._changed:
                self._writer = None
                if self._waiting:
                    self._start()

    def _next(self) -> Callable[[], None] | None:
        """Wait for the next call and return it. None: the queue is closed and empty."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            dropped, self._dropped = self._dropped, 0
            write = self._waiting.popleft() if self._waiting else None
        if dropped:
            log.warning(
                "events.dropped",
                count=dropped,
                problem=f"more than {self._most} events waited for the API server; the oldest are lost",
                advice=_ADVICE,
            )
        return write
