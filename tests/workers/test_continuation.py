"""A thread that has ended a step continues with the next one of its chain: a task of its own, without a
message."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from certmill import settings as certmill_settings
from certmill.contract import CHANGES_QUEUE, STEPS_QUEUE
from tests.support.processes import Processes, Server, item, ran
from tests.support.waiting import until
from workers.celery_app import make_app
from workers.continuation import (
    AT_WORK_SECONDS,
    CONTINUE_SECONDS,
    ENOUGH,
    Continuation,
    RunsAtWork,
    ThreadPool,
)

STEPS = [
    "certificate.create_order",
    "certificate.set_up_challenge",
    "certificate.wait_for_propagation",
    "certificate.validate",
]


def signature(task: str, certificate: str, **options: object) -> dict[str, Any]:
    return {
        "task": task,
        "args": [certificate],
        "kwargs": {},
        "options": {"task_id": f"id-of-{task}", **options},
        "immutable": True,
    }


def publish_chain(server: Server, certificate: str) -> None:
    """The message of the first of STEPS; the others are its chain, the next one last, as Celery has it."""
    rest = [signature(step, certificate) for step in reversed(STEPS[1:])]
    with server.client as client:
        client.lpush(
            "certmill.steps",
            item(STEPS[0], [certificate], embed={"chain": rest}, headers={"id": "first", "root_id": "root"}),
        )


def waiting(server: Server) -> int:
    with server.client as client:
        return int(client.llen("certmill.steps"))


def test_a_thread_runs_a_whole_chain_each_task_with_its_own_id_and_parent(
    processes: Processes, server: Server
) -> None:
    processes.worker()

    publish_chain(server, "default/continues")

    until(lambda: len(ran(server)) == 4, what=processes.log)
    tasks = ran(server)
    ids = ["first", *(f"id-of-{step}" for step in STEPS[1:])]
    assert [task["task"] for task in tasks] == STEPS
    assert [task["id"] for task in tasks] == ids
    assert [task["parent_id"] for task in tasks] == [None, *ids[:-1]]
    assert [task["claimed"] for task in tasks] == ["", *STEPS[1:]]
    assert {(task["root_id"], task["thread"]) for task in tasks} == {("root", tasks[0]["thread"])}
    with server.client as client:  # of the server, as it counts: the one message that we have sent ourselves
        assert client.info("commandstats")["cmdstat_lpush"]["calls"] == 1


def test_threads_that_continue_take_no_message_that_others_could_take(
    processes: Processes, server: Server
) -> None:
    processes.worker()  # four threads
    for _ in range(4):
        publish_chain(server, "default/continues-held")
    until(lambda: len(ran(server)) == 12, what=processes.log)

    processes.publish("default/last")
    processes.worker(log="other.log")

    until(lambda: len(ran(server)) == 13, what=processes.log)
    assert len({task["pid"] for task in ran(server)}) == 2


def test_a_worker_that_is_to_stop_publishes_the_next_step(processes: Processes, server: Server) -> None:
    worker = processes.worker()

    publish_chain(server, "default/stopped")

    assert worker.wait(30) == 0
    assert {task["claimed"] for task in ran(server)} == {""}  # it may take one more before it stops
    assert waiting(server) == 1


def test_a_wake_up_that_waits_for_a_thread_is_published_again_at_the_stop(
    processes: Processes, server: Server
) -> None:
    settings = certmill_settings.load(home=processes.directory / "home", redis_url=server.url)
    pool = ThreadPool(limit=1, app=make_app(settings))
    body = json.dumps([["default/web"], {}, {"chain": [signature(STEPS[1], "default/web")]}]).encode()
    ended: list[object] = []

    def apply(task_id: str, queue: str, run: Callable[[], object] = lambda: None) -> None:
        ids = {"id": task_id, "root_id": "root", "parent_id": "request"}
        others = {"lang": "py", "task": STEPS[0], "expires": None, "retries": 0, "kwargsrepr": "{}"}
        request = {**ids, **others, "delivery_info": {"routing_key": queue}}
        pool.on_apply(
            lambda *_: run(),
            (STEPS[0], task_id, request, body, "application/json", "utf-8"),
            callback=ended.append,
        )

    apply("begun", STEPS_QUEUE, lambda: until(lambda: waiting(server) == 1, what="it is published"))
    apply("stored-in-redis", CHANGES_QUEUE)
    apply("waits", STEPS_QUEUE)
    pool.stop()
    assert len(ended) == 1

    processes.worker()
    until(lambda: len(ran(server)) == 2, what=processes.log)
    first, second = ran(server)
    assert [first[key] for key in ("id", "root_id", "parent_id", "chain")] == ["waits", "root", "request", 1]
    assert second["id"] == f"id-of-{STEPS[1]}"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def request(*chain: dict[str, Any]) -> SimpleNamespace:
    """What a task sees of its message."""
    return SimpleNamespace(id="mine", root_id="root", args=["default/web"], chain=list(chain))


def test_after_some_seconds_the_rest_of_a_run_is_published_behind_what_waits() -> None:
    clock = Clock()
    continuation, mine = Continuation(monotonic=clock), request(signature(STEPS[1], "default/web"))

    clock.now = CONTINUE_SECONDS
    assert continuation.next_task(mine, STEPS[1]) == f"id-of-{STEPS[1]}"
    clock.now = CONTINUE_SECONDS + 0.1
    assert continuation.next_task(mine, STEPS[1]) == ""


def begun(continuation: Continuation) -> tuple[bool, list[Any]]:
    """Whether the thread continues with a run of STEPS, and the messages that Celery's strategy gets."""
    messages: list[Any] = []
    ids = {"root_id": "root", "parent_id": "the-request"}
    steps = [signature(step, "default/web", **ids) for step in STEPS]
    began = continuation.begin(steps)
    if continuation.is_due:
        take = lambda message, *_: messages.append(message)  # noqa: E731
        continuation.run_next(SimpleNamespace(strategies=dict.fromkeys(STEPS, take)))
    return began, messages


def test_a_run_that_a_task_has_begun_continues_in_its_thread() -> None:
    continuation = Continuation()

    began, (message,) = begun(continuation)

    shown = [message.headers[name] for name in ("task", "id", "root_id", "parent_id")]
    args, _, embed = message.payload
    assert (began, continuation.claimed) == (True, None)
    assert shown == [STEPS[0], f"id-of-{STEPS[0]}", "root", "the-request"]
    assert (args, [one["task"] for one in embed["chain"]]) == (["default/web"], STEPS[:0:-1])


def test_after_some_seconds_a_run_that_was_begun_is_published() -> None:
    clock = Clock()
    continuation = Continuation(monotonic=clock)

    clock.now = CONTINUE_SECONDS + 0.1

    assert begun(continuation) == (False, [])


@pytest.mark.parametrize(
    "following",
    [
        signature("certificate.finalize", "default/web"),
        signature(STEPS[1], "default/other"),
        signature(STEPS[1], "default/web", task_id="{no id}"),
        signature(STEPS[1], "default/web", task_id=None),
    ],
    ids=["another task", "another certificate", "no task id", "none"],
)
def test_a_chain_that_goes_on_with_anything_else_is_not_continued(following: dict[str, Any]) -> None:
    assert Continuation().next_task(request(following), STEPS[1]) == ""


def test_a_worker_takes_no_message_while_enough_runs_are_at_work() -> None:
    clock = Clock()
    runs, continued = RunsAtWork(monotonic=clock), [Continuation() for _ in range(ENOUGH)]
    for run in continued:
        assert not runs.are_enough()
        runs.begins_task(run)
    assert runs.are_enough()

    runs.ends(continued[0])
    assert not runs.are_enough()


def test_runs_that_wait_for_a_server_keep_no_message_from_being_taken() -> None:
    clock = Clock()
    runs, continued = RunsAtWork(monotonic=clock), [Continuation() for _ in range(ENOUGH)]
    for run in continued:
        runs.begins_task(run)

    clock.now += AT_WORK_SECONDS
    assert not runs.are_enough()
    for run in continued:
        runs.begins_task(run)
    assert runs.are_enough()
