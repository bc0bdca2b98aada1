"""Locks that allow one writer at a time per DNS zone: a queue of threads in this process, and a lock in Redis
for all workers (the fleet's lock).

A lock is for one zone at one server or account, so a dead name server does not delay challenges of other
zones. A step waits in the queue for at most 0.8 s. Then it ends as waiting, and the thread is free. A thread
that has finished passes the fleet's lock to the next thread in the queue, for a limited time. This saves a
release and a new acquisition.

Durations use the monotonic clock, so a change of the wall clock does not change the length of a lock.
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
"""The longest time that a thread waits in the queue, for both locks together."""
_LOCK_SECONDS = 30.0
_HANDED_ON_SECONDS = 0.15
"""Shorter than LINGER_SECONDS. Otherwise another process would never find the lock free."""
_FIRST_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.003, 0.02

RenewLease = Callable[[], object]
"""Called before each request: renews the lease under which the work is done. It sends no request until a
third of the lease has passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZonePlace:
    """A zone at one server or account (`Dns01Config.account`)."""

    account: str
    zone: str


class _Line:
    """The queue of threads of this process that want to write to one place.

    `ZoneLocks._guard` protects `users`; `changed` protects all other fields. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.users = 0
        self.changed = threading.Condition()
        self.taken = False
        self.waiting = 0
        self.fleet_since: float | None = (
            None  # since when this process owns the fleet's lock; threads pass it on
        )
        self.held_at = 0.0
        self.gave_way = True
        self.slow_until: float | None = None

    def is_slow(self, clock: Clock) -> bool:
        """Whether a recent write was so slow that threads must not wait in the queue."""
        return self.slow_until is not None and clock.monotonic() < self.slow_until


class ZoneLocks:
    """The queues of this process, and its owner name for the fleet's locks."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._lines: dict[ZonePlace, _Line] = {}
        self._owner = uuid.uuid4().hex

    def __len__(self) -> int:
        """The number of queues."""
        return len(self._lines)

    @contextmanager
    def turn(
        self, place: ZonePlace, locks: Locks, clock: Clock, *, lease_seconds: float, renew_lease: RenewLease
    ) -> Iterator[RenewLease]:
        """Allow one write at a time to a place. Raises Busy if the wait exceeds 0.8 s.

        Yields a function that renews both the caller's lease and the lock. The function raises Busy if
        another process owns the lock now. The lock lasts at most `lease_seconds`, so the lock of a killed
        worker does not outlive its step."""
        with (
            self._in_line(place, clock) as line,
            self._turn(
                line, place, locks, clock, lease_seconds=lease_seconds, renew_lease=renew_lease
            ) as renew_both,
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
        renew_lease: RenewLease,
    ) -> Iterator[RenewLease]:
        slow, seconds = line.is_slow(clock), min(_LOCK_SECONDS, lease_seconds)
        linger = 0.0 if slow else LINGER_SECONDS
        ends = clock.monotonic() + linger
        if not _step_up(line, patience=linger):
            # Writers of a slow zone retry after growing delays; other writers retry soon.
            raise Busy(
                f"many challenges are being written to the zone {place.zone}",
                retry_after=None if slow else 1.0,
            )
        try:
            self._take(line, place, locks, clock, seconds=seconds, ends=ends)
            began = clock.monotonic()

            def renew_both() -> None:
                renew_lease()
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
        """The queue of a place. It exists while a thread uses it or while the place is marked as slow.

        Places come from names in users' Certificates, so unused queues are deleted to bound memory."""
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
        """Own the fleet's lock: use the lock that was passed on, or acquire or renew it now.

        Tries until `ends` (monotonic seconds); tries once if `ends` is None. Raises Busy."""
        now = clock.monotonic()
        if line.fleet_since is not None and now - line.held_at <= seconds / 3:
            return
        if line.fleet_since is None and not line.gave_way:
            line.gave_way = True
            clock.pause(1.5 * _LONGEST_POLL_SECONDS)  # give a waiting process a chance
        pause = _FIRST_POLL_SECONDS
        while not locks.acquire(LOCK, place.account, place.zone, owner=self._owner, seconds=seconds):
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
        """Pass the fleet's lock on if another thread of this process waits for it, otherwise release it. Then
        wake the next thread."""
        with line.changed:
            since = line.fleet_since
            if line.waiting > 0 and since is not None and clock.monotonic() - since < _HANDED_ON_SECONDS:
                line.taken = False  # under the same guard, so a waiting thread cannot time out first
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
    """Wait in the queue until this thread may write. Returns False after `patience` seconds.

    A thread that waits when the lock is passed on gets it."""
    with line.changed:
        line.waiting += 1
        try:
            if not line.changed.wait_for(lambda: not line.taken, timeout=patience):
                return False
            line.taken = True
            return True
        finally:
            line.waiting -= 1
