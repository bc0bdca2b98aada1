"""What other services may ask for: `certificate.request` and `certificate.renew` (certmill.contract)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.exceptions import Reject

from certmill.certificates.begin_run import Reconciled
from certmill.contract import RENEW_TASK, REQUEST_TASK
from certmill.errors import InvalidManifest, Temporary
from certmill.model.names import CertificateId
from certmill.runtime import Runtime
from tasks.declare import declare
from tasks.steps import publish_run


def register(app: Celery, runtime: Callable[[], Runtime]) -> None:
    """Define both tasks."""

    def request(task: Any, body: object) -> None:
        """Keep the Certificate of a request, and begin its run."""
        _take(app, runtime(), task, runtime().requests.request, body)

    def renew(task: Any, body: object) -> None:
        """Begin a run even if the stored pair is right."""
        _take(app, runtime(), task, runtime().requests.renew, body)

    declare(app, name=REQUEST_TASK, run=request)
    declare(app, name=RENEW_TASK, run=renew)


def _take(
    app: Celery,
    runtime: Runtime,
    task: Any,
    handler: Callable[..., tuple[CertificateId, Reconciled] | None],
    body: object,
) -> None:
    """One call of the desk. Its message is all there is of a request: while home or Redis is away it goes
    back to its queue, from which this worker takes nothing for a while (workers.broker.transport)."""
    try:
        accepted = handler(body, request_id=task.request.id)
    except Temporary as error:
        raise Reject(str(error), requeue=True) from None
    if accepted is None:
        raise InvalidManifest("refused; `certmill get requests` shows the reason")
    if accepted[1].publish_run:
        publish_run(app, runtime, accepted[0])
