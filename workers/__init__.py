"""The processes of certmill: the Celery app with all of its configuration, the guard against poison messages,
Flower, the HTTP-01 responder, the controller, an embedded Valkey, and the supervisor that runs all but the
controller on one machine (`python -m workers up`).

Start a process with `celery -A workers worker`, `beat` or `flower`, without flags: required settings are in
the app. Importing this package does nothing; its attribute `app` is built from the environment at first use.
Forbidden here: what a step does (certmill.steps), what a task does (tasks), when something is due
(schedules), keys in Redis (certmill.state)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from celery import Celery

    app: Celery


def __getattr__(name: str) -> object:
    """Build the attribute `workers.app` at first use. `celery -A workers` reads it. Raises AttributeError for
    other names."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from workers.celery_app import app  # noqa: PLC0415 - importing `workers` does nothing

    return app
