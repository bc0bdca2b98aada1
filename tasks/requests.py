"""What other services may ask for: `certificate.request` and `certificate.renew` (certmill.contract)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import Celery

from certmill.contract import RENEW_TASK, REQUEST_TASK
from certmill.errors import InvalidManifest
from certmill.runtime import Runtime
from tasks.declare import declare
from tasks.steps import ring


def register(app: Celery, runtime: Callable[[], Runtime]) -> None:
    """Define both tasks."""

    def request(task: Any, body: object) -> None:
        """Keep the Certificate of a request, and begin its run."""
        accepted = runtime().requests.request(body, request_id=task.request.id)
        if accepted is None:
            raise InvalidManifest("refused; `certmill get requests` shows the reason")
        if accepted[1].ring:
            ring(app, runtime(), accepted[0])

    def renew(task: Any, body: object) -> None:
        """Begin a run even if the stored pair is right."""
        accepted = runtime().requests.renew(body, request_id=task.request.id)
        if accepted is None:
            raise InvalidManifest("refused; `certmill get requests` shows the reason")
        if accepted[1].ring:
            ring(app, runtime(), accepted[0])

    declare(app, name=REQUEST_TASK, run=request)
    declare(app, name=RENEW_TASK, run=renew)
