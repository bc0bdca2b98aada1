"""Defines what a worker reports to Flower about itself and its tasks. It uses public interfaces of Celery:
`events_cls` and `Task.Request` (tasks.base).

Remote control is off, so a worker cannot be queried. Its heartbeat, every two seconds, has the values that
Flower shows."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import celery.app.events
import celery.events.dispatcher
import celery.worker.request

from certmill.version import __version__

_Events: Any = celery.app.events.Events  # the stubs are incomplete
_Dispatcher: Any = celery.events.dispatcher.EventDispatcher
_Request: Any = celery.worker.request.Request

MOST_BUFFERED: Final = 200
"""The number of task events after which a thread publishes them itself. The consumer publishes them ten times
a second (workers.broker.guard); with Celery's limit, 24, a busy worker publishes twice as often."""


class Dispatcher(_Dispatcher):  # type: ignore[misc]
    """Celery's dispatcher, with more fields in a worker's heartbeat. `workers.flower.pages` shows them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # Celery's own signature
        super().__init__(*args, **{"buffer_limit": MOST_BUFFERED, **kwargs})

    def send(self, type: str, **fields: Any) -> Any:  # noqa: A002 - Celery's own signature
        if type.startswith("worker-"):
            fields |= self._of_this_worker
        return super().send(type, **fields)

    @cached_property
    def _of_this_worker(self) -> dict[str, object]:
        """The fields do not change, because remote control is off."""
        return {
            "certmill": __version__,
            "threads": self.app.conf.worker_concurrency,
            "queues": sorted(self.app.amqp.queues.consume_from),
        }


class Events(_Events):  # type: ignore[misc]
    """Celery's events, with our dispatcher."""

    dispatcher_cls = "workers.events:Dispatcher"


class Request(_Request):  # type: ignore[misc]
    """Celery's request, with failures and retries as one line in Flower, and with a count of retries."""

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002 - Celery's own signature
        fields.pop(
            "traceback", None
        )  # a traceback of our own code: for a defect, the log has the class and the line of the error
        if "exception" in fields:
            fields["exception"] = " ".join(str(fields["exception"]).split())
        if type == "task-retried":
            fields["retries"] = int(self.request_dict.get("retries") or 0) + 1
        super().send_event(type, **fields)
