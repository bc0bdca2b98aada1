"""Whose turn it is to write to a zone: threads of one process in a line, processes by a lock in Redis."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from certmill.clock import SystemClock
from certmill.errors import Busy
from certmill.runs.zone_locks import SLOW_WRITE_SECONDS, SLOW_ZONE_SECONDS, ZoneLocks, ZonePlace
from certmill.state import keys
from certmill.state.locks import Locks
from certmill.testing.clock import FakeClock

PLACE = ZonePlace(account="rfc2136 192.0.2.53:53", zone="example.test")
NAME = keys.lock("zone", PLACE.account, PLACE.zone)


class Counted(Locks):
    """Counts what is asked of Redis."""

    def __init__(self, client):
        super().__init__(client)
        self.takes = self.releases = 0

    def acquire(self, *subject, **options):
        self.takes += 1
        return super().acquire(*subject, **options)

    def release(self, *subject, **options):
        self.releases += 1
        super().release(*subject, **options)


@pytest.fixture
def locks(redis):
    return Counted(redis)


class Process:
    """A process with its own lines."""

    def __init__(self, locks, clock=None):
        self.locks, self.clock, self.zone_locks = locks, clock or SystemClock(), ZoneLocks()

    def turn(self, place=PLACE, *, lease=60.0, hold=lambda: None):
        return self.zone_locks.turn(place, self.locks, self.clock, lease_seconds=lease, renew_lease=hold)


class Ground:
    """A zone on which nobody may stand beside another."""

    def __init__(self):
        self._free, self.turns, self.together = threading.Lock(), 0, 0

    def stand(self, seconds):
        if not self._free.acquire(blocking=False):
            self.together += 1
            return
        threading.Event().wait(seconds)
        self.turns += 1
        self._free.release()


def again_and_again(write):
    """`write` until it is not refused: what a step does that finds the zone taken, later."""

    def written(number):
        for _ in range(50):
            with contextlib.suppress(Busy):
                return write(number)
        pytest.fail("the zone was never free")

    return written


def test_one_after_the_other_in_every_process_and_all_get_their_turn(locks):
    ground, processes = Ground(), [Process(locks), Process(locks)]

    def write(number):
        with processes[number % 2].turn():
            ground.stand(0.005)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(again_and_again(write), range(120)))

    assert (ground.turns, ground.together) == (120, 0)


def test_a_thread_that_waits_in_the_queue_gets_the_lock_of_all_workers(redis, locks):
    ground, process = Ground(), Process(locks)

    def write(_):
        with process.turn():
            ground.stand(0.001)

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(again_and_again(write), range(100)))

    assert ground.turns == 100
    assert locks.takes < 50
    assert not redis.exists(NAME)


def test_a_process_with_a_long_queue_lets_another_go_first(locks):
    busy, other, stop, waited = Process(locks), Process(locks), threading.Event(), []

    def write_on():
        while not stop.is_set():
            with contextlib.suppress(Busy), busy.turn():
                threading.Event().wait(0.005)

    threads = [threading.Thread(target=write_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):  # it is refused after 0.8 s, which a loaded machine may need for itself
            with contextlib.suppress(Busy), other.turn():
                waited.append(True)
            if len(waited) == 3:
                break
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert len(waited) == 3


def test_a_lock_that_is_somebody_elses_is_waited_for_only_so_long_and_is_left_to_him(redis, locks):
    clock = FakeClock(1_000.0)
    redis.set(NAME, "another")

    with pytest.raises(Busy, match="another worker is writing to the zone"), Process(locks, clock).turn():
        pass

    assert clock.now() <= 1_000.8
    assert redis.get(NAME) == "another"


def test_no_thread_waits_in_the_queue_for_longer_than_a_second(locks):
    process, waited = Process(locks), []

    def write():
        began = time.monotonic()
        with pytest.raises(Busy, match="many challenges are being written"), process.turn():
            pass
        waited.append(time.monotonic() - began)

    with process.turn(), ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(write) for _ in range(8)]:
            done.result()

    assert min(waited) >= 0.7
    assert max(waited) < 4.5  # 0.8 s, and what a loaded machine adds; once it was 5 s for the line alone


@pytest.mark.parametrize(
    "other",
    [
        ZonePlace(account="rfc2136 192.0.2.54:53", zone="example.test"),
        ZonePlace(account=PLACE.account, zone="other.test"),
    ],
    ids=["another server", "another zone"],
)
def test_a_zone_at_a_server_that_is_dead_holds_up_no_other(locks, other):
    process = Process(locks)

    with (
        process.turn(),
        process.turn(other),
        Process(locks).turn(ZonePlace(account=PLACE.account, zone="third.test")),
    ):
        assert locks.takes == 3


def test_a_wall_clock_that_is_set_back_makes_no_zone_slow_for_longer(redis, locks):
    clock = FakeClock(1_000.0)
    process = Process(locks, clock)
    with process.turn():
        clock.advance(SLOW_WRITE_SECONDS + 1)
    clock.set_by(-300.0)
    clock.advance(SLOW_ZONE_SECONDS + 1)
    redis.set(NAME, "another")

    with pytest.raises(Busy) as busy, process.turn():
        pass

    assert busy.value.retry_after == 1.0  # it stood in line, and comes back soon


def test_a_wall_clock_that_is_set_back_does_not_keep_a_lock_from_being_renewed(redis, locks):
    clock = FakeClock(1_000.0)
    with Process(locks, clock).turn(lease=6.0) as hold:
        clock.set_by(-300.0)
        clock.advance(3.0)
        redis.pexpire(NAME, 1_000)

        hold()

        assert redis.pttl(NAME) > 1_000


def test_after_a_slow_write_other_threads_do_not_wait_in_the_queue(locks):
    clock = FakeClock(1_000.0)
    process = Process(locks, clock)
    with process.turn():
        clock.advance(SLOW_WRITE_SECONDS + 1)
    began = clock.now()

    with process.turn(), pytest.raises(Busy) as busy, process.turn():
        pass

    assert busy.value.retry_after is None  # then each time later
    assert clock.now() - began < 0.1


def test_the_next_thread_takes_a_lock_that_was_lost_again(redis, locks):
    clock = FakeClock(1_000.0)
    process = Process(locks, clock)
    turn = process.turn(lease=6.0)
    hold = turn.__enter__()
    redis.set(NAME, "another")
    clock.advance(3.0)
    with pytest.raises(Busy):
        hold()
    turn.__exit__(None, None, None)
    assert redis.get(NAME) == "another"
    redis.delete(NAME)

    with process.turn(lease=6.0):
        assert redis.exists(NAME)
    assert not redis.exists(NAME)


def test_no_queue_is_left_of_a_zone_without_waiters_and_a_slow_zone_is_left_alone(locks):
    clock = FakeClock(0.0)
    process = Process(locks, clock)
    for number in range(50):
        with process.turn(ZonePlace(account="one", zone=f"z{number}.test")), process.turn(PLACE):
            assert len(process.zone_locks) == 2
    assert len(process.zone_locks) == 0

    with process.turn():
        clock.advance(SLOW_WRITE_SECONDS + 1)
    assert len(process.zone_locks) == 1
    clock.advance(SLOW_ZONE_SECONDS + 1)
    with process.turn(ZonePlace(account="one", zone="another.test")):
        pass
    assert len(process.zone_locks) == 0
