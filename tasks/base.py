"""The base classes of the tasks: log context, errors that may be shown, and what happens to the chain and to
the message."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

import celery
import structlog
from celery.exceptions import Ignore, Reject, Retry

from certmill.certificates.begin_run import Reconciled
from certmill.errors import CertmillError, Conflict, Temporary
from certmill.model.names import CertificateId
from certmill.observe.log import get_logger
from certmill.runs.chain import CLEAN_UP, next_step
from certmill.runs.outcomes import Drop, Fail, Proceed, Wait
from certmill.runtime import Runtime
from certmill.views.times import moment
from tasks.errors import NotYet, StepFailed, TaskBroken
from tasks.publishing import publish_run

log = get_logger("certmill.tasks")

CONFLICTS: Final = 2
"""How often a task that met a Conflict is repeated at once, before its message returns to the queue."""

_Task: Any = celery.Task  # the stubs are incomplete


class Task(_Task):  # type: ignore[misc]
    """A task of certmill. Its return value is not stored, and its message is acknowledged when it has
    ended."""

    abstract = True
    ignore_result = True
    acks_late = True
    throws = (StepFailed,)
    # a name, because tasks do not import workers; a worker resolves it
    Request = "workers.continuation:ContinuedRequest"

    @property
    def runtime(self) -> Runtime:
        """The engine of this process."""
        opened: Runtime = self.app.runtime()
        return opened

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Run the task. Celery calls this in place of `run`; only errors that Flower may show leave it."""
        bound = structlog.contextvars.bind_contextvars(task=self.name, task_id=self.request.id)
        try:
            self.act(*args, **kwargs)
        except (Retry, Ignore, Reject, StepFailed):
            raise
        except CertmillError as error:
            self.end_chain()
            raise StepFailed(str(error)) from None
        except Exception as error:  # noqa: BLE001 - unforeseen errors end here; only the class is shown
            self.end_chain()
            log.error("task.broken", error=type(error).__name__, where=_where(error))
            what = f"{type(error).__name__} in {self.name} at {_where(error)}"
            raise TaskBroken(f"{what}; the next tick publishes it again") from None
        finally:
            structlog.contextvars.reset_contextvars(**bound)

    def act(self, *args: Any, **kwargs: Any) -> None:
        """Call the decorated function."""
        self.run(*args, **kwargs)

    def end_chain(self) -> None:
        """Celery does not publish the next task of the chain."""
        self.request.chain = None

    def publish_begun(self, certificate: CertificateId, reconciled: Reconciled) -> None:
        """Continue with the run that a reconcile has begun, if it has begun one, or publish it."""
        if reconciled.publish_run:
            publish_run(self.app, self.runtime, certificate, self.request.get("continuation"))


class Step(Task):
    """A step of a run: `certificate.<step>`."""

    abstract = True

    def run_step(self, certificate: CertificateId) -> None:
        """Run this step in the engine, and report the result to Celery. Raises NotYet, StepFailed."""
        request, step = self.request, self.name.removeprefix("certificate.")
        following = f"certificate.{next_step(step)}" if step != CLEAN_UP else ""
        continuation = request.get("continuation")  # of a worker's thread (workers.continuation)
        result = self.runtime.engine.run(
            step,
            certificate,
            task_id=request.id,
            root_id=request.root_id or "",
            claimed=continuation.claimed if continuation is not None else None,
            next_task=lambda: continuation.next_task(request, following) if continuation is not None else "",
        )
        if isinstance(result, Proceed):
            if result.claimed is not None:
                continuation.continue_with(request, result.claimed)
        else:
            self._end(certificate, result)

    def _end(self, certificate: CertificateId, result: Drop | Wait | Fail) -> None:
        """The chain of this message does not continue."""
        self.end_chain()
        if isinstance(result, Wait):
            reason = (
                f"{result.reason.rstrip('.')}; next try at "
                f"{moment(self.runtime.ports.clock.now() + result.seconds)}"
            )
            raise NotYet(reason, when=round(result.seconds, 1))  # type: ignore[arg-type]  # numbers.Real
        if isinstance(result, Fail) or result.publish_run:
            publish_run(self.app, self.runtime, certificate)
        if isinstance(result, Fail):
            raise StepFailed(result.message)


class Patient(Task):
    """A task whose message must not be lost. While the home or Redis does not answer, the message returns to
    its queue, from which this worker then takes nothing for a second (workers.broker.transport)."""

    abstract = True

    def act(self, *args: Any, **kwargs: Any) -> None:
        """Repeat the task at once after a conflict with another process that wrote at the same moment. This
        is normal, and needs no log line. Raises Reject for temporary errors."""
        try:
            for _ in range(CONFLICTS):
                with suppress(Conflict):
                    return self.run(*args, **kwargs)  # type: ignore[no-any-return]
            self.run(*args, **kwargs)
        except Temporary as error:
            raise Reject(str(error), requeue=True) from None


class Tick(Task):
    """A tick of beat. Flower does not show ticks: one each second would leave no room for certificates.
    Metrics count them."""

    abstract = True
    send_events = False

    def act(self, *args: Any, **kwargs: Any) -> None:
        """Note that the tick ended well, or log that it failed."""
        with self.runtime.ticks.running(self.name.removeprefix("tick.")):
            self.run(*args, **kwargs)


def _where(error: BaseException) -> str:
    """file:line of the innermost frame."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return f"{frame.tb_frame.f_code.co_filename.rsplit('/', 2)[-1]}:{frame.tb_lineno}" if frame else "?"
