"""Beat's ticks: each rings or looks at what is due, and may run any number of times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import Celery

from certmill.contract import RENEWALS_TASK, REREAD_TASK, SWEEP_TASK, TICKS_QUEUE, WAKE_TASK
from certmill.observe.log import get_logger
from certmill.runtime import Runtime
from tasks.declare import declare
from tasks.steps import publish

log = get_logger("certmill.ticks")


def register(app: Celery, runtime: Callable[[], Runtime]) -> None:
    """Define the four ticks."""

    def wake(task: Any) -> None:
        """Ring what waits and is due, what may be lost, and what may be let in."""
        woken = runtime().ticks.wake()
        for wake_up in woken.wake_ups:
            publish(app, wake_up)
        if woken.reread:
            app.send_task(REREAD_TASK, queue=TICKS_QUEUE)

    def renewals(task: Any) -> None:
        """Look at the certificates whose renewal or next attempt is due."""
        runtime().ticks.renew()

    def reread(task: Any) -> None:
        """Act on what changed in the home."""
        found = runtime().ticks.reread(owner=task.request.id)
        for problem in found.problems:
            log.warning("manifest.problem", source=problem.source, problem=problem.message)
        for message in found.failed:
            log.warning("home.reread.failed", reason=message)

    def sweep(task: Any) -> None:
        """Take down what a crash left up."""
        runtime().ticks.sweep(owner=task.request.id)

    for name, run in (
        (WAKE_TASK, wake),
        (RENEWALS_TASK, renewals),
        (REREAD_TASK, reread),
        (SWEEP_TASK, sweep),
    ):
        # In Flower a tick a second would leave no room for certificates; metrics count them.
        declare(app, name=name, run=_within(runtime, name.removeprefix("tick."), run), in_flower=False)


def _within(runtime: Callable[[], Runtime], tick: str, run: Callable[[Any], None]) -> Callable[[Any], None]:
    def noted(task: Any) -> None:
        with runtime().ticks.running(tick):
            run(task)

    return noted
