"""What workers.continuation uses of Celery beyond its documentation: an upgrade that changes any of it fails
here, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from celery.app.task import Context
from celery.app.trace import fast_trace_task
from celery.concurrency.base import apply_target
from celery.concurrency.thread import TaskPool
from celery.worker import request as worker_request
from celery.worker import state
from celery.worker.consumer import Consumer
from celery.worker.request import Request
from celery.worker.strategy import default
from kombu.message import Message

from certmill import settings as certmill_settings
from workers.celery_app import make_app

create_request_cls: Any = vars(worker_request)["create_request_cls"]  # the stubs do not know it


def parameters(function: Callable[..., object]) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_apply_target_takes_what_a_pool_is_given():
    assert parameters(apply_target)[:5] == ["target", "args", "kwargs", "callback", "accept_callback"]


def test_the_pool_of_threads_is_given_it_by_on_apply_and_submits_it():
    assert parameters(TaskPool.on_apply)[:6] == [
        "self",
        "target",
        "args",
        "kwargs",
        "callback",
        "accept_callback",
    ]
    assert "self.executor.submit(apply_target, target, args, kwargs" in inspect.getsource(TaskPool.on_apply)


def test_a_pool_that_stops_cancels_what_waits_and_every_task_has_a_future():
    assert "self.executor.shutdown(cancel_futures=True)" in inspect.getsource(TaskPool.on_stop)
    assert "return ApplyResult(f)" in inspect.getsource(TaskPool.on_apply)


def test_the_third_argument_of_a_traced_task_is_its_request():
    assert parameters(fast_trace_task)[:6] == [
        "task",
        "uuid",
        "request",
        "body",
        "content_type",
        "content_encoding",
    ]
    assert "args=(self.type, task_id, self.request_dict, self.body," in inspect.getsource(create_request_cls)


def test_a_body_without_a_content_type_is_not_decoded():
    source = inspect.getsource(fast_trace_task)

    assert "if content_type:" in source
    assert "args, kwargs, embed = body" in source


def test_a_strategy_gives_a_message_and_its_acknowledgement_to_the_pool():
    source = inspect.getsource(default)

    assert "def task_message_handler(message, body, ack, reject, callbacks," in source
    assert "if body is None and 'args' not in message.payload:" in source
    assert "handle = consumer.on_task_request" in source


def test_the_consumer_keeps_its_strategies_by_the_name_of_the_task():
    assert "self.strategies[name] = task.start_strategy(self.app, self)" in inspect.getsource(
        Consumer.update_strategies
    )


def test_a_request_keeps_its_headers_and_is_acknowledged_after_its_success():
    assert isinstance(Request.request_dict, property)
    assert isinstance(Request.on_ack, property)
    assert isinstance(Request.on_reject, property)
    generated = inspect.getsource(create_request_cls)
    assert generated.index("self.acknowledge()") < generated.index("task-succeeded")


def test_a_task_sees_the_headers_of_its_message_and_the_rest_of_its_chain():
    request = Context(
        {
            "id": "mine",
            "continuation": "ours",
            "chain": [{"task": "next"}],
            "args": ["default/web"],
            "root_id": "root",
        }
    )

    assert (request.get("continuation"), request.chain, request.args) == (
        "ours",
        [{"task": "next"}],
        ["default/web"],
    )
    assert Context({}).get("continuation") is None


def test_a_worker_that_is_to_stop_says_so_in_its_state():
    assert hasattr(state, "should_stop")
    assert hasattr(state, "should_terminate")


def test_the_payload_of_a_message_is_a_property():
    assert isinstance(Message.payload, property)


def test_every_task_of_the_app_continues(tmp_path):
    app = make_app(certmill_settings.load(home=tmp_path, redis_url="redis://127.0.0.1:1/0"))

    assert app.conf.worker_pool == "workers.continuation:ThreadPool"
    assert {task.Request for name, task in app.tasks.items() if name.startswith("certificate.")} == {
        "workers.continuation:ContinuedRequest"
    }
