"""What a worker tells Flower about itself and its tasks, by Celery's public means: `events_cls` and
`Task.Request` (tasks.base).

Remote control is off, so nobody can ask a worker anything: its heartbeat, every two seconds, carries what
Flower shows of it."""

from __future__ import annotations

from typing import Any

import celery.app.events
import celery.events.dispatcher
import celery.worker.request

from certmill.version import __version__

_Events: Any = celery.app.events.Events  # the stubs are incomplete
_Dispatcher: Any = celery.events.dispatcher.EventDispatcher
_Request: Any = celery.worker.request.Request


class Dispatcher(_Dispatcher):  # type: ignore[misc]
    """Celery's, with more in a worker's heartbeat: `workers.flower.pages` shows it."""

    def send(self, type: str, **fields: Any) -> Any:  # noqa: A002 - Celery's own signature
        if type.startswith("worker-"):
            conf = self.app.conf
            fields |= {
                "certmill": __version__,
                "threads": conf.worker_concurrency,
                "queues": sorted(self.app.amqp.queues.consume_from),
            }
        return super().send(type, **fields)


class Events(_Events):  # type: ignore[misc]
    """Celery's, with our dispatcher."""

    dispatcher_cls = "workers.events:Dispatcher"


class Request(_Request):  # type: ignore[misc]
    """Celery's, whose failures and retries are one line in Flower, and whose retries count."""

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002 - Celery's own signature
        fields.pop(
            "traceback", None
        )  # of our own code: a defect's is told by the log, where its class and line are
        if "exception" in fields:
            fields["exception"] = " ".join(str(fields["exception"]).split())
        if type == "task-retried":
            fields["retries"] = int(self.request_dict.get("retries") or 0) + 1
        super().send_event(type, **fields)
