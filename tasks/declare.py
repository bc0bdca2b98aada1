"""The one place that defines a Celery task: a closed list of options, log context, and errors made fit to be
seen (Flower shows them)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from celery import Celery
from celery.exceptions import Ignore, Reject, Retry

from certmill.errors import CertmillError
from certmill.observe.log import get_logger

log = get_logger("certmill.tasks")


class StepFailed(Exception):
    """A step failed for good; the message is one clean line."""

    def __repr__(self) -> str:
        return str(self)


class NotYet(Retry):
    """The step waits: shown by Flower as RETRY with the reason. Nothing is published; the tick rings the same
    task at its time."""

    def __repr__(self) -> str:
        return str(self.message)


class TaskBroken(Exception):
    """A defect of certmill: the class of the error and where it was raised, never its text, which could hold
    anything."""

    def __repr__(self) -> str:
        return str(self)


def declare(app: Celery, *, name: str, run: Callable[..., Any], in_flower: bool = True) -> None:
    """Define the task `name`; `run` gets the bound task and the message's arguments. Its return value is
    never kept or shown, and without `in_flower` nothing is."""

    def guarded(task: Any, *args: Any, **kwargs: Any) -> None:
        with structlog.contextvars.bound_contextvars(task=name, task_id=task.request.id):
            try:
                run(task, *args, **kwargs)
            except (Retry, Ignore, Reject, StepFailed):
                raise
            except CertmillError as error:
                task.request.chain = None
                raise StepFailed(str(error)) from None
            except Exception as error:  # noqa: BLE001 - a task is where an unforeseen error ends: its class is shown, its text is not
                task.request.chain = None
                log.error("task.broken", error=type(error).__name__, where=_where(error))
                raise TaskBroken(
                    f"{type(error).__name__} in {name} at {_where(error)}; the tick rings it again"
                ) from None

    options: dict[str, Any] = {
        "ignore_result": True,
        "acks_late": True,
        "throws": (StepFailed,),
        "send_events": in_flower,
    }
    define: Callable[..., Callable[..., object]] = app.task
    define(bind=True, name=name, shared=False, **options)(guarded)


def _where(error: BaseException) -> str:
    """file:line of the innermost frame."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return f"{frame.tb_frame.f_code.co_filename.rsplit('/', 2)[-1]}:{frame.tb_lineno}" if frame else "?"
