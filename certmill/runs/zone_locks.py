"""Who may write to a DNS zone: in this process by a line of threads, in the fleet by a lock in Redis.

A lock is for one zone at one server or account, so a name server that is dead holds up nobody else's
challenges. No step stands in line for longer than 0.8 s: it ends as waiting, and its message gives the thread
back. A thread that is done hands the fleet's lock on to the next in line, for a while, instead of giving it
up and having it taken again.

Durations are measured by the monotonic clock: setting the wall clock neither lengthens nor shortens a lock.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from certmill.clock import Clock
from certmill.errors import Busy
from certmill.state.locks import Locks

LOCK = "zone"
SLOW_WRITE_SECONDS = 2.0
SLOW_ZONE_SECONDS = 60.0
LINGER_SECONDS = 0.8
"""The longest that a thread stands in line, for both locks together."""
_LOCK_SECONDS = 30.0
_HANDED_ON_SECONDS = 0.15
"""Shorter than another process lingers, or it would never find the lock free."""
_FIRST_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.003, 0.02

RenewLease = Callable[[], object]
"""Called before each request: goes on holding what the work is done under. It costs nothing until a third of
the time has gone by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZonePlace:
    """A zone at one server or account (`steps.solvers.account_of`)."""

    account: str
    zone: str


class _Line:
    """The threads of this process that want to write to one place. All fields but `users`, which the guard of
    all lines guards, are guarded by `changed`; times are monotonic."""

    def __init__(self) -> None:
        self.users = 0
        self.changed = threading.Condition()
        self.taken = False
        self.waiting = 0
        self.fleet_since: float | None = (
            None  # the fleet's lock is ours since then, handed on from thread to thread
        )
        self.held_at = 0.0
        self.gave_way = True
        self.slow_until: float | None = None

    def is_slow(self, clock: Clock) -> bool:
        """Whether a write took so long a short while ago that nobody stands in line with a thread in hand."""
        return self.slow_until is not None and clock.monotonic() < self.slow_until


class ZoneLocks:
    """The lines of this process, and its name as owner of the fleet's locks."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._lines: dict[ZonePlace, _Line] = {}
        self._owner = uuid.uuid4().hex

    def __len__(self) -> int:
        """How many lines there are."""
        return len(self._lines)

    @contextmanager
    def turn(
        self, place: ZonePlace, locks: Locks, clock: Clock, *, lease_seconds: float, hold: RenewLease
    ) -> Iterator[RenewLease]:
        """Writes to one place happen one after the other. Raises Busy after 0.8 s.

        Yields what goes on holding both the caller's lease and the lock; it raises Busy if the lock is
        somebody else's now. A killed worker's lock is not to outlive its step (`lease_seconds`)."""
        with (
            self._in_line(place, clock) as line,
            self._turn(line, place, locks, clock, lease_seconds=lease_seconds, hold=hold) as renew_both,
        ):
            yield renew_both

    @contextmanager
    def _turn(
        self,
        line: _Line,
        place: ZonePlace,
        locks: Locks,
        clock: Clock,
        *,
        lease_seconds: float,
        hold: RenewLease,
    ) -> Iterator[RenewLease]:
        slow, seconds = line.is_slow(clock), min(_LOCK_SECONDS, lease_seconds)
        linger = 0.0 if slow else LINGER_SECONDS
        ends = clock.monotonic() + linger
        if not _step_up(line, patience=linger):
            # A slow zone's writers come back later and later; the others soon.
            raise Busy(
                f"many challenges are being written to the zone {place.zone}",
                retry_after=None if slow else 1.0,
            )
        try:
            self._take(line, place, locks, clock, seconds=seconds, ends=ends)
            began = clock.monotonic()

            def renew_both() -> None:
                hold()
                if clock.monotonic() - line.held_at > seconds / 3:
                    self._take(line, place, locks, clock, seconds=seconds, ends=None)

            try:
                yield renew_both
            finally:
                if clock.monotonic() - began > SLOW_WRITE_SECONDS:
                    line.slow_until = clock.monotonic() + SLOW_ZONE_SECONDS
        finally:
            self._step_down(line, place, locks, clock)

    @contextmanager
    def _in_line(self, place: ZonePlace, clock: Clock) -> Iterator[_Line]:
        """The line of a place, which is there as long as somebody is in it, or knows that the place is slow.
        Places come from the names in anybody's Certificates: none is to stay for ever."""
        with self._guard:
            line = self._lines.setdefault(place, _Line())
            line.users += 1
        try:
            yield line
        finally:
            with self._guard:
                line.users -= 1
                for idle in [
                    at for at, other in self._lines.items() if not other.users and not other.is_slow(clock)
                ]:
                    del self._lines[idle]

    def _take(
        self, line: _Line, place: ZonePlace, locks: Locks, clock: Clock, *, seconds: float, ends: float | None
    ) -> None:
        """Have the fleet's lock: the one that was handed on, or taken (renewed) now; tried until `ends`, or
        once."""
        now = clock.monotonic()
        if line.fleet_since is not None and now - line.held_at <= seconds / 3:
            return
        if line.fleet_since is None and not line.gave_way:
            line.gave_way = True
            clock.pause(1.5 * _LONGEST_POLL_SECONDS)  # another process may have waited all the while
        pause = _FIRST_POLL_SECONDS
        while locks.take(LOCK, place.account, place.zone, owner=self._owner, seconds=seconds):
            if ends is None or clock.monotonic() + pause >= ends:
                line.fleet_since = None
                soon = ends is not None and not line.is_slow(clock)
                raise Busy(
                    f"another worker is writing to the zone {place.zone}", retry_after=1.0 if soon else None
                )
            clock.pause(pause)
            pause = min(1.5 * pause, _LONGEST_POLL_SECONDS)
        line.held_at = clock.monotonic()
        line.fleet_since = line.held_at if line.fleet_since is None else line.fleet_since

    def _step_down(self, line: _Line, place: ZonePlace, locks: Locks, clock: Clock) -> None:
        """Hand the fleet's lock on if somebody waits for it in here, else give it up; then let the next one
        step up."""
        with line.changed:
            since = line.fleet_since
            if line.waiting > 0 and since is not None and clock.monotonic() - since < _HANDED_ON_SECONDS:
                line.taken = False  # in the same moment: who waits now cannot have given up
                line.changed.notify()
                return
            line.fleet_since, line.gave_way = None, line.waiting == 0
        try:
            if since is not None:
                locks.release(LOCK, place.account, place.zone, owner=self._owner)
        finally:
            with line.changed:
                line.taken = False
                line.changed.notify()


def _step_up(line: _Line, *, patience: float) -> bool:
    """Stand in line until it is our turn; False after `patience` seconds. Who waits when the lock is handed
    on gets its turn."""
    with line.changed:
        line.waiting += 1
        try:
            if not line.changed.wait_for(lambda: not line.taken, timeout=patience):
                return False
            line.taken = True
            return True
        finally:
            line.waiting -= 1
