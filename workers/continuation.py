"""A worker that commits a step continues with the next step of its chain at once, in the same thread.

The commit has claimed the next step (advance.lua), so no other worker begins it, and nothing is published. To
Celery and to Flower the next step is a task as always: with the id, root, parent and rest of the chain that
its message would have had, by Celery's own strategy, with its own request, signals and events. Only the
broker is left out. After CONTINUE_SECONDS, or when the worker is to stop, the chain publishes the next step
instead; what waits is published when it is due, as always. What is used of Celery that is not documented is
in here, and tests/workers/test_celery_contract.py names it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from celery.concurrency.base import apply_target
from celery.concurrency.thread import TaskPool
from celery.worker import state
from kombu.message import Message

from certmill.contract import STEPS_QUEUE
from certmill.state.record import Record
from workers import events
from workers.broker.headers import headers_of, is_task_id

CONTINUE_SECONDS: Final = 5.0
"""For so long a thread continues with one run; then the rest of the run waits behind what has waited in the
queue meanwhile."""

ENOUGH: Final = 8
AT_WORK_SECONDS: Final = 0.3
"""A worker with so many runs at work takes no message: another run would wait for the core, and be polled for
meanwhile. A run whose task takes longer than AT_WORK_SECONDS waits for a server, and does not count."""

_HEADER: Final = "continuation"
"""Of the task's request. No message can bring it: the guard writes all headers anew."""

_Pool: Any = TaskPool  # the stubs are incomplete
_Message: Any = Message


@dataclass(frozen=True, slots=True, kw_only=True)
class _Following:
    """The next task, as its message would have been, and the record of its step."""

    headers: Mapping[str, object]
    body: tuple[object, ...]
    claimed: Record


class Continuation:
    """What a thread of the pool does after its task. Its task finds it as `request.continuation`."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._until = monotonic() + CONTINUE_SECONDS
        self._following: _Following | None = None
        self.claimed: Record | None = None
        """The record of the step that runs now, if the commit of the step before claimed it."""
        self.acknowledge: Callable[..., None] = _nothing
        self.reject: Callable[..., None] = _nothing

    @property
    def is_due(self) -> bool:
        """Whether a next step is claimed, and not begun."""
        return self._following is not None

    def next_task(self, request: Any, task: str) -> str:
        """The id of the task of this name that comes next in the chain of `request` (Celery's), if this
        thread may continue with it; else an empty string."""
        if not request.chain or self._monotonic() > self._until or _is_stopping():
            return ""
        signature: Mapping[str, Any] = request.chain[-1]
        task_id = signature["options"].get("task_id")
        same = signature["task"] == task and list(signature["args"]) == list(request.args)
        return task_id if same and is_task_id(task_id) else ""

    def continue_with(self, request: Any, claimed: Record) -> None:
        """Run the next task of the chain of `request` in this thread: its step is claimed. The chain does not
        publish it then."""
        *rest, signature = request.chain
        request.chain = None
        headers = {
            **signature["options"],
            "task": signature["task"],
            "id": signature["options"]["task_id"],
            "root_id": request.root_id or request.id,
            "parent_id": request.id,
        }
        clean = headers_of(headers, signature["args"], STEPS_QUEUE) | {_HEADER: self}
        self._following = _Following(
            headers=clean, body=(signature["args"], {}, {"chain": rest}), claimed=claimed
        )

    def run_next(self, consumer: Any) -> None:
        """Hand the next task to Celery's strategy, as if its message had come."""
        following, self._following = self._following, None
        assert following is not None
        self.claimed = following.claimed
        message = _Unsent(
            headers=following.headers,
            properties={"correlation_id": following.headers["id"], "priority": 0},
            delivery_info={"exchange": "", "routing_key": STEPS_QUEUE},
            body=following.body,
        )
        consumer.strategies[following.headers["task"]](message, None, self.acknowledge, self.reject, ())


class RunsAtWork:
    """The runs that the threads of this process continue with."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._task_began: dict[Continuation, float] = {}

    def are_enough(self) -> bool:
        """Whether no other message is to be taken now. Called by the main loop."""
        since = self._monotonic() - AT_WORK_SECONDS
        return sum(began > since for began in tuple(self._task_began.values())) >= ENOUGH

    def begins_task(self, run: Continuation) -> None:
        """A thread begins the next task of this run."""
        self._task_began[run] = self._monotonic()

    def ends(self, run: Continuation) -> None:
        """The thread does not continue."""
        self._task_began.pop(run, None)


RUNS_AT_WORK: Final = RunsAtWork()


class _Unsent(_Message):  # type: ignore[misc]
    """A message that was not sent: its body is not encoded."""

    @property
    def payload(self) -> Any:
        return self.body


class ThreadPool(_Pool):  # type: ignore[misc]
    """Celery's pool of threads, whose threads continue."""

    consumer: Any
    """Of this worker (workers.broker.guard); its strategies and its events are those of its connection to the
    broker."""

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
        return super().on_apply(
            self._run, (request, target, args, kwargs, callback, accept_callback), callback=_nothing
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
    """Of a chain of steps that a thread continues with, the last one acknowledges the message: no more are
    taken than there are threads."""

    def acknowledge(self) -> None:
        continuation: Continuation | None = self.request_dict.get(_HEADER)
        if continuation is not None and continuation.is_due:
            continuation.acknowledge, continuation.reject = self.on_ack, self.on_reject
        else:
            super().acknowledge()


def _nothing(*_: object) -> None:
    """There is no message to acknowledge."""


def _is_stopping() -> bool:
    asked: tuple[object, ...] = (state.should_stop, state.should_terminate)  # the exit code, which may be 0
    return any(code is not None and code is not False for code in asked)
