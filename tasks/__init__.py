"""Celery's thin shell: a task takes an id, makes one engine call and shows the outcome; ≤ 10 lines a task.

`register` gives an app its tasks. Names, queues and arguments are in `certmill.contract`. Forbidden here:
decisions, Redis, ACME, a second call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tasks import changes, requests, steps, ticks

if TYPE_CHECKING:
    from celery import Celery

    from certmill.runtime import Runtime


def register(app: Celery, runtime: Callable[[], Runtime]) -> None:
    """Define every task of the contract on this app; `runtime` gives the process's Runtime."""
    steps.register(app, runtime)
    requests.register(app, runtime)
    changes.register(app, runtime)
    ticks.register(app, runtime)
