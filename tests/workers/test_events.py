"""Task events wait in the worker and are published together, ten times a second."""

from __future__ import annotations

from celery import Celery

from workers.events import MOST_BUFFERED, Dispatcher


def test_a_busy_worker_leaves_its_events_to_the_timer_of_the_consumer() -> None:
    buffered = []
    app = Celery("test", set_as_current=False)
    dispatcher = Dispatcher(
        app=app,
        hostname="worker1",
        enabled=False,  # there is no broker
        groups=["task"],
        buffer_group=["task"],
        on_send_buffered=lambda: buffered.append(1),
    )
    dispatcher.enabled = True

    for number in range(MOST_BUFFERED - 1):
        dispatcher.send("task-started", uuid=str(number))

    assert len(buffered) == MOST_BUFFERED - 1
