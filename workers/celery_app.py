"""Builds the Celery app: the only module that combines Celery, the tasks, the schedule and the engine."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import schedules
from certmill import settings as certmill_settings
from certmill.errors import CertmillError
from certmill.settings import Settings
from workers import signals
from workers.configuration import App, configured_app
from workers.flower import defaults as flower

if TYPE_CHECKING:
    from certmill.runtime import Runtime

_WITHOUT_TASKS = ("beat", "flower")
"""These processes publish and show tasks by name. The engine would take 10 MB in each."""


def open_runtime(settings: Settings) -> Runtime:
    """Import the engine and open it."""
    from certmill.runtime import Runtime  # noqa: PLC0415 - beat and Flower have no engine

    return Runtime.open(settings)


class LazyRuntime:
    """The engine of this process. It is opened at first use, and opened again after a fork, because
    connections do not survive a fork."""

    def __init__(
        self, settings: Settings, open_runtime: Callable[[Settings], Runtime] = open_runtime
    ) -> None:
        self._settings = settings
        self._open = open_runtime
        self._lock = threading.Lock()
        self._runtime: Runtime | None = None
        self._pid = 0

    def __call__(self) -> Runtime:
        with self._lock:
            if self._runtime is None or self._pid != os.getpid():
                self._runtime, self._pid = self._open(self._settings), os.getpid()
            return self._runtime

    def close(self) -> None:
        """Close the engine if it was opened in this process."""
        with self._lock:
            if self._runtime is not None and self._pid == os.getpid():
                self._runtime.close()
            self._runtime = None


def make_app(
    settings: Settings, *, open_runtime: Callable[[Settings], Runtime] = open_runtime, with_tasks: bool = True
) -> App:
    """Return Celery's app for `settings`: configuration, guard, tasks and schedule. Connects to nothing.
    `open_runtime` opens the engine. Without tasks the engine is not loaded."""
    if with_tasks:
        from tasks import changes, requests, steps, ticks  # noqa: F401, PLC0415 - defines them, for every app
    runtime = LazyRuntime(settings, open_runtime)

    def keep_rejected(request_id: str, certificate: str, reason: str) -> None:
        runtime().reject(request_id, certificate, reason)

    app = configured_app(settings, schedule=schedules.beat_schedule(), on_rejected=keep_rejected)
    app.require_own_redis = lambda: runtime().require_own_redis()
    app.runtime = runtime
    signals.connect(
        settings, app.exporter, close=runtime.close, home_answers=lambda: runtime().home_answers()
    )
    return app


def app_from_environment() -> App:
    """Return the app for the settings in the environment. A wrong setting ends the process with one line that
    names it (SystemExit)."""
    try:
        settings = certmill_settings.load()
    except CertmillError as error:
        raise SystemExit(f"certmill: {error}") from None
    if "flower.command" in sys.modules:  # the `celery` command loads it as a plug-in
        flower.make_safe(settings)
    return make_app(settings, with_tasks=signals.celery_command(sys.argv) not in _WITHOUT_TASKS)


def __getattr__(name: str) -> App:
    """Build `workers.celery_app.app` from the environment at first use, once in each process. Importing does
    nothing. Raises AttributeError for other names."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()["app"] = built = app_from_environment()
    return built
