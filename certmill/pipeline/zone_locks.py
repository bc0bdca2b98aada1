"""Whose turn it is to write to a DNS zone: in this process by a line of threads, in the fleet by a lock in Redis.

A thread that is done hands the fleet's lock on to the next in line, for a while, instead of giving it up and having it taken again.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from certmill.clock import Clock
from certmill.errors import Busy
from certmill.state.locks import Locks

LOCK = "zone"
SLOW_WRITE_SECONDS = 2.0
SLOW_ZONE_SECONDS = 60.0
_LOCK_SECONDS = 30.0
_PATIENCE_SECONDS = 5.0
_FLEET_PATIENCE_SECONDS = 3.0
_HANDED_ON_SECONDS = 0.25
_FIRST_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.003, 0.02

HoldOn = Callable[[], object]
"""Called before each request: goes on holding what the work is done under. It costs nothing until a third of the time has gone by."""


class _Line:
    """The threads of this process that want to write to one zone. All fields are guarded by `changed`."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.taken = False
        self.waiting = 0
        self.fleet_since: float | None = None  # the fleet's lock is ours since then, handed on from thread to thread
        self.held_at = 0.0
        self.gave_way = True
        self.slow_until = 0.0


class ZoneLocks:
    """The lines of this process, and its name as owner of the fleet's locks."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._lines: dict[str, _Line] = {}
        self._owner = uuid.uuid4().hex

    @contextmanager
    def turn(self, zone: str, locks: Locks, clock: Clock, *, lease_seconds: float, hold: HoldOn) -> Iterator[HoldOn]:
        """Writes to one zone happen one after the other. Raises Busy after a short wait.

        Yields what goes on holding both the caller's lease and the lock; it raises Busy if the lock is somebody else's now. A killed
        worker's lock is not to outlive its step (`lease_seconds`).
        """
        line, seconds = self._line(zone), min(_LOCK_SECONDS, lease_seconds)
        slow = line.slow_until > clock.now()
        if not _step_up(line, patience=0.0 if slow else _PATIENCE_SECONDS):
            # A slow zone's writers come back later and later; the others soon.
            raise Busy(f"many challenges are being written to the zone {zone}", retry_after=None if slow else 1.0)
        try:
            self._take(line, zone, locks, clock, seconds=seconds, patient=not slow)
            began = clock.now()

            def hold_both() -> None:
                hold()
                if clock.now() - line.held_at > seconds / 3:
                    self._take(line, zone, locks, clock, seconds=seconds, patient=False)

            try:
                yield hold_both
            finally:
                if clock.now() - began > SLOW_WRITE_SECONDS:  # then nobody stands in line for this zone with a thread in hand
                    line.slow_until = clock.now() + SLOW_ZONE_SECONDS
        finally:
            self._step_down(line, zone, locks, clock)

    def _line(self, zone: str) -> _Line:
        with self._guard:
            return self._lines.setdefault(zone, _Line())

    def _take(self, line: _Line, zone: str, locks: Locks, clock: Clock, *, seconds: float, patient: bool) -> None:
        """Have the fleet's lock: the one that was handed on, or taken (renewed) now."""
        now = clock.now()
        if line.fleet_since is not None and now - line.held_at <= seconds / 3:
            return
        if line.fleet_since is None and not line.gave_way:
            line.gave_way = True
            clock.pause(1.5 * _LONGEST_POLL_SECONDS)  # another process may have waited all the while
        ends, pause = now + _FLEET_PATIENCE_SECONDS, _FIRST_POLL_SECONDS
        while locks.take(LOCK, zone, owner=self._owner, seconds=seconds):
            if not patient or clock.now() >= ends:
                line.fleet_since = None
                raise Busy(f"another worker is writing to the zone {zone}", retry_after=1.0 if patient else None)
            clock.pause(pause)
            pause = min(1.5 * pause, _LONGEST_POLL_SECONDS)
        line.held_at = clock.now()
        line.fleet_since = line.held_at if line.fleet_since is None else line.fleet_since

    def _step_down(self, line: _Line, zone: str, locks: Locks, clock: Clock) -> None:
        """Hand the fleet's lock on if somebody waits for it in here, else give it up; then let the next one step up."""
        with line.changed:
            since = line.fleet_since
            if line.waiting > 0 and since is not None and 0 <= clock.now() - since < _HANDED_ON_SECONDS:
                line.taken = False  # in the same moment: who waits now cannot have given up
                line.changed.notify()
                return
            line.fleet_since, line.gave_way = None, line.waiting == 0
        try:
            if since is not None:
                locks.release(LOCK, zone, owner=self._owner)
        finally:
            with line.changed:
                line.taken = False
                line.changed.notify()


def _step_up(line: _Line, *, patience: float) -> bool:
    """Stand in line until it is our turn; False after `patience` seconds. Who waits when the lock is handed on gets its turn."""
    with line.changed:
        line.waiting += 1
        try:
            if not line.changed.wait_for(lambda: not line.taken, timeout=patience):
                return False
            line.taken = True
            return True
        finally:
            line.waiting -= 1
