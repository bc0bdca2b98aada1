"""What we override of Celery, kombu and Flower exists in the releases that pyproject.toml allows: an upgrade
that renames it fails here, by the name of the member."""

from __future__ import annotations

import inspect
import tomllib
from pathlib import Path

import celery.app.amqp
import celery.app.control
import celery.beat
import celery.concurrency.thread
import celery.events.dispatcher
import celery.worker.request
import flower.events
import flower.views.monitor
import flower.views.workers
import kombu
import kombu.message
import pytest
from celery.worker.consumer import Consumer
from celery.worker.consumer.tasks import Tasks
from kombu.transport import redis as kombu_redis

from certmill.settings import load
from certmill.state.queues import lists_of
from workers import continuation, control, events, scheduler
from workers.broker import guard, transport
from workers.configuration import table
from workers.flower import pages
from workers.flower import state as flower_state

_CONSUMER = (
    "create_task_handler ensure_connected on_connection_error_after_connected on_send_event_buffered shutdown"
)
_CHANNEL = "_create_client _get_client _in_poll close connection_class connection_class_ssl"
OVERRIDDEN = [
    (guard.SafeConsumer, Consumer, _CONSUMER),
    (transport.GuardedChannel, kombu_redis.Channel, _CHANNEL),
    (transport.GuardedTransport, kombu_redis.Transport, "Channel"),
    (transport.GuardedConnection, kombu.Connection, "get_transport_cls"),
    (transport.Amqp, celery.app.amqp.AMQP, "Connection"),
    (scheduler.Scheduler, celery.beat.Scheduler, "apply_async apply_entry close producer tick"),
    (events.Dispatcher, celery.events.dispatcher.EventDispatcher, "send"),
    (events.Request, celery.worker.request.Request, "send_event"),
    (continuation.ThreadPool, celery.concurrency.thread.TaskPool, "on_apply"),
    (continuation.ContinuedRequest, celery.worker.request.Request, "acknowledge reject"),
    (continuation._Unsent, kombu.message.Message, "payload"),
    (control.Inspect, celery.app.control.Inspect, "_request"),
    (control.Control, celery.app.control.Control, "broadcast inspect"),
    (flower_state.BoundedState, flower.events.EventsState, "event heap_multiplier"),
    (flower_state.SavedEvents, flower.events.Events, "load_state save_state"),
    (pages.GuardedMetrics, flower.views.monitor.Metrics, "get"),
    (pages.HeardWorker, flower.views.workers.WorkerView, "get"),
]

PRIVATE_ELSEWHERE = {"workers.control": {"_request"}}
"""Private members that are overridden outside of workers.broker.transport. The module says why."""
CALLED_OF_A_CHANNEL = ("_brpop_read", "_closing", "_in_poll", "_queue_cycle", "connection_errors", "sep")


@pytest.mark.parametrize(
    ("ours", "theirs", "names"), OVERRIDDEN, ids=[ours.__name__ for ours, _, _ in OVERRIDDEN]
)
def test_each_member_that_is_overridden_exists(ours, theirs, names):
    assert issubclass(ours, theirs)
    missing = [name for name in names.split() if not hasattr(theirs, name)]

    assert missing == []


def test_what_is_overridden_is_of_one_minor_release():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    wanted = [
        entry
        for entry in project["dependency-groups"]["processes"]
        if entry.startswith(("celery", "kombu", "flower"))
    ]
    bounds = [
        [bound.strip("<>=").split(".") for bound in entry.partition(">")[2].split(",")] for entry in wanted
    ]

    assert len(wanted) == 3
    assert [(least[0], int(least[1]) + 1) for least, _ in bounds] == [
        (first[0], int(first[1])) for _, first in bounds
    ]


@pytest.mark.parametrize(
    ("ours", "theirs", "names"), OVERRIDDEN, ids=[ours.__name__ for ours, _, _ in OVERRIDDEN]
)
def test_no_override_is_left_out_of_the_list(ours, theirs, names):
    common = {"__init__", "__module__", "__doc__", "__annotations__", "__dict__", "__weakref__"}

    assert {name for name in vars(ours) if hasattr(theirs, name)} - common - set(names.split()) == set()


@pytest.mark.parametrize(
    ("ours", "theirs", "names"), OVERRIDDEN, ids=[ours.__name__ for ours, _, _ in OVERRIDDEN]
)
def test_private_members_are_overridden_in_the_transport_only(ours, theirs, names):
    allowed = PRIVATE_ELSEWHERE.get(ours.__module__, set())
    private = {name for name in names.split() if name.startswith("_")} - allowed

    assert not private or ours.__module__ == "workers.broker.transport"


@pytest.mark.parametrize("name", CALLED_OF_A_CHANNEL)
def test_each_member_of_a_channel_that_is_used_exists(name):
    source = inspect.getsource(kombu_redis.Channel) + inspect.getsource(kombu_redis.virtual.Channel)

    assert hasattr(kombu_redis.Channel, name) or f"self.{name} = " in source


def test_a_queue_has_the_lists_that_kombu_reads_in_the_same_order():
    channel = transport.GuardedChannel.__new__(transport.GuardedChannel)  # without a connection
    options = table(load(), {})["broker_transport_options"]

    assert lists_of("q") == tuple(channel._q_for_pri("q", step) for step in channel.priority_steps)
    assert options.keys().isdisjoint({"priority_steps", "sep"})


def test_a_queue_without_acknowledgement_keeps_no_copy_and_tasks_limit_what_is_taken():
    assert "if not no_ack:" in inspect.getsource(kombu_redis.virtual.Channel.basic_consume)
    assert "len(state.reserved_requests) >= limit" in inspect.getsource(Tasks.start)


def test_a_connection_has_our_transport_and_the_address_that_flower_shows():
    connection = transport.GuardedConnection("redis://:secret@127.0.0.1:1/0")

    assert isinstance(connection.transport, transport.GuardedTransport)
    assert isinstance(connection.clone().transport, transport.GuardedTransport)
    assert connection.as_uri() == "redis://:**@127.0.0.1:1/0"
