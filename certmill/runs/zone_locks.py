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
LONGEST_WAIT_SECONDS = 0.8
"""The longest time that a thread waits in the queue, for both locks together."""
_LOCK_SECONDS = 30.0
_LONGEST_OWNED_SECONDS = 0.15
"""The longest time that the threads of a process pass the fleet's lock on. It is shorter than
LONGEST_WAIT_SECONDS, otherwise another process would never find the lock free."""
_FIRST_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.003, 0.02

RenewLease = Callable[[], object]
"""Called before each request: renews the lease under which the work is done. It sends no request until a
third of the lease has passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZonePlace:
    """A zone at one server or account (`Dns01Config.account`)."""

    account: str
    zone: str


class _Queue:
    """The queue of threads of this process that want to write to one place.

    `ZoneLocks._guard` protects `users`; `changed` protects all other fields. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.users = 0
        self.changed = threading.Condition()
        self.is_in_use = False
        self.waiting = 0
        self.owned_since: float | None = None
        """Since when this process owns the fleet's lock. Its threads pass the lock on to each other."""
        self.renewed_at = 0.0
        self.others_had_a_chance = True
        """Whether another process could take the fleet's lock since this one released it."""
        self.slow_until: float | None = None

    def is_slow(self, clock: Clock) -> bool:
        """Whether a recent write was so slow that threads must not wait in the queue."""
        return self.slow_until is not None and clock.monotonic() < self.slow_until


class ZoneLocks:
    """The queues of this process, and its owner name for the fleet's locks."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._queues: dict[ZonePlace, _Queue] = {}
        self._owner = uuid.uuid4().hex

    def __len__(self) -> int:
        """The number of queues."""
        return len(self._queues)

    @contextmanager
    def turn(
        self, place: ZonePlace, locks: Locks, clock: Clock, *, lease_seconds: float, renew_lease: RenewLease
    ) -> Iterator[RenewLease]:
        """Allow one write at a time to a place. Raises Busy if the wait exceeds 0.8 s.

        Yields a function that renews both the caller's lease and the lock. The function raises Busy if
        another process owns the lock now. The lock lasts at most `lease_seconds`, so the lock of a killed
        worker does not outlive its step."""
        with (
            self._queue_of(place, clock) as queue,
            self._turn(
                queue, place, locks, clock, lease_seconds=lease_seconds, renew_lease=renew_lease
            ) as renew_both,
        ):
            yield renew_both

    @contextmanager
    def _turn(
        self,
        queue: _Queue,
        place: ZonePlace,
        locks: Locks,
        clock: Clock,
        *,
        lease_seconds: float,
        renew_lease: RenewLease,
    ) -> Iterator[RenewLease]:
        slow, seconds = queue.is_slow(clock), min(_LOCK_SECONDS, lease_seconds)
        seconds_to_wait = 0.0 if slow else LONGEST_WAIT_SECONDS
        ends = clock.monotonic() + seconds_to_wait
        if not _enter(queue, seconds=seconds_to_wait):
            # Writers of a slow zone retry after growing delays; other writers retry soon.
            raise Busy(
                f"many challenges are being written to the zone {place.zone}",
                retry_after=None if slow else 1.0,
            )
        try:
            self._take(queue, place, locks, clock, seconds=seconds, ends=ends)
            began = clock.monotonic()

            def renew_both() -> None:
                renew_lease()
                if clock.monotonic() - queue.renewed_at > seconds / 3:
                    self._take(queue, place, locks, clock, seconds=seconds, ends=None)

            try:
                yield renew_both
            finally:
                if clock.monotonic() - began > SLOW_WRITE_SECONDS:
                    queue.slow_until = clock.monotonic() + SLOW_ZONE_SECONDS
        finally:
            self._leave(queue, place, locks, clock)

    @contextmanager
    def _queue_of(self, place: ZonePlace, clock: Clock) -> Iterator[_Queue]:
        """The queue of a place. It exists while a thread uses it or while the place is marked as slow.

        Places come from names in users' Certificates, so unused queues are deleted to bound memory."""
        with self._guard:
            queue = self._queues.setdefault(place, _Queue())
            queue.users += 1
        try:
            yield queue
        finally:
            with self._guard:
                queue.users -= 1
                for idle in [
                    at for at, other in self._queues.items() if not other.users and not other.is_slow(clock)
                ]:
                    del self._queues[idle]

    def _take(
        self,
        queue: _Queue,
        place: ZonePlace,
        locks: Locks,
        clock: Clock,
        *,
        seconds: float,
        ends: float | None,
    ) -> None:
        """Own the fleet's lock: use the lock that was passed on, or acquire or renew it now.

        Tries until `ends` (monotonic seconds); tries once if `ends` is None. Raises Busy."""
        now = clock.monotonic()
        if queue.owned_since is not None and now - queue.renewed_at <= seconds / 3:
            return
        if queue.owned_since is None and not queue.others_had_a_chance:
            queue.others_had_a_chance = True
            clock.pause(1.5 * _LONGEST_POLL_SECONDS)  # a process that polls for the lock gets it now
        pause = _FIRST_POLL_SECONDS
        while not locks.acquire(LOCK, place.account, place.zone, owner=self._owner, seconds=seconds):
            if ends is None or clock.monotonic() + pause >= ends:
                queue.owned_since = None
                soon = ends is not None and not queue.is_slow(clock)
                raise Busy(
                    f"another worker is writing to the zone {place.zone}", retry_after=1.0 if soon else None
                )
            clock.pause(pause)
            pause = min(1.5 * pause, _LONGEST_POLL_SECONDS)
        queue.renewed_at = clock.monotonic()
        queue.owned_since = queue.renewed_at if queue.owned_since is None else queue.owned_since

    def _leave(self, queue: _Queue, place: ZonePlace, locks: Locks, clock: Clock) -> None:
        """Pass the fleet's lock on if another thread of this process waits for it, otherwise release it. Then
        wake the next thread."""
        with queue.changed:
            since = queue.owned_since
            if queue.waiting > 0 and since is not None and clock.monotonic() - since < _LONGEST_OWNED_SECONDS:
                queue.is_in_use = False  # under the same guard, so a waiting thread cannot time out first
                queue.changed.notify()
                return
            queue.owned_since, queue.others_had_a_chance = None, queue.waiting == 0
        try:
            if since is not None:
                locks.release(LOCK, place.account, place.zone, owner=self._owner)
        finally:
            with queue.changed:
                queue.is_in_use = False
                queue.changed.notify()


def _enter(queue: _Queue, *, seconds: float) -> bool:
    """Wait in the queue until this thread may write. Returns False after `seconds` seconds.

    A thread that waits when the lock is passed on gets it."""
    with queue.changed:
        queue.waiting += 1
        try:
            if not queue.changed.wait_for(lambda: not queue.is_in_use, timeout=seconds):
                return False
            queue.is_in_use = True
            return True
        finally:
            queue.waiting -= 1
