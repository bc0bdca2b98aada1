"""The eight steps of a run as tasks, and how a chain of them is published."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import Celery, chain, signature
from kombu.utils.uuid import uuid

from certmill.contract import STEP_NAMES, STEPS_QUEUE, shown_run
from certmill.model.names import CertificateId
from certmill.runs.chain import CLEAN_UP, next_step, remaining
from certmill.runs.outcomes import Drop, Fail, Proceed, Wait
from certmill.runtime import Runtime
from certmill.state.records import WakeUp
from certmill.views.times import moment
from tasks.declare import NotYet, StepFailed, declare


def publish(app: Celery, wake_up: WakeUp) -> None:
    """Publish the chain of the remaining steps; its head keeps the waiting task's id, so that Flower shows
    one task going on.

    Root and parent are said: Celery would take the task that publishes, which may be a tick that Flower does
    not know. A step that only a newer release has is left to that: its workers publish it in a while."""
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
    """Publish the chain from where the record is now."""
    for wake_up in runtime.ports.records.wake_ups([certificate]):
        publish(app, wake_up)


def register(app: Celery, runtime: Callable[[], Runtime]) -> None:
    """Define `certificate.<step>` for every step."""
    for step in STEP_NAMES:
        _register(app, runtime, step)


def _register(app: Celery, runtime: Callable[[], Runtime], step: str) -> None:
    following = f"certificate.{next_step(step)}" if step != CLEAN_UP else ""

    def run(task: Any, certificate: str) -> None:
        """One step of one certificate's run."""
        request = task.request
        continuation = request.get("continuation")  # of a worker's thread (workers.continuation)
        result = runtime().engine.run(
            step,
            CertificateId(certificate),
            task_id=request.id,
            root_id=request.root_id or "",
            claimed=continuation.claimed if continuation is not None else None,
            next_task=lambda: continuation.next_task(request, following) if continuation is not None else "",
        )
        if isinstance(result, Proceed) and result.claimed is not None:
            continuation.continue_with(request, result.claimed)
        if isinstance(result, Drop | Fail | Wait):
            request.chain = None
        if isinstance(result, Fail) or (isinstance(result, Drop) and result.publish_run):
            publish_run(app, runtime(), CertificateId(certificate))
        if isinstance(result, Wait):
            raise NotYet(_waiting(result, runtime().ports.clock.now()), when=round(result.seconds, 1))  # type: ignore[arg-type]  # numbers.Real
        if isinstance(result, Fail):
            raise StepFailed(result.message)

    declare(app, name=f"certificate.{step}", run=run)


def _waiting(wait: Wait, now: float) -> str:
    """What a step waits for, and when it goes on."""
    return f"{wait.reason.rstrip('.')}; next try at {moment(now + wait.seconds)}"
