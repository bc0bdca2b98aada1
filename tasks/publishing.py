"""Publishes the chain of a run's remaining steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from celery import Celery, chain, signature
from kombu.utils.uuid import uuid

from certmill.contract import STEPS_QUEUE, shown_run
from certmill.model.names import CertificateId
from certmill.runs.chain import remaining
from certmill.runtime import Runtime
from certmill.state.run_state import WakeUp


class Continuation(Protocol):
    """What the thread of a worker does after its task (workers.continuation)."""

    def begin(self, steps: Sequence[Mapping[str, Any]]) -> bool:
        """Run these tasks as a chain in this thread. Returns False if it may not continue."""
        ...


def publish(app: Celery, wake_up: WakeUp) -> None:
    """Publish the chain of the remaining steps."""
    _publish(app, _steps(app, wake_up))


def publish_run(
    app: Celery, runtime: Runtime, certificate: CertificateId, continuation: Continuation | None = None
) -> None:
    """Publish the chain from the step at which the certificate's record is now. If `continuation` is given
    and its thread may continue, the chain runs there, and nothing is published."""
    for wake_up in runtime.ports.records.wake_ups([certificate]):
        steps = _steps(app, wake_up)
        if not steps or continuation is None or not continuation.begin(steps):
            _publish(app, steps)


def _steps(app: Celery, wake_up: WakeUp) -> list[Any]:
    """The tasks of the remaining steps. The first one keeps the id of the task that waits, so Flower shows
    one task that continues.

    Root and parent are given: without them Celery takes the task that publishes, which may be a tick that
    Flower does not know. A step that only a newer release has is not published: a worker of that release
    publishes it later."""
    steps = [
        signature(f"certificate.{name}", args=(wake_up.certificate,), immutable=True, app=app)
        for name in remaining(wake_up.step)
    ]
    for step in steps:
        step.options.update(task_id=uuid(), kwargsrepr=shown_run(wake_up.trigger, wake_up.run))
    if steps:
        head = wake_up.task_id or steps[0].options["task_id"]
        root = wake_up.root_id or head
        options = {"task_id": head, "queue": STEPS_QUEUE, "retries": wake_up.retries}
        steps[0].options.update(**options, root_id=root, parent_id=root)
    return steps


def _publish(app: Celery, steps: Sequence[Any]) -> None:
    """Publish these tasks as a chain, if there are any."""
    if len(steps) == 1:
        steps[0].apply_async()
    elif steps:
        options = steps[0].options
        chain(*steps, app=app).apply_async(root_id=options["root_id"], parent_id=options["parent_id"])
