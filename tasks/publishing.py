"""Publishes the chain of a run's remaining steps."""

from __future__ import annotations

from typing import Any

from celery import Celery, chain, signature
from kombu.utils.uuid import uuid

from certmill.contract import STEPS_QUEUE, shown_run
from certmill.model.names import CertificateId
from certmill.runs.chain import remaining
from certmill.runtime import Runtime
from certmill.state.run_state import WakeUp


def publish(app: Celery, wake_up: WakeUp) -> None:
    """Publish the chain of the remaining steps. Its head keeps the id of the task that waits, so Flower shows
    one task that continues.

    Root and parent are given: without them Celery takes the task that publishes, which may be a tick that
    Flower does not know. A step that only a newer release has is not published: a worker of that release
    publishes it later."""
    steps = [
        signature(f"certificate.{name}", args=(wake_up.certificate,), immutable=True, app=app)
        for name in remaining(wake_up.step)
    ]
    if not steps:
        return
    for step in steps:
        step.options["kwargsrepr"] = shown_run(wake_up.trigger, wake_up.run)
    head = wake_up.task_id or uuid()
    root = wake_up.root_id or head
    options: dict[str, Any] = {"root_id": root, "parent_id": root}
    steps[0].options.update(task_id=head, queue=STEPS_QUEUE, retries=wake_up.retries, **options)
    chain(*steps, app=app).apply_async(**options) if len(steps) > 1 else steps[0].apply_async()


def publish_run(app: Celery, runtime: Runtime, certificate: CertificateId) -> None:
    """Publish the chain from the step at which the certificate's record is now."""
    for wake_up in runtime.ports.records.wake_ups([certificate]):
        publish(app, wake_up)
