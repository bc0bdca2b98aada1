"""Lets a worker that begins a run, or commits a step, continue with the next step in the same thread.

The commit has claimed the next step (advance.lua), so no other worker begins it, and nothing is published.
A task that has begun a run continues with its first step, which is claimed as if its message had arrived.
For Celery and Flower the next step is an ordinary task. It has the id, root, parent and remaining chain that
its message would have had. It goes through Celery's own strategy, with its own request, signals and events.
Only the broker is left out. The message of the first step is not acknowledged (`no_ack`): a message that is
lost is published again by the tick, because the record is still due.

After CONTINUE_SECONDS, or when the worker must stop, the chain publishes the next step instead. A step that
waits is published when it is due, as always. This module has all uses of undocumented parts of Celery;
tests/workers/test_celery_contract.py names them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from celery.concurrency.base import apply_target
from celery.concurrency.thread import TaskPool
from celery.worker import state
from kombu.message import Message

from certmill.contract import STEPS_QUEUE, WAKE_UP_QUEUES
from certmill.state.record import Record
from workers import events
from workers.broker.headers import headers_of, is_task_id

CONTINUE_SECONDS: Final = 5.0
"""A thread continues with one run for this long. Then the rest of the run is published, behind the messages
that have waited in the queue meanwhile."""

ENOUGH: Final = 8
AT_WORK_SECONDS: Final = 0.3
"""A worker with ENOUGH runs at work takes no message: another run would only wait for the core, and need
polling meanwhile. A run whose task takes longer than AT_WORK_SECONDS waits for a server, and does not
count."""

_HEADER: Final = "continuation"
"""The key in the task's request. No message can contain it, because the guard writes all headers anew."""

_HEADERS: Final = ("lang", "task", "id", "root_id", "parent_id", "expires", "retries", "kwargsrepr")
"""What `headers_of` reads of a message."""

_Pool: Any = TaskPool  # the stubs are incomplete
_Message: Any = Message


@dataclass(frozen=True, slots=True, kw_only=True)
class _Following:
    """The next task, with the headers and body that its message would have had, and the record of its step
    if the step is claimed."""

    headers: Mapping[str, object]
    body: tuple[object, ...]
    claimed: Record | None


class Continuation:
    """What a thread of the pool does after its task. The task reads it as `request.continuation`."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._until = monotonic() + CONTINUE_SECONDS
        self._following: _Following | None = None
        self.claimed: Record | None = None
        """The record of the step that runs now, if the commit of the previous step claimed it."""

    @property
    def is_due(self) -> bool:
        """Whether there is a next task that has not begun."""
        return self._following is not None

    def next_task(self, request: Any, task: str) -> str:
        """Return the id of the next task in the chain of `request` (Celery's) if it has this name and this
        thread may continue with it; else an empty string."""
        if not request.chain or not self._may_continue():
            return ""
        signature: Mapping[str, Any] = request.chain[-1]
        task_id = signature["options"].get("task_id")
        same = signature["task"] == task and list(signature["args"]) == list(request.args)
        return task_id if same and is_task_id(task_id) else ""

    def continue_with(self, request: Any, claimed: Record) -> None:
        """Run the next task of the chain of `request` in this thread. Its step is claimed, so the chain does
        not publish it."""
        *rest, signature = request.chain
        request.chain = None
        root_id = request.root_id or request.id
        self._follow(signature, rest, root_id=root_id, parent_id=request.id, claimed=claimed)

    def begin(self, steps: Sequence[Mapping[str, Any]]) -> bool:
        """Run the first of these tasks in this thread, with the others as its chain. Its step is not claimed
        yet. Returns False if this thread may not continue."""
        if not self._may_continue():
            return False
        first, *others = steps
        options = first["options"]
        root_id, parent_id = options["root_id"], options["parent_id"]
        self._follow(first, others[::-1], root_id=root_id, parent_id=parent_id, claimed=None)
        return True

    def _may_continue(self) -> bool:
        return self._monotonic() <= self._until and not _is_stopping()

    def _follow(
        self,
        signature: Mapping[str, Any],
        rest: Sequence[Mapping[str, Any]],
        *,
        root_id: str,
        parent_id: str,
        claimed: Record | None,
    ) -> None:
        headers = {
            **signature["options"],
            "task": signature["task"],
            "id": signature["options"]["task_id"],
            "root_id": root_id,
            "parent_id": parent_id,
        }
        clean = headers_of(headers, signature["args"], STEPS_QUEUE) | {_HEADER: self}
        embedded = {"chain": list(rest)}
        self._following = _Following(headers=clean, body=(signature["args"], {}, embedded), claimed=claimed)

    def run_next(self, consumer: Any) -> None:
        """Pass the next task to Celery's strategy, as if its message had arrived."""
        following, self._following = self._following, None
        assert following is not None
        self.claimed = following.claimed
        message = _Unsent(
            headers=following.headers,
            properties={"correlation_id": following.headers["id"], "priority": 0},
            delivery_info={"exchange": "", "routing_key": STEPS_QUEUE},
            body=following.body,
        )
        consumer.strategies[following.headers["task"]](message, None, _nothing, _nothing, ())


class RunsAtWork:
    """The runs with which the threads of this process continue."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._task_began: dict[Continuation, float] = {}

    def are_enough(self) -> bool:
        """Whether the worker must not take another message now. The main loop calls this."""
        since = self._monotonic() - AT_WORK_SECONDS
        return sum(began > since for began in tuple(self._task_began.values())) >= ENOUGH

    def have_thread(self, threads: int, stuck_seconds: float) -> bool:
        """Whether one of so many threads is free, or has begun its task within so many seconds."""
        began = tuple(self._task_began.values())
        return len(began) < threads or max(began) > self._monotonic() - stuck_seconds

    def begins_task(self, run: Continuation) -> None:
        """Record that a thread begins the next task of this run."""
        self._task_began[run] = self._monotonic()

    def ends(self, run: Continuation) -> None:
        """Record that the thread does not continue with this run."""
        self._task_began.pop(run, None)


RUNS_AT_WORK: Final = RunsAtWork()


class _Unsent(_Message):  # type: ignore[misc]
    """A message that was not sent, so its body is not encoded."""

    @property
    def payload(self) -> Any:
        return self.body


class ThreadPool(_Pool):  # type: ignore[misc]
    """Celery's pool of threads, with threads that continue with the next step."""

    consumer: Any
    """The consumer of this worker (workers.broker.guard). Its strategies and events belong to its connection
    to the broker."""

    def on_apply(
        self,
        target: Any,
        args: Sequence[Any],
        kwargs: Any = None,
        callback: Any = None,
        accept_callback: Any = None,
        **_: Any,
    ) -> Any:
        request = args[2]
        if _HEADER in request:
            apply_target(target, args, kwargs, callback, accept_callback)
            return None
        applied = super().on_apply(
            self._run, (request, target, args, kwargs, callback, accept_callback), callback=_nothing
        )
        if request["delivery_info"]["routing_key"] in WAKE_UP_QUEUES:
            applied.f.add_done_callback(partial(self._give_back, request, args[3:6]))
        return applied

    def _give_back(self, request: dict[str, Any], content: Sequence[Any], future: Future[Any]) -> None:
        """Publish a wake-up again if it still waited for a thread when the pool stopped: Redis stores no copy
        of it, so it would be lost until a tick. Without Redis it is lost; `future` logs the error."""
        if not future.cancelled():
            return
        body, content_type, encoding = content
        queue, headers = request["delivery_info"]["routing_key"], {name: request[name] for name in _HEADERS}
        with self.app.producer_or_acquire() as producer:
            producer.publish(
                body,
                routing_key=queue,
                headers=headers,
                content_type=content_type,
                content_encoding=encoding,
                correlation_id=request["id"],
            )

    def _run(self, request: dict[str, Any], *call: Any) -> None:
        request[_HEADER] = continuation = Continuation()
        RUNS_AT_WORK.begins_task(continuation)
        try:
            apply_target(*call)
            while continuation.is_due:
                RUNS_AT_WORK.begins_task(continuation)
                continuation.run_next(self.consumer)
        finally:
            RUNS_AT_WORK.ends(continuation)


class ContinuedRequest(events.Request):
    """The request of a task, which is acknowledged only if its queue needs it."""

    def acknowledge(self) -> None:
        """Acknowledge the message, if Redis stores a copy of it until then. Redis stores none of a wake-up
        (`no_ack` in workers.configuration)."""
        if self.delivery_info["routing_key"] not in WAKE_UP_QUEUES:
            super().acknowledge()

    def reject(self, requeue: bool = False) -> None:  # Celery's own signature
        """Reject the message. If it returns to its queue, take nothing from there for a moment: the queue
        delivers a returned message at once, so the worker would take it again without end."""
        if requeue:
            self.message.channel.pause(self.delivery_info["routing_key"])
        super().reject(requeue)


def _nothing(*_: object) -> None:
    """Do nothing: there is no message to acknowledge."""


def _is_stopping() -> bool:
    asked: tuple[object, ...] = (state.should_stop, state.should_terminate)  # the exit code, which can be 0
    return any(code is not None and code is not False for code in asked)
