"""Events are written behind: in order, by one thread, from a queue that does not grow without end."""

from __future__ import annotations

import threading

import pytest
from structlog.testing import capture_logs

from certmill.home.kubernetes.event_queue import EventQueue

SECONDS = 30.0


class Server:
    """Takes events in order, each when the test lets it."""

    def __init__(self):
        self.taken = []
        self.asked = threading.Semaphore(0)
        self.lets = threading.Semaphore(0)

    def write(self, number):
        def write():
            self.asked.release()
            assert self.lets.acquire(timeout=SECONDS)
            self.taken.append((number, threading.current_thread().name))

        return write

    def let(self, count):
        for _ in range(count):
            self.lets.release()


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def waiting(server):
    """A queue of three, whose writer waits for the server with event 0."""
    queue = EventQueue(most=3)
    queue.put(server.write(0))
    assert server.asked.acquire(timeout=SECONDS)
    yield queue
    server.let(100)
    queue.close(seconds=SECONDS)


def test_events_are_written_in_order_and_their_recorder_does_not_wait(server, waiting):
    for number in (1, 2, 3):
        waiting.put(server.write(number))
    assert server.taken == []

    server.let(4)
    waiting.close(seconds=SECONDS)

    assert server.taken == [(number, "events") for number in range(4)]


def test_a_full_queue_drops_its_oldest_events_and_logs_how_many(server, waiting):
    with capture_logs() as lines:
        for number in range(1, 6):
            waiting.put(server.write(number))
        server.let(4)
        waiting.close(seconds=SECONDS)

    assert [number for number, _ in server.taken] == [0, 3, 4, 5]
    (line,) = lines
    assert (line["event"], line["count"]) == ("events.dropped", 2)


def test_a_stop_waits_for_its_time_and_logs_how_many_events_are_left(server, waiting):
    waiting.put(server.write(1))

    with capture_logs() as lines:
        waiting.close(seconds=0.01)

    (line,) = lines
    assert (line["event"], line["count"]) == ("events.not_written", 2)
    assert server.taken == []


def test_a_queue_that_was_never_used_has_no_thread_and_closes():
    before = threading.active_count()

    EventQueue().close()

    assert threading.active_count() == before


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_unforeseen_error_of_one_event_does_not_end_the_writing_of_others(server):
    queue = EventQueue()

    def fail():
        raise ValueError("unforeseen")

    queue.put(fail)
    queue.put(server.write(1))
    queue.put(server.write(2))
    server.let(2)
    for _ in range(2):
        assert server.asked.acquire(timeout=SECONDS)
    queue.close(seconds=SECONDS)
    for thread in threading.enumerate():
        if thread.name == "events":  # the failed thread reports its error: the warning belongs to this test
            thread.join(SECONDS)

    assert [number for number, _ in server.taken] == [1, 2]
